"""What people do with cases: claim, put off, pass on, note and close them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from shroff.act import hiding, listing, outbox, reopening, second
from shroff.act.analysts import Agreement, agreement
from shroff.act.book import MINUTE_US, CaseBook, reading, writing
from shroff.act.case import Case, CaseEvent, CasePayment, CaseQueue, Outcome
from shroff.act.context import CaseContext, context
from shroff.act.queues import check_queues
from shroff.act.rules import (
    apart,
    check_name,
    check_note,
    close_case,
    mine,
    require_outcome,
    unchanged,
    waiting_now,
)
from shroff.act.subjects import ERASED, erase, held
from shroff.act.tables import CASES
from shroff.clock import Clock, system_time
from shroff.control.database import Control
from shroff.control.history import require_chained
from shroff.errors import BrokenChain, ConfigurationError

LEASE_MINUTES: Final = 60
UNDO_SECONDS: Final = 30
"""How long labels of decisions wait that are made key by key."""
_SECOND_US: Final = 1_000_000


class Desk:
    """The cases in a control database.

    Every change names the version of the case that the caller saw (None: whichever it is now), and
    who makes it. A case that somebody else has claimed is changed by them only, until the claim
    lapses. `key` draws the cases that are judged twice, and those without reasons. Labels of
    decisions made here wait `undo_seconds` before they are sent.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
        NotFound: by every verb on a case, where there is none.
        CaseConflict: by every change, if the case was changed meanwhile, is claimed by somebody
            else, or is closed.
    """

    def __init__(
        self,
        url: str,
        *,
        key: bytes = b"",
        clock: Clock = system_time,
        lease_minutes: int = LEASE_MINUTES,
        undo_seconds: int = 0,
    ) -> None:
        self._control = Control(url)
        self._key = key
        self._clock = clock
        self._lease = lease_minutes * MINUTE_US
        self._undo = undo_seconds * _SECOND_US

    def cases(
        self,
        *,
        queue: str | None = None,
        holder: str | None = None,
        subject: str | None = None,
        waiting: bool = False,
        overdue: bool = False,
        closed: bool = False,
        viewer: str | None = None,
        limit: int = 50,
        after: tuple[float, int] | None = None,
    ) -> list[Case]:
        """Open cases (or the closed ones), those most worth their time first.

        Args:
            holder: only those that they have claimed; `subject`: only of this card, host ….
            waiting: only those that nobody has claimed or put off; `overdue`: past their `due`.
            viewer: who sees them: not the closed ones that they judge a second time.
            after: worth and number of the last case of the page before.
        """
        listing.require_limit(limit)
        asked = listing.CaseFilter(queue, holder, subject, waiting, overdue, closed, viewer)
        with reading(self._control, self._clock()) as book:
            return book.cases(*listing.conditions(asked, book.now), limit=limit, after=after)

    def case(
        self, number: int, viewer: str | None = None
    ) -> tuple[Case, list[CasePayment], list[CaseEvent]]:
        """A case, its payments, and its history; its second reviewer sees no outcome."""
        with reading(self._control, self._clock()) as book:
            if viewer is not None and second.held(book, number, viewer) is not None:
                return second.blind_file(book, book.case(number), viewer)
            return book.case(number), book.payments(number), book.told(number)

    def context(self, number: int, viewer: str | None = None) -> CaseContext:
        """Past cases like one, who shares values with it, timelines, and whether its reasons are
        hidden.
        """
        with reading(self._control, self._clock()) as book:
            case = book.case(number)
            return context(
                book,
                case,
                hidden=bool(self._hidden(book, [case], viewer)),
                blind=second.held(book, number, viewer) is not None,
            )

    def hides_reasons(self, number: int, viewer: str | None = None) -> bool:
        """Whether nobody may see the reasons of a case until it is decided."""
        with reading(self._control, self._clock()) as book:
            return bool(self._hidden(book, [book.case(number)], viewer))

    def hidden_payments(self, payment_ids: Sequence[str], viewer: str) -> frozenset[str]:
        """Those of some payments whose cases hide from somebody why they were suspicious."""
        with reading(self._control, self._clock()) as book:
            cases = book.cases_of(payment_ids)
            found = [book.case(one) for one in {*cases.values()}]
            hidden = self._hidden(book, found, viewer)
        return frozenset(name for name, number in cases.items() if number in hidden)

    def leading_payments(self, cases: Sequence[Case], viewer: str) -> dict[int, str | None]:
        """The most suspicious payment of each case that has one, by the number of the case; None
        where somebody may not see yet why it is.
        """
        with reading(self._control, self._clock()) as book:
            leading = book.leading_payments([one.id for one in cases])
            return leading | dict.fromkeys(self._hidden(book, cases, viewer))

    def blind_payments(self, viewer: str) -> frozenset[str]:
        """The payments of cases that somebody judges a second time, whose labels they may not see
        yet.
        """
        with reading(self._control, self._clock()) as book:
            return second.payments_held(book, viewer)

    def case_of(self, payment_id: str) -> int | None:
        """The number of the case that a payment is in; None where it is in none."""
        with reading(self._control, self._clock()) as book:
            found = book.payment(payment_id)
        return None if found is None else found[0]

    def next(self, by: str, *, queue: str | None = None) -> Case | None:
        """Claim a case that was drawn to be judged again, or else the waiting case that is most
        worth its time; None where none waits.
        """
        with writing(self._control, self._clock()) as book:
            if (again := second.next_second(book, by, queue, self._lease)) is not None:
                return again
            own = [] if queue is None else [CASES.c.queue == queue]
            best = book.cases(
                CASES.c.status == "open", apart(), *own, *waiting_now(book.now), limit=1
            )
            return self._claim(book, best[0], by) if best else None

    def claim(self, number: int, by: str, *, version: int | None = None) -> Case:
        """Claim a case for an hour; again, to have it for another hour."""
        with writing(self._control, self._clock()) as book:
            if second.held(book, number, by) is not None:
                return second.keep(book, number, by, self._lease)
            return self._claim(book, mine(book, number, by, version), by)

    def release(self, number: int, by: str, *, version: int | None = None) -> Case:
        """Give a claimed case back."""
        with writing(self._control, self._clock()) as book:
            if second.held(book, number, by) is not None:
                return second.give_back(book, number, by)
            case = mine(book, number, by, version)
            return book.change(case, "released", by, holder=None, lease=None)

    def assign(
        self, number: int, by: str, *, to: str, note: str, version: int | None = None
    ) -> Case:
        """Give a case to somebody, whoever has it, and say why."""
        check_name(to)
        check_note(note, required=True)
        with writing(self._control, self._clock()) as book:
            case = unchanged(book, number, by, version)
            lease = book.now + self._lease
            return book.change(case, "assigned", by, holder=to, lease=lease, to=to, note=note)

    def snooze(
        self,
        number: int,
        by: str,
        *,
        until: int,
        note: str | None = None,
        version: int | None = None,
    ) -> Case:
        """Put a case off until a moment; nobody has it meanwhile.

        Raises:
            ConfigurationError: the moment has passed.
        """
        check_note(note)
        with writing(self._control, self._clock()) as book:
            if until <= book.now:
                raise ConfigurationError("expected a moment in the future to put a case off until.")
            case = mine(book, number, by, version)
            return book.change(
                case, "snoozed", by, wake=until, holder=None, lease=None, until=until, note=note
            )

    def escalate(self, number: int, by: str, *, note: str, version: int | None = None) -> Case:
        """Pass a case on to somebody with more to say, and say why."""
        check_note(note, required=True)
        with writing(self._control, self._clock()) as book:
            case = mine(book, number, by, version)
            level = case.level + 1
            return book.change(
                case, "escalated", by, level=level, holder=None, lease=None, note=note
            )

    def note(self, number: int, by: str, *, note: str, version: int | None = None) -> Case:
        """Write something down about a case, whoever has it."""
        check_note(note, required=True)
        with writing(self._control, self._clock()) as book:
            return book.change(unchanged(book, number, by, version), "noted", by, note=note)

    def decide(
        self,
        number: int,
        by: str,
        *,
        outcome: Outcome,
        note: str | None = None,
        labels: Mapping[str, bool] | None = None,
        version: int | None = None,
    ) -> Case:
        """Close a case. The ledger gets its labels within seconds, once a service runs.

        Args:
            labels: whether each of these payments of the case was fraud; by default those that were
                not approved get the label of the outcome, and none where it is unclear.
        """
        check_note(note)
        require_outcome(outcome)
        with writing(self._control, self._clock()) as book:
            if second.held(book, number, by) is not None:
                return second.judge(
                    book, number, by, outcome=outcome, note=note, labels=labels, version=version
                )
            return self._close(book, mine(book, number, by, version), by, outcome, note, labels)

    def decide_all(
        self,
        numbers: Collection[int],
        by: str,
        *,
        outcome: Outcome,
        note: str | None = None,
        versions: Mapping[int, int] | None = None,
    ) -> list[Case]:
        """Close several cases at these versions, or none if one of them cannot be."""
        seen = versions or {}
        check_note(note)
        require_outcome(outcome)
        if not 0 < len(numbers) <= listing.MAX_CASES:
            raise ConfigurationError(f"expected 1 to {listing.MAX_CASES:,} cases to close.")
        with writing(self._control, self._clock()) as book:
            return [
                self._close(book, mine(book, number, by, seen.get(number)), by, outcome, note, None)
                for number in sorted(set(numbers))
            ]

    def reopen(self, number: int, by: str, *, note: str, version: int | None = None) -> Case:
        """Open a closed case again, and say why; labels that it gave stay as they are."""
        check_note(note, required=True)
        with writing(self._control, self._clock()) as book:
            return reopening.reopen(book, number, by, note=note, version=version)

    def undo(self, number: int, by: str) -> Case:
        """Take back a decision that the caller made within the last five minutes: the case is open
        again, and theirs. Labels that nobody has sent yet are withdrawn; where some were sent, the
        history says that the case was opened again after that.
        """
        with writing(self._control, self._clock()) as book:
            return reopening.undo(book, number, by, self._lease)

    def undo_all(self, numbers: Collection[int], by: str) -> list[Case]:
        """Take back several decisions as `undo` does, or none if one of them cannot be."""
        if not 0 < len(numbers) <= listing.MAX_CASES:
            raise ConfigurationError(f"expected 1 to {listing.MAX_CASES:,} cases to undo.")
        with writing(self._control, self._clock()) as book:
            return [
                reopening.undo(book, number, by, self._lease) for number in sorted(set(numbers))
            ]

    def forget(
        self, kind: str, subjects: Collection[str], payment_ids: Sequence[str], by: str
    ) -> int:
        """Erase whose the cases of a subject are: who it is, its payments, labels and notes; their
        steps stay, without the notes. Its payments go from other cases too, which are ranked anew,
        and erased where nothing is left. Returns how many of its cases there were.

        Args:
            kind: the column of the subject; `subjects` are the forms of its value.
        """
        with writing(self._control, self._clock()) as book:
            many = erase(book, kind, subjects, payment_ids, by)
        if many or payment_ids:
            self._control.scrub(*ERASED)
        return many

    def held(
        self, kinds: Collection[str], subjects: Collection[str], payment_ids: Sequence[str]
    ) -> list[tuple[Case, list[CasePayment], list[CaseEvent]]]:
        """The cases of a subject, and others that have payments of theirs: each with these payments
        and all its steps and notes, by number.

        Args:
            kinds: the columns of the subject; `subjects` are the forms of its value.
        """
        with reading(self._control, self._clock()) as book:
            return held(book, kinds, subjects, payment_ids)

    def queues(self) -> list[CaseQueue]:
        """The queues, in the order in which they are asked whether they take a case."""
        with reading(self._control, self._clock()) as book:
            return book.queues()

    def loads(self) -> list[listing.QueueLoad]:
        """What waits in each queue, also in those that were removed and still have open cases."""
        with reading(self._control, self._clock()) as book:
            return listing.loads(book)

    def set_queues(self, queues: Sequence[CaseQueue]) -> None:
        """Replace the queues; cases that are open stay where they are.

        Raises:
            ConfigurationError: a name twice, or a condition that is none.
        """
        check_queues(queues)
        with writing(self._control, self._clock()) as book:
            book.set_queues(queues)

    def verify(self) -> CaseEvent | None:
        """The last step of all cases, once the chain of all was verified.

        Raises:
            BrokenChain: a step was changed, removed or added.
        """
        steps = self.history()
        return steps[-1] if steps else None

    def history(self, viewer: str | None = None) -> list[CaseEvent]:
        """The steps of all cases with their notes, once the chain of all was verified; what a case
        came to is left out for somebody who judges it a second time.

        Raises:
            BrokenChain: a step was changed, removed or added.
        """
        with reading(self._control, self._clock()) as book:
            steps, notes = book.events(), {one: rest for one, *rest in book.notes()}
            blind = frozenset[int]() if viewer is None else second.cases_held(book, viewer)
        require_chained(steps, of="cases")
        digests = {one.id: one.note_digest for one in steps}
        if any(digests.get(event) != digest for event, (_, digest) in notes.items()):
            raise BrokenChain("the history of cases was changed: a note is not as it was written.")
        return [
            msgspec.structs.replace(one, outcome=None)
            if one.case in blind
            else msgspec.structs.replace(one, note=notes[one.id][0])
            if one.id in notes
            else one
            for one in steps
        ]

    def labels(self, limit: int = 100) -> list[outbox.CaseLabel]:
        """Labels that the ledger does not have yet, the oldest first."""
        with reading(self._control, self._clock()) as book:
            return outbox.waiting_labels(book, limit)

    def take_labels(self, limit: int = 100) -> list[outbox.CaseLabel]:
        """Labels to be sent now, the oldest first: from now on no decision of theirs is undone."""
        with reading(self._control, self._clock()) as book:
            if not outbox.is_due(book):
                return []
        with writing(self._control, self._clock()) as book:
            return outbox.take_labels(book, limit)

    def sent(self, label: outbox.CaseLabel) -> None:
        """The ledger has a label."""
        with reading(self._control, self._clock()) as book:
            outbox.mark_sent(book, label)

    def agreement(self) -> Agreement:
        """How well people agree on the cases that were judged twice, and what they miss."""
        with reading(self._control, self._clock()) as book:
            reviews = second.done(book)
            return agreement(reviews, {one.case: book.payments(one.case) for one in reviews})

    def reasons_effect(self) -> list[hiding.ReasonsEffect]:
        """What reasons change, from cases whose reasons were shown or hidden by lot."""
        with reading(self._control, self._clock()) as book:
            return hiding.effects(hiding.readings(book))

    def _close(
        self,
        book: CaseBook,
        case: Case,
        by: str,
        outcome: Outcome,
        note: str | None,
        labels: Mapping[str, bool] | None,
    ) -> Case:
        hiding.begin_reading(book, self._key, case)
        closed = close_case(book, case, by, outcome, note, labels)
        if self._undo:
            event = outbox.label_event(case.id, closed.version)
            outbox.hold_labels(book, event, book.now + self._undo)
        second.draw(book, self._key, closed, by)
        hiding.end_reading(book, closed)
        return closed

    def _hidden(self, book: CaseBook, cases: Sequence[Case], viewer: str | None) -> frozenset[int]:
        again = frozenset[int]() if viewer is None else second.cases_held(book, viewer)
        unjudged = [one for one in cases if one.status == "open" or one.id in again]
        return hiding.hidden_of(book, self._key, unjudged)

    def _claim(self, book: CaseBook, case: Case, by: str) -> Case:
        hiding.begin_reading(book, self._key, case)
        return book.change(case, "claimed", by, holder=by, lease=book.now + self._lease, wake=None)
