"""Figures that regulators and card schemes watch: fraud rates under PSD2, and Visa's VAMP ratio.

Reads one value per payment: its day, its amount in minor units (integers), and the day on which its
fraud counts, if it was one. All comparisons are between integers, so a rate that equals its limit
is seen as equal.

**PSD2.** A payment service provider may leave out strong customer authentication for remote
payments of low risk up to an amount, the exemption threshold value, as long as its fraud rate is at
or below the reference fraud rate of that amount. The rate is the value of unauthorised or
fraudulent remote payments over the value of all remote payments of the same type, over 90 days
(Commission Delegated Regulation (EU) 2018/389, Articles 18 to 20 and Annex). The regulator's
calculation is one per calendar quarter (EBA Q&A 2018_4045), and a threshold is lost when its
reference rate is exceeded in two consecutive quarters (Article 20(2)); the rate of the last 90
days, day by day, shows where that leads. Whether a fraud counts on the day of its payment or on
the day on which it is registered is the subject of EBA Q&A 2024_6989: here the caller says it.

**VAMP.** Visa's Acquirer Monitoring Program: reported frauds (TC40) and disputes (TC15) of a month
over its settled payments, by number. A fraud that is also disputed counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Ints, Times
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.checking import check_labels, check_length

Instrument = Literal["card", "credit_transfer"]
CountedOn = Literal["payment", "registration"]
"""The day on which a fraud counts: that of its payment, or that on which it was registered."""

CURRENCY: Final = "EUR"
"""The currency of the exemption threshold values."""
WINDOW_DAYS: Final = 90
REFERENCE_RATES: Final[dict[Instrument, dict[int, int]]] = {
    "card": {500: 100, 250: 600, 100: 1_300},
    "credit_transfer": {500: 50, 250: 100, 100: 150},
}
"""Hundredths of a basis point up to which a threshold value (EUR) is allowed: Annex to Delegated
Regulation (EU) 2018/389, 0.01, 0.06 and 0.13 % for cards, 0.005, 0.01 and 0.015 % for transfers.
"""
_RATE_UNITS: Final = 1_000_000
"""Hundredths of a basis point in the whole."""


class VampLimits(NamedTuple):
    """Ratios in basis points from which Visa acts, from a day on; None where there is no limit."""

    since: date
    merchant_excessive: int
    acquirer_above_standard: int | None
    acquirer_excessive: int


VAMP_LIMITS: Final = (
    VampLimits(date(2025, 6, 1), 220, None, 70),
    VampLimits(date(2026, 1, 1), 220, 50, 70),
    VampLimits(date(2026, 4, 1), 150, 50, 70),
)
"""Visa Acquirer Monitoring Program, the regions without rules of their own, as acquirers pass it on
(support.checkout.com, article 23330844282514).
"""
VAMP_LEAST_CASES: Final = 1_500
"""Fewest reported frauds and disputes in a month with which a merchant is excessive."""
_BASIS_POINTS: Final = 10_000


def counted_days(
    day: Times, y: Array, registered: Times | None = None, *, counted_on: CountedOn = "payment"
) -> Times:
    """The day on which each payment counts as a fraud, datetime64[D] [n]; NaT for the others.

    Args:
        day: of the payment [n].
        y: fraud or not [n].
        registered: when the label arrived [n]; NaT where it came with the payment.
        counted_on: the day of the payment, as in its denominator, or of the registration.

    Raises:
        ConfigurationError: frauds count when they are registered, and nobody says when that was.
        DataError: unequal lengths, labels that are none.

    >>> day = np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")
    >>> counted_days(day, np.array([0, 1]), day + 30, counted_on="registration").tolist()
    [None, datetime.date(2024, 2, 1)]
    """
    fraud = check_labels(y)
    counted = _days("day", day, fraud.size)
    if counted_on not in ("payment", "registration"):
        raise ConfigurationError('expected counted_on="payment" or counted_on="registration"')
    if counted_on == "registration":
        if registered is None:
            raise ConfigurationError(
                "to count a fraud on the day of its registration, it must be known: name the "
                "column with Schema(labelled_at=…), or count it on the day of its payment"
            )
        known = _days("registered", registered, fraud.size)
        # NaT compares as False; nothing is registered before it happened
        counted = np.where(known > counted, known, counted)
    return np.where(fraud, counted, np.datetime64("NaT", "D"))


def fraud_rates(day: Times, amount: Ints, fraud_day: Times, instrument: Instrument) -> pl.DataFrame:
    """The PSD2 fraud rate of the last 90 days, for each day from the first payment to the last.

    A row per day: `day`; `days` of the window that the payments reach back over, up to 90; the
    `fraud` and the `total` value in minor units (Int128); `fraud_rate`, null without payments;
    `threshold`, the highest exemption threshold value (EUR) that this rate allows, 0 for none.
    A fraud that counts on another day than these is left out.

    Args:
        day: of each payment [n], datetime64[D], in the zone in which days are counted.
        amount: in minor units of the euro, integers [n]; remote payments of one type.
        fraud_day: when it counts as a fraud [n] (`counted_days`); NaT for other payments.

    Raises:
        DataError: no payments, unequal lengths, a payment without a day, a negative amount.

    >>> day = np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")
    >>> never = np.datetime64("NaT")
    >>> fraud_rates(day, np.array([999_400, 600]), np.array([never, day[1]]), "card").rows()[1]
    (datetime.date(2024, 1, 2), 2, 600, 1000000, 0.0006, 250)
    """
    first, total, fraud = _daily(day, amount, fraud_day)
    rows = []
    for at in range(len(total)):
        since = max(at + 1 - WINDOW_DAYS, 0)
        sums = sum(fraud[since : at + 1]), sum(total[since : at + 1])
        rows.append((first + timedelta(days=at), at + 1 - since, *_rated(*sums, instrument)))
    return pl.DataFrame(rows, schema=_RATED, orient="row")


def quarterly_rates(
    day: Times, amount: Ints, fraud_day: Times, instrument: Instrument
) -> pl.DataFrame:
    """The same by calendar quarter, as the regulator asks for it, and which threshold is left.

    A row per quarter, by its first `day`, with the columns of `fraud_rates` and `usable`: the
    highest exemption threshold value (EUR) whose reference rate was not exceeded in this quarter
    and the one before, both (Article 20(2)).
    """
    first, total, fraud = _daily(day, amount, fraud_day)
    by_quarter: dict[date, list[int]] = {}
    for at, sums in enumerate(zip(fraud, total, strict=True)):
        one = first + timedelta(days=at)
        quarter = one.replace(month=(one.month - 1) // 3 * 3 + 1, day=1)
        found = by_quarter.setdefault(quarter, [0, 0, 0])
        by_quarter[quarter] = [found[0] + 1, found[1] + sums[0], found[2] + sums[1]]
    rows: list[tuple[Any, ...]] = []
    for quarter, (days, *both) in by_quarter.items():
        rated = _rated(both[0], both[1], instrument)
        before = rows[-1][-2] if rows else 0
        rows.append((quarter, days, *rated, max(rated[-1], before)))
    return pl.DataFrame(rows, schema=_RATED | {"usable": pl.Int64()}, orient="row")


def crossings(rates: pl.DataFrame) -> pl.DataFrame:
    """The days on which the allowed threshold changed, as `day`, `before`, `after`, of rates whose
    windows have all 90 days; the first of them has no `before`.
    """
    whole = rates.filter(pl.col("days") == WINDOW_DAYS)
    moved = whole.select("day", before=pl.col("threshold").shift(), after="threshold")
    return moved.filter(pl.col("after").ne_missing(pl.col("before")))


def vamp(
    day: Times, fraud_day: Times, dispute_day: Times, merchant: pl.Series | None = None
) -> pl.DataFrame:
    """The VAMP ratio of each month, of each merchant and of all together.

    A row per month and merchant, `merchant` null for all together: `month` (its first day),
    `settled` payments, `frauds` reported and `disputes` in it, their sum over the settled as
    `ratio` (null without payments), and the `level` by the limits of that month: `excessive`,
    `above_standard`, `within`, null before there were limits. A row of one merchant is judged by
    the limits of merchants, and so are all together where no merchant is given; otherwise all
    together are judged as an acquirer.

    Args:
        day: of each settled payment [n], datetime64[D].
        fraud_day, dispute_day: when it was reported as a fraud, and disputed [n]; NaT where it was
            not.
        merchant: of each payment [n]; null belongs to all together only.

    Raises:
        DataError: unequal lengths, a payment without a day.

    >>> day = np.full(200, np.datetime64("2026-04-07"))
    >>> fraud = np.where(np.arange(200) < 3, day, np.datetime64("NaT"))
    >>> vamp(day, fraud, np.full(200, np.datetime64("NaT"))).rows()
    [(None, datetime.date(2026, 4, 1), 200, 3, 0, 0.015, 'within')]
    """
    given = {"settled": day, "frauds": fraud_day, "disputes": dispute_day}
    n = len(day)
    if np.isnat(_days("day", day, n)).any():
        raise DataError("expected a day for every payment, got none for some")
    table = pl.DataFrame({name: _months(_days(name, days, n)) for name, days in given.items()})
    if merchant is not None:
        table = table.with_columns(merchant.cast(pl.String).alias("merchant"))
    # counted one by one: all events in one table would be thrice as long as the payments
    by = ["month"] if merchant is None else ["merchant", "month"]
    events = pl.concat(
        (
            table.select(by[:-1], month=pl.col(name))
            .drop_nulls("month")
            .group_by(by)
            .agg(pl.len().cast(pl.Int64).alias(name))
            for name in given
        ),
        how="diagonal",
    )
    counted = [pl.col(name).sum() for name in given]
    both = events.group_by("month").agg(counted).with_columns(merchant=pl.lit(None, pl.String))
    parts = [both]
    if merchant is not None:
        parts.append(events.drop_nulls("merchant").group_by(by).agg(counted))
    found = pl.concat(parts, how="diagonal").sort("merchant", "month", nulls_last=False)
    rows = [
        (*row, *_vamp(*row[1:], acquirer=merchant is not None and row[0] is None))
        for row in found.select("merchant", "month", *given).iter_rows()
    ]
    return pl.DataFrame(rows, schema=_VAMP, orient="row")


_RATED: Final[dict[str, pl.DataType]] = {
    "day": pl.Date(),
    "days": pl.Int64(),
    "fraud": pl.Int128(),
    "total": pl.Int128(),
    "fraud_rate": pl.Float64(),
    "threshold": pl.Int64(),
}
_VAMP: Final[dict[str, pl.DataType]] = {
    "merchant": pl.String(),
    "month": pl.Date(),
    "settled": pl.Int64(),
    "frauds": pl.Int64(),
    "disputes": pl.Int64(),
    "ratio": pl.Float64(),
    "level": pl.String(),
}


def _rated(fraud: int, total: int, instrument: Instrument) -> tuple[int, int, float | None, int]:
    allowed = (
        threshold
        for threshold, rate in REFERENCE_RATES[instrument].items()
        if fraud * _RATE_UNITS <= rate * total
    )
    # without payments there is no rate that would allow anything
    return fraud, total, fraud / total if total else None, next(allowed, 0) if total else 0


def _daily(day: Times, amount: Ints, fraud_day: Times) -> tuple[date, list[int], list[int]]:
    """The first day, and the total and the fraud value of each day from it to the last one."""
    n = len(day)
    if not n:
        raise DataError("expected at least one payment to rate, got none")
    check_length("amount", amount, n)
    if amount.dtype.kind != "i" or (amount < 0).any():
        raise DataError("expected `amount` as integers of 0 or more, in minor units")
    paid, counted = _days("day", day, n), _days("fraud_day", fraud_day, n)
    if np.isnat(paid).any():
        raise DataError("expected a day for every payment, got none for some")
    first = paid.min()
    length = int((paid.max() - first).astype(int)) + 1
    return first.item(), *(_sums(days, amount, first, length) for days in (paid, counted))


def _sums(days: Times, amount: Ints, first: np.datetime64, length: int) -> list[int]:
    """The amounts of each day; as Int128, because the largest of a busy day exceed 64 bits."""
    at = (days - first).astype(np.int64)  # NaT becomes the least integer
    kept: Bools = (at >= 0) & (at < length)
    table = pl.DataFrame({"at": at[kept], "amount": amount[kept]})
    sums = [0] * length
    for one, value in table.group_by("at").agg(pl.col("amount").cast(pl.Int128).sum()).iter_rows():
        sums[one] = value
    return sums


def _days(name: str, values: Times, n: int) -> Times:
    check_length(name, values, n)
    if values.dtype.kind != "M":
        raise DataError(f"expected `{name}` as datetime64, got dtype {values.dtype}")
    return values.astype("datetime64[D]")


def _months(days: Times) -> pl.Series:
    """The first day of each month."""
    return pl.Series(days.astype("datetime64[M]").astype("datetime64[D]"))


def _vamp(
    month: date, settled: int, frauds: int, disputes: int, *, acquirer: bool
) -> tuple[float | None, str | None]:
    cases = frauds + disputes
    ratio = cases / settled if settled else None
    limits = next((one for one in reversed(VAMP_LIMITS) if one.since <= month), None)
    if limits is None:
        return ratio, None
    levels = dict(_levels(limits, cases, acquirer=acquirer))
    reached = (name for name, limit in levels.items() if cases * _BASIS_POINTS >= limit * settled)
    return ratio, next(reached, "within") if cases else "within"


def _levels(limits: VampLimits, cases: int, *, acquirer: bool) -> Iterator[tuple[str, int]]:
    """The levels that can be reached, the highest first, with their ratio in basis points."""
    if not acquirer:
        if cases >= VAMP_LEAST_CASES:
            yield "excessive", limits.merchant_excessive
        return
    yield "excessive", limits.acquirer_excessive
    if limits.acquirer_above_standard is not None:
        yield "above_standard", limits.acquirer_above_standard
