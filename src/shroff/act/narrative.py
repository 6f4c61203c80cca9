"""A case in plain sentences: what was paid, what is unusual, and who decided what.

The same evidence gives the same sentences. Values are as the ledger has them: personal ones are
tokens. Each sentence is one line, and values of more than one word are in quotation marks: none
forges another sentence, whatever a payment or a label says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from shroff.act.case import CaseEvent
from shroff.act.evidence import CaseEvidence, EvidenceRecord, PaymentEvidence, said_by
from shroff.collect.payment import Value
from shroff.collect.times import iso_time
from shroff.errors import one_line
from shroff.ledger import StoredEntry
from shroff.ledger.answer import forgotten_on

_TOLD_PAYMENTS: Final = 50
"""Payments that have sentences of their own; the others are counted."""
_TOLD_COLUMNS: Final = 12
_WORD: Final = re.compile(r"[\w@+/:.#*-]+")
"""What needs no quotation marks."""
_STEPS: Final = {
    "opened": "opened the case",
    "grew": "added a payment",
    "claimed": "claimed it",
    "released": "gave it back",
    "assigned": "assigned it",
    "snoozed": "put it off",
    "escalated": "escalated it",
    "noted": "noted",
    "closed": "closed it",
    "reopened": "opened it again",
    "forgotten": "erased whose case it was",
    "joined": "joined it",
    "reviewed": "judged it a second time",
    "undone": "took the decision back",
}


def narrate(evidence: CaseEvidence) -> list[str]:
    """The sentences of a case, in order."""
    sentences = (
        *_about(evidence),
        *_links(evidence),
        *_payments(evidence),
        *map(_step, evidence.steps),
        *_replayed(evidence),
    )
    return [*map(one_line, sentences)]


def _about(evidence: CaseEvidence) -> Iterator[str]:
    case, erased = evidence.case, evidence.erased
    if erased is not None:
        yield (
            f"Case {case.id} was erased by {erased.by} on {_time(erased.at)}: whose it was, its "
            "payments, labels and notes are gone; its steps stay."
        )
        return
    count = len(evidence.payments)
    yield (
        f"Case {case.id} has {_counted(count, 'payment')} of {case.kind} "
        f"{_quoted(case.subject)}; it was opened on {_time(case.opened)} in the queue {case.queue}."
    )
    if count:
        paid = [one.payment for one in evidence.payments]
        first, last = min(one.at for one in paid), max(one.at for one in paid)
        total = sum(one.amount for one in paid)
        when = _time(first) if first == last else f"{_time(first)} to {_time(last)}"
        bases = {_base(one.record) for one in evidence.payments if one.record is not None}
        unit = bases.pop() if len(bases) == 1 else ""
        yield (
            f"They come to {total:,.2f}{unit}; they arrived from {when}."
            if count > 1
            else f"It is of {total:,.2f}{unit}; it arrived on {when}."
        )


def _base(record: EvidenceRecord | None) -> str:
    """The currency that a payment's amount was converted to, behind a blank; empty where it has its
    own, which its values name.
    """
    base = "" if record is None else record.payment.rates.partition(" ")[0]
    return f" {base}" if base else ""


def _sent(record: EvidenceRecord) -> str:
    """The amount that was paid, where it was converted; its currency is among the values, and says
    how many decimals it has: a whole amount may be of one that has none.
    """
    values = record.payment.values if record.payment.rates else {}
    for name, value in values.items():
        sent = values.get(f"original_{name}")
        if isinstance(value, float) and isinstance(sent, int | float) and sent != value:
            places = 0 if sent == round(sent) else 2 if sent == round(sent, 2) else 3
            return f", converted from {sent:,.{places}f},"
    return ""


def _links(evidence: CaseEvidence) -> Iterator[str]:
    """What several payments have in common, and how many values there are otherwise."""
    rows = [one.record.payment.values for one in evidence.payments if one.record is not None]
    if len(rows) < 2:
        return
    for name in sorted({name for row in rows for name in row}):
        values = Counter(text for row in rows if (text := _text(row.get(name))) is not None)
        if not values:
            continue
        value, times = min(values.items(), key=lambda one: (-one[1], one[0]))
        if times == len(rows):
            yield f"All have {name} {value}."
        elif times > 1:
            others, without = len(values) - 1, len(rows) - values.total()
            rest = [_counted(others, "other value")] if others else []
            rest += [f"{without} without"] if without else []
            yield f"{times} of {len(rows)} have {name} {value}; {', '.join(rest)}."


def _payments(evidence: CaseEvidence) -> Iterator[str]:
    if evidence.reasons_hidden:
        yield "Its reasons are hidden until it is decided, to measure whether they help."
    for one in evidence.payments[:_TOLD_PAYMENTS]:
        yield from _payment(one)
    if (rest := len(evidence.payments) - _TOLD_PAYMENTS) > 0:
        yield f"{_counted(rest, 'payment')} more are in payments.json."


def _payment(one: PaymentEvidence) -> Iterator[str]:
    paid, entry, record = one.payment, one.entry, one.record
    name = f"Payment {_quoted(paid.payment_id)}"
    if entry is None:
        yield f"{name} is not in the ledger."
        return
    if record is None:
        yield f"{name}: {forgotten_on(entry)}"
        return
    columns = [
        f"{column} {text}"
        for column, value in sorted(record.payment.values.items())
        if (text := _text(value)) is not None
    ][:_TOLD_COLUMNS]
    where = f" with {', '.join(columns)}" if columns else ""
    amount = f"{paid.amount:,.2f}{_base(record)}{_sent(record)}"
    yield f"{name} of {amount} was made on {_time(record.payment.time)}{where}."
    how = (
        "without a score, because a part was missing"
        if paid.probability is None
        else f"at a probability of fraud of {paid.probability:.4f}"
    )
    model = f"model {record.model}" + (
        f" and policy {record.policy}" if record.policy not in (None, record.model) else ""
    )
    yield f"It was decided to {paid.action} it, {how}, by {model} (record {entry.seq})."
    if record.answer.rules:
        yield f"Rules that held: {', '.join(record.answer.rules)}."
    if record.answer.reasons:
        unusual = "; ".join(reason.text for reason in record.answer.reasons)
        yield f"Unusual: {unusual}."
    yield from map(_later, one.later)


def _later(entry: StoredEntry) -> str:
    said = said_by(entry)
    when = _time(entry.arrived)
    if entry.kind == "result":
        return f"Its result is {said.value}, recorded on {when}."
    what = "fraud" if said.value is True else "genuine"
    note = f" ({said.note})" if said.note else ""
    return f"{_quoted(said.source or 'Somebody')}{note} says that it is {what}, recorded on {when}."


def _step(step: CaseEvent) -> str:
    to = "" if step.to is None else f" to {step.to}"
    until = "" if step.until is None else f" until {_time(step.until)}"
    outcome = "" if step.outcome is None else f" as {step.outcome}"
    note = f": {step.note}" if step.note else ""
    lost = ", with a note that was erased" if step.note is None and step.note_digest else ""
    does = _STEPS.get(step.step, step.step)
    return f"On {_time(step.at)} {step.by} {does}{to}{until}{outcome}{note}{lost}."


def _replayed(evidence: CaseEvidence) -> Iterator[str]:
    if evidence.replays is None:
        yield "The decisions were not replayed here: `shroff replay PAYMENT` does that."
        return
    if not evidence.replays:
        return
    equal = sum(one.holds is True for one in evidence.replays)
    yield f"{equal} of {_counted(len(evidence.replays), 'decision')} were replayed to the bit."
    for one in evidence.replays:
        if one.holds is False:
            yield f"The replay of {_quoted(one.payment_id)} differs in {', '.join(one.differs)}."
        elif one.holds is None:
            yield f"{_quoted(one.payment_id)} could not be replayed: {one.why}"


def _text(value: Value) -> str | None:
    """A column that says where or by what: text, no quantity."""
    return _quoted(value) if isinstance(value, str) and value else None


def _quoted(value: str) -> str:
    """A value that somebody else chose, so that everybody sees where it ends.

    >>> _quoted("card-7"), _quoted('A "shop". Ada closed it.')
    ('card-7', '"A \\\\"shop\\\\". Ada closed it."')
    """
    if _WORD.fullmatch(value):
        return value
    marked = value.replace('"', '\\"')
    return f'"{marked}"'


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _time(micros: int) -> str:
    return iso_time(micros, "seconds").replace("T", " ").replace("+00:00", " UTC")
