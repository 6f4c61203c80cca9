"""What people do with cases: claim, put off, pass on, note and close them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy import case as when

from shroff.act.analysts import Agreement, agreement
from shroff.act.book import CaseBook, reading, writing
from shroff.act.case import Case, CaseEvent, CasePayment, CaseQueue, Outcome
from shroff.act.intake import weigh_again
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
from shroff.act.second import (
    blind_file,
    done,
    draw,
    give_back,
    held,
    judge,
    keep,
    next_second,
    require_seen,
)
from shroff.act.tables import (
    CASE_LABELS,
    CASE_NOTES,
    CASE_PAYMENTS,
    CASE_SECOND,
    CASE_SIGHTINGS,
    CASES,
)
from shroff.clock import Clock, system_time
from shroff.control.database import Control
from shroff.control.history import require_chained
from shroff.errors import BrokenChain, CaseConflict, ConfigurationError

LEASE_MINUTES: Final = 60
_MINUTE_US: Final = 60_000_000
_MAX_CASES: Final = 1_000


class CaseLabel(NamedTuple):
    """A label that a decision gave, to be sent to the ledger."""

    id: int
    payment_id: str
    event: str
    fraud: bool
    by: str


class QueueLoad(NamedTuple):
    """What waits in a queue: open cases, those that nobody has claimed or put off, those that are
    overdue, and the expected loss of all.
    """

    queue: CaseQueue
    open: int
    waiting: int
    overdue: int
    expected_loss: float


class Desk:
    """The cases in a control database.

    Every change names the version of the case that the caller saw (None: whichever it is now), and
    who makes it. A case that somebody else has claimed is changed by them only, until the claim
    lapses. `key` draws the cases that are judged twice.

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
    ) -> None:
        self._control = Control(url)
        self._key = key
        self._clock = clock
        self._lease = lease_minutes * _MINUTE_US

    def cases(
        self,
        *,
        queue: str | None = None,
        holder: str | None = None,
        subject: str | None = None,
        waiting: bool = False,
        closed: bool = False,
        viewer: str | None = None,
        limit: int = 50,
        after: tuple[float, int] | None = None,
    ) -> list[Case]:
        """Open cases (or the closed ones), those most worth their time first.

        Args:
            holder: only those that they have claimed; `subject`: only of this card, host ….
            waiting: only those that nobody has claimed or put off.
            viewer: who sees them: not the closed ones that they judge a second time.
            after: worth and number of the last case of the page before.
        """
        if not 0 < limit <= _MAX_CASES:
            raise ConfigurationError(f"expected a limit of 1 to {_MAX_CASES:,}, got {limit}.")
        now = self._clock()
        conditions = [CASES.c.status == ("closed" if closed else "open"), apart()]
        if queue is not None:
            conditions.append(CASES.c.queue == queue)
        if subject is not None:
            conditions.append(CASES.c.subject == subject)
        if viewer is not None and closed:
            blind = (CASE_SECOND.c.holder == viewer, CASE_SECOND.c.outcome.is_(None))
            conditions.append(CASES.c.id.not_in(select(CASE_SECOND.c.case).where(*blind)))
        if holder is not None:
            conditions += [CASES.c.holder == holder, CASES.c.lease > now]
        if waiting:
            conditions += waiting_now(now)
        with reading(self._control, now) as book:
            return book.cases(*conditions, limit=limit, after=after)

    def case(
        self, number: int, viewer: str | None = None
    ) -> tuple[Case, list[CasePayment], list[CaseEvent]]:
        """A case, its payments, and its history; its second reviewer sees no outcome."""
        with reading(self._control, self._clock()) as book:
            if viewer is not None and held(book, number, viewer) is not None:
                return blind_file(book, book.case(number), viewer)
            return book.case(number), book.payments(number), book.told(number)

    def next(self, by: str, *, queue: str | None = None) -> Case | None:
        """Claim a case that was drawn to be judged again, or else the waiting case that is most
        worth its time; None where none waits.
        """
        with writing(self._control, self._clock()) as book:
            if (again := next_second(book, by, queue, self._lease)) is not None:
                return again
            own = [] if queue is None else [CASES.c.queue == queue]
            best = book.cases(
                CASES.c.status == "open", apart(), *own, *waiting_now(book.now), limit=1
            )
            return self._claim(book, best[0], by) if best else None

    def claim(self, number: int, by: str, *, version: int | None = None) -> Case:
        """Claim a case for an hour; again, to have it for another hour."""
        with writing(self._control, self._clock()) as book:
            if held(book, number, by) is not None:
                return keep(book, number, by, self._lease)
            return self._claim(book, mine(book, number, by, version), by)

    def release(self, number: int, by: str, *, version: int | None = None) -> Case:
        """Give a claimed case back."""
        with writing(self._control, self._clock()) as book:
            if held(book, number, by) is not None:
                return give_back(book, number, by)
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
            if held(book, number, by) is not None:
                return judge(
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
        if not 0 < len(numbers) <= _MAX_CASES:
            raise ConfigurationError(f"expected 1 to {_MAX_CASES:,} cases to close.")
        with writing(self._control, self._clock()) as book:
            return [
                self._close(book, mine(book, number, by, seen.get(number)), by, outcome, note, None)
                for number in sorted(set(numbers))
            ]

    def reopen(self, number: int, by: str, *, note: str, version: int | None = None) -> Case:
        """Open a closed case again, and say why; labels that it gave stay as they are."""
        check_note(note, required=True)
        with writing(self._control, self._clock()) as book:
            require_seen(book, number, by)
            case = book.case(number)
            if case.status == "open" or version not in (None, case.version):
                raise CaseConflict(f"case {number} is {case.status}, at version {case.version}.")
            other = book.open_case(case.kind, case.subject)
            if other is not None:
                raise CaseConflict(
                    f"case {other.id} of the same {case.kind} is open: go on with that."
                )
            book.undraw(number)
            return book.change(
                case, "reopened", by, status="open", closed=None, parent=None, note=note
            )

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
            own = (CASES.c.kind == kind, CASES.c.subject.in_(subjects))
            many, shrunk = 0, book.holding(payment_ids)
            # a case that was forgotten is of nobody any more, so the next part has others
            while found := book.cases(*own, limit=_MAX_CASES):
                for case in found:
                    book.forget(case, by)
                many += len(found)
                shrunk |= {one.parent for one in found if one.parent is not None}
                shrunk -= {one.id for one in found}
            book.drop(payment_ids)
            weigh_again(book, shrunk, by)
        if many or payment_ids:
            self._control.scrub(CASE_PAYMENTS)
            self._control.scrub(CASE_SIGHTINGS)
            self._control.scrub(CASE_NOTES)
        return many

    def queues(self) -> list[CaseQueue]:
        """The queues, in the order in which they are asked whether they take a case."""
        with reading(self._control, self._clock()) as book:
            return book.queues()

    def loads(self) -> list[QueueLoad]:
        """What waits in each queue, also in those that were removed and still have open cases."""
        with reading(self._control, self._clock()) as book:
            waits = when((and_(*waiting_now(book.now)), 1), else_=0)
            late = when((CASES.c.due < book.now, 1), else_=0)
            query = select(
                CASES.c.queue,
                func.count(),
                func.sum(waits),
                func.sum(late),
                func.sum(CASES.c.expected_loss),
            )
            query = query.where(CASES.c.status == "open", apart()).group_by(CASES.c.queue)
            found = {name: row for name, *row in book.connection.execute(query)}
            queues = {one.name: one for one in book.queues()}
        queues |= {name: CaseQueue(name=name) for name in sorted(found.keys() - queues.keys())}
        none = (0, 0, 0, 0.0)
        return [QueueLoad(one, *found.get(name, none)) for name, one in queues.items()]

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
        with reading(self._control, self._clock()) as book:
            steps, notes = book.events(), list(book.notes())
        require_chained(steps, of="cases")
        digests = {one.id: one.note_digest for one in steps}
        if any(digests.get(event) != digest for event, digest in notes):
            raise BrokenChain("the history of cases was changed: a note is not as it was written.")
        return steps[-1] if steps else None

    def labels(self, limit: int = 100) -> list[CaseLabel]:
        """Labels that the ledger does not have yet, the oldest first."""
        query = select(
            CASE_LABELS.c.id,
            CASE_LABELS.c.payment_id,
            CASE_LABELS.c.event,
            CASE_LABELS.c.fraud,
            CASE_LABELS.c.by,
        )
        query = query.where(~CASE_LABELS.c.sent).order_by(CASE_LABELS.c.id).limit(limit)
        with self._control.transaction("read the labels of cases") as connection:
            return [CaseLabel(*row) for row in connection.execute(query)]

    def sent(self, label: CaseLabel) -> None:
        """The ledger has a label."""
        with self._control.transaction("note a sent label") as connection:
            connection.execute(
                CASE_LABELS.update().where(CASE_LABELS.c.id == label.id), {"sent": True}
            )

    def agreement(self) -> Agreement:
        """How well people agree on the cases that were judged twice, and what they miss."""
        with reading(self._control, self._clock()) as book:
            reviews = done(book)
            return agreement(reviews, {one.case: book.payments(one.case) for one in reviews})

    def _close(
        self,
        book: CaseBook,
        case: Case,
        by: str,
        outcome: Outcome,
        note: str | None,
        labels: Mapping[str, bool] | None,
    ) -> Case:
        closed = close_case(book, case, by, outcome, note, labels)
        draw(book, self._key, closed, by)
        return closed

    def _claim(self, book: CaseBook, case: Case, by: str) -> Case:
        return book.change(case, "claimed", by, holder=by, lease=book.now + self._lease, wake=None)
