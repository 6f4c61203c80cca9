"""The oracle: the window law word for word, slow and obvious, by comparing every payment with every
other.

It shares no code with the engines beyond the definitions it judges them by: conditions are Python
functions, durations are spelt out, and money is `Fraction`. Where a value is irrational or a
quotient of quotients, the last bit is the engines' to define; the order in which they round is
written out here again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import log, sqrt
from typing import TypeVar

T = TypeVar("T", int, str)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST = Fraction(10**14)
VECTORS: dict[tuple[str, str], tuple[int, ...]] = {
    ("country", "DK"): (32_767, -5),
    ("country", "SE"): (-20_000, 17),
    ("amount", "<1"): (1, 9_999),
    ("amount", "1000-2000"): (-1, -9_999),
    ("amount", "2000-5000"): (-3, 0),
    ("amount", ">=50000000"): (7, 7),
    ("time", "evening"): (20_000, -17),
}
"""The vectors of some tokens; payments are from 22:13 to 22:33 in UTC, so that of a night is never
met.
"""
BANDS = [Fraction(step * 10**power) for power in range(8) for step in (1, 2, 5)]
WITH_ITS_PAYMENT = -(10**30)


@dataclass(frozen=True)
class Said:
    """What a source says of a payment, and how much it is trusted (0: the most)."""

    at: int
    fraud: bool
    source: str
    rank: int


@dataclass(frozen=True)
class Row:
    """One payment as the oracle sees it; times in microseconds, amounts exact.

    With `said`, its label is what stands of that at a moment.
    """

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
    said: tuple[Said, ...] | None = None

    def known(self, now: int) -> Row:
        """The payment with the label that stands for whoever arrives now."""
        if self.said is None:
            return self
        heard = sorted(
            (said for said in self.said if max(said.at, self.arrived) < now),
            key=lambda said: said.at,
        )
        label = since = None
        for many in range(1, len(heard) + 1):
            best = min(said.rank for said in heard[:many])
            stands = [said.fraud for said in heard[:many] if said.rank == best][-1]
            if stands is not label:
                label, since = stands, heard[many - 1].at
        return replace(self, label=label, labelled_at=since)


@dataclass(frozen=True)
class Condition:
    """A SQL condition in the oracle's terms, and what must have arrived before it is known."""

    sql: str
    test: Callable[[Row], bool | None]
    needs: tuple[str, ...] = ()


FRAUD = Condition("label", lambda row: row.label, ("label",))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A feature in the oracle's terms."""

    function: str
    keys: tuple[str, ...]
    window: str
    column: str | None = None
    where: Condition | None = None
    condition: Condition | None = None
    delay: str | None = None
    resolution: str | None = None
    half_life: str | None = None
    include_current: bool = False
    prior: float = 0.0
    weight: float = 0.0
    n: int = 1
    q: float | None = None


def micros(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]] * 1_000_000


def answer(question: Question, rows: Sequence[Row], me: Row) -> float | str | None:
    """The value of a feature for one payment."""
    if any(me.values[key] is None for key in question.keys):
        return None
    where = () if question.where is None else (question.where,)
    seen = [row for row in rows if _counts(question, where, row, me)]
    if question.function in ("share", "frauds", "risk"):
        condition = question.condition or FRAUD
        part = [row for row in rows if _counts(question, (*where, condition), row, me)]
        return _part(question, len(part), len(seen))
    if question.function.startswith("decayed"):
        return _decayed(question, seen, me)
    if question.function in ("last", "first", "seconds_since_last"):
        needs = set(question.where.needs) if question.where else set()
        return _of_one(
            question,
            sorted(seen, key=lambda row: (row.time, _since(needs, row, me), row.place)),
            me,
        )
    if question.function == "distance":
        return _away(_vector(me), [sum(part) for part in zip(*map(_vector, seen), strict=True)])
    if question.function == "habit":
        at = int(str(question.column)[-2]) - 1
        return float(sum(_vector(row)[at] for row in seen)) / len(seen) / 10_000 if seen else None
    if question.column is None:
        return _of_payments(question.function, seen, me)
    if question.column in me.values:
        names = [name for row in seen if (name := row.values[question.column]) is not None]
        if question.function == "mode":
            return _commonest(names)
        return _of_names(question.function, names, me.values[question.column])
    return _of_numbers(
        question, [units for row in seen if (units := _units(question, row)) is not None]
    )


def _part(question: Question, part: int, whole: int) -> float | None:
    if question.function == "frauds":
        return float(part)
    if question.function == "share":
        return part / whole if whole else None
    total = whole + question.weight
    return (part + question.prior * question.weight) / total if total else 0.0


def _of_payments(function: str, seen: list[Row], me: Row) -> float | None:
    if function == "count":
        return float(len(seen))
    return (me.time - min(row.time for row in seen)) / 1e6 if seen else None


def _of_one(question: Question, in_order: list[Row], me: Row) -> float | str | None:
    if len(in_order) < question.n:
        return None
    row = in_order[question.n - 1] if question.function == "first" else in_order[-question.n]
    if question.column is None:
        return (me.time - row.time) / 1e6
    if question.column in me.values:
        return row.values[question.column]
    units = _units(question, row)
    return None if units is None else float(units) / 10_000


def _since(needs: set[str], row: Row, me: Row) -> int:
    """When the last of what it takes had arrived."""
    if row.place == me.place:
        return row.arrived
    known = row.known(me.arrived)
    moments = {"result": known.result_at, "label": known.labelled_at}
    return max(row.arrived, *(moments[need] or 0 for need in needs), 0)


def _of_names(function: str, names: list[str], mine: str | None) -> float | None:
    if function == "distinct":
        return float(len(set(names)))
    if function == "is_new":
        return None if mine is None else float(mine not in names)
    if not names:
        return None
    counts = Counter(names).values()
    if function == "top_share":
        return max(counts) / len(names)
    return (_n_ln_n(len(names)) - sum(map(_n_ln_n, counts))) / len(names) / 2**32


def _vector(row: Row) -> tuple[int, ...]:
    """The vector of a payment: the sum of those of its country, its band of amounts and its part of
    the day.
    """
    reached = [edge for edge in BANDS if row.amount >= edge]
    following = [edge for edge in BANDS if row.amount < edge]
    band = (
        f"{reached[-1]}-{following[0]}"
        if reached and following
        else "<1"
        if following
        else ">=50000000"
    )
    part = ("night", "morning", "afternoon", "evening")[row.time // 1_000_000 % 86_400 // 21_600]
    words = ("country", row.values["country"]), ("amount", band), ("time", part)
    found = [VECTORS.get((column, str(token)), (0, 0)) for column, token in words]
    return tuple(sum(part) for part in zip(*found, strict=True))


def _away(mine: Sequence[int], past: Sequence[int]) -> float | None:
    """One minus the cosine, its products added from the first component to the last."""
    if not any(mine) or not any(past):
        return None
    both = one = other = 0.0
    for a, b in zip(mine, past, strict=True):
        both += float(a) * float(b)
        one += float(a) * float(a)
        other += float(b) * float(b)
    return 1.0 - both / (sqrt(one) * sqrt(other))


def _n_ln_n(count: int) -> int:
    return round(count * log(count) * 2**32)


def _commonest(values: list[T]) -> T | None:
    counts = Counter(values)
    most = max(counts.values(), default=0)
    return min((value for value in counts if counts[value] == most), default=None)


def _of_numbers(question: Question, units: list[int]) -> float | None:
    function = question.function
    total, n = sum(units), len(units)
    if function == "total":
        return float(total) / 10_000
    if not units:
        return None
    if function == "mean":
        return float(total) / n / 10_000
    if function == "mode":
        return float(_commonest(units) or 0) / 10_000
    if function in ("quantile", "median"):
        least = Fraction(str(question.q if function == "quantile" else 0.5)) * n
        ordered = sorted(units)
        # `bisect_right` says how many are no larger
        enough = (unit for unit in ordered if bisect_right(ordered, unit) >= least)
        return float(next(enough)) / 10_000
    if function == "std":
        middle, rest = divmod(total, n)
        scatter = sum((unit - middle) ** 2 for unit in units)
        return sqrt(max(float(scatter) - float(rest * rest) / n, 0.0) / n) / 10_000
    return float(min(units) if function == "min" else max(units)) / 10_000


def _decayed(question: Question, seen: list[Row], me: Row) -> float:
    step = _grain(question)
    now = (me.time - (micros(question.delay) if question.delay else 0)) // step
    sums: Counter[int] = Counter()
    for row in seen:
        sums[row.time // step] += (_units(question, row) or 0) if question.column else 1
    value = 0.0
    for then, held in sorted(sums.items()):
        age = max(now - then, 0)
        value += held * (2.0 ** (-age / 16) if age < 64 * 16 else 0.0)
    return value / 10_000 if question.column else value


def _units(question: Question, row: Row) -> int | None:
    if question.column == "amount":
        return int(row.amount * 10_000)
    return None if row.quantity is None else round(min(max(row.quantity, -MOST), MOST) * 10_000)


def _grain(question: Question) -> int:
    if question.half_life:
        return micros(question.half_life) // 16
    return micros(question.resolution) if question.resolution else 1


def _counts(question: Question, conditions: Sequence[Condition], row: Row, me: Row) -> bool:
    if (row.arrived, row.place) > (me.arrived, me.place):
        return False
    if any(row.values[key] != me.values[key] for key in question.keys):
        return False
    if not _in_window(question, row, me):
        return False
    row = row.known(me.arrived)
    if any(condition.test(row) is not True for condition in conditions):
        return False
    if row.place == me.place:
        return question.include_current
    return had_arrived({need for condition in conditions for need in condition.needs}, row, me)


def had_arrived(needs: set[str], row: Row, me: Row) -> bool:
    """Whether all of these had arrived when a payment did."""
    later = {"result": (row.result, row.result_at), "label": (row.label, row.labelled_at)}
    return all(
        value is not None and _before(at, row, me) for value, at in map(later.__getitem__, needs)
    )


def _before(at: int | None, row: Row, me: Row) -> bool:
    """Whether a result or label had arrived; what claims to have come before its payment came right
    after it.
    """
    return at == WITH_ITS_PAYMENT or (at is not None and max(at, row.arrived) < me.arrived)


def _in_window(question: Question, row: Row, me: Row) -> bool:
    delay = micros(question.delay) if question.delay else 0
    grain = _grain(question)
    if question.delay and row.time // grain > (me.time - delay) // grain:
        return False
    return row.time // grain > (me.time - delay - micros(question.window)) // grain
