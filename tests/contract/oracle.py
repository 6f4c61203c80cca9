"""The oracle: the window law word for word, slow and obvious, by comparing every payment with every other.

It shares no code with the engines beyond the definitions it judges them by: conditions are Python functions,
durations are spelt out, and money is `Fraction`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Row:
    """One payment as the oracle sees it; times in microseconds, amounts exact."""

    place: int
    arrived: int
    time: int
    amount: Fraction
    values: dict[str, str | None]
    quantity: Fraction | None
    result: str | None
    result_at: int | None
    label: bool | None
    labelled_at: int | None


@dataclass(frozen=True)
class Question:
    """A feature in the oracle's terms."""

    function: str
    keys: tuple[str, ...]
    window: str
    column: str | None = None
    where: Callable[[Row], bool | None] | None = None
    needs: tuple[str, ...] = ()
    delay: str | None = None
    resolution: str | None = None
    include_current: bool = False


def micros(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]] * 1_000_000


def answer(question: Question, rows: Sequence[Row], me: Row) -> float | None:
    """The value of a feature for one payment."""
    if any(me.values[key] is None for key in question.keys):
        return None
    if question.function == "risk":
        payments = [row for row in rows if _counts(question, question.needs, row, me)]
        frauds = [row for row in rows if _counts(question, (*question.needs, "label"), row, me) and row.label]
        return len(frauds) / len(payments) if payments else 0.0
    seen = [row for row in rows if _counts(question, question.needs, row, me)]
    if question.function == "count":
        return float(len(seen))
    if question.function == "distinct":
        assert question.column is not None
        return float(len({row.values[question.column] for row in seen} - {None}))
    if question.function == "seconds_since_last":
        return (me.time - max(row.time for row in seen)) / 1e6 if seen else None
    amounts = [amount for row in seen if (amount := _amount(question, row)) is not None]
    total = sum(amounts, Fraction(0))
    if question.function == "total":
        return float(total)
    # the engines divide twice, so the last bit of a mean is theirs to define: units over count over scale
    return float(total * 10_000) / len(amounts) / 10_000 if amounts else None


def _amount(question: Question, row: Row) -> Fraction | None:
    return row.amount if question.column == "amount" else row.quantity


def _counts(question: Question, needs: tuple[str, ...], row: Row, me: Row) -> bool:
    if any(row.values[key] != me.values[key] for key in question.keys):
        return False
    if not _in_window(question, row, me):
        return False
    if question.where is not None and question.where(row) is not True:
        return False
    if row.place == me.place:
        return question.include_current
    return _had_arrived(needs, row, me)


def _had_arrived(needs: tuple[str, ...], row: Row, me: Row) -> bool:
    if (row.arrived, row.place) >= (me.arrived, me.place):
        return False
    if "result" in needs and (row.result is None or row.result_at is None or row.result_at >= me.arrived):
        return False
    late = "label" in needs and (row.label is None or row.labelled_at is None or row.labelled_at >= me.arrived)
    return not late


def _in_window(question: Question, row: Row, me: Row) -> bool:
    delay = micros(question.delay) if question.delay else 0
    grain = micros(question.resolution) if question.resolution else 1
    if question.delay and row.time // grain > (me.time - delay) // grain:
        return False
    return row.time // grain > (me.time - delay - micros(question.window)) // grain
