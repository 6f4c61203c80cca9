"""The PSD2 fraud rate and Visa's VAMP ratio from the ledger, and when they would reach a limit.

Payments that were not declined count. A fraud counts on the day on which its label arrived, so that
the last weeks are not too good for want of labels, as long as the label that stands says so. A
dispute counts even if it is withdrawn: schemes count those that were raised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.evaluate.schemes import (
    REFERENCE_RATES,
    VAMP_LEAST_CASES,
    VAMP_LIMITS,
    WINDOW_DAYS,
)
from shroff.ledger import Head, StoredEntry
from shroff.ledger.archive import GENESIS_HEAD
from shroff.ledger.labels import UNKEYED, LabelVerdict, Rank, history, verdict
from shroff.monitor.crossing import Crossing, crossing
from shroff.monitor.finding import Finding
from shroff.package import Bundle

Side = Literal["merchant", "acquirer"]
_MONTH_DAYS: Final = 30
_RATE_UNITS: Final = 1_000_000
_BASIS_POINTS: Final = 10_000
_EURO: Final = "EUR"


class SchemeGauge(NamedTuple):
    """A rate now, the limit that it would reach next, and when.

    Attributes:
        scheme: `psd2` or `vamp`.
        rate: over the last 90 or 30 days; None without payments.
        limit: the next one above it; None where it is above all of them.
        crossing: when it would be reached; None where that is not known.
        about: what the limit is.
    """

    scheme: str
    rate: float | None
    limit: float | None
    crossing: Crossing | None
    about: str

    def finding(self) -> Finding:
        """The gauge in words; a warning where the limit is near, or all are behind."""
        name = {"psd2": "PSD2 fraud rate", "vamp": "VAMP ratio"}[self.scheme]
        if self.rate is None:
            return Finding("schemes", self.scheme, "info", f"No payment gives a {name}.")
        now = f"The {name} is {_BASIS_POINTS * self.rate:.2f} bp"
        if self.limit is None:
            return Finding("schemes", self.scheme, "warning", f"{now}: above {self.about}.")
        limit = f"{now}; the limit of {_BASIS_POINTS * self.limit:.2f} bp ({self.about})"
        if self.crossing is None:
            told = f"{limit} has no date: eight weeks of payments are needed for a trend."
            return Finding("schemes", self.scheme, "info", told)
        told = f"{limit} would be reached, at the present trend, {self.crossing.words}."
        near = self.crossing.likely is not None
        return Finding("schemes", self.scheme, "warning" if near else "info", told)


class _Paid(msgspec.Struct):
    minor: int


class _Decided(msgspec.Struct):
    action: str
    payment: _Paid


_payment: Final = msgspec.json.Decoder(_Decided).decode


class DailySums(NamedTuple):
    """Sums of each day, from the first payment to the last whole day [days]: executed payments and
    their minor units, registered frauds, theirs, and disputes.
    """

    first: date
    payments: Floats
    amount: Floats
    frauds: Floats
    fraud_amount: Floats
    disputes: Floats


def daily_sums(
    entries: Iterable[StoredEntry], rank: Rank, *, now: int, disputed_by: Collection[str] = ()
) -> DailySums | None:
    """What the ledger's payments come to by day (UTC); None without a whole day.

    Args:
        rank: of sources of labels, such as `Schema.label_rank`.
        now: microseconds since the epoch; the day that it is in is not over.
        disputed_by: sources whose labels of fraud are disputes too.
    """
    found = SchemeCounts(rank, disputed_by)
    found.take(entries)
    return found.sums(now)


class SchemeCounts:
    """What the sums of days are made of, from a ledger's entries, which may come bit by bit.

    Args:
        rank, disputed_by: as `daily_sums`.
    """

    def __init__(self, rank: Rank, disputed_by: Collection[str] = ()) -> None:
        self.last = GENESIS_HEAD
        """The record up to which it has all."""
        self._rank = rank
        self._disputed_by = disputed_by
        self._paid: dict[str, tuple[int, int]] = {}
        self._verdicts: dict[str, LabelVerdict | None] = {}
        self._disputes: dict[str, int] = {}

    def take(self, entries: Iterable[StoredEntry]) -> None:
        """Add the entries that come after `last`; where reading them fails, those before stay."""
        for entry in entries:
            if entry.kind == "payment" and not entry.gone:
                decided = _payment(entry.body)
                if decided.action != "decline":
                    self._paid[entry.payment_id] = entry.arrived, decided.payment.minor
            elif entry.kind == "label" and not entry.gone:
                self._add_label(entry)
            self.last = Head(entry.seq, entry.chain)

    def _add_label(self, entry: StoredEntry) -> None:
        said, name = history([entry]), entry.payment_id
        self._verdicts[name] = verdict(said, self._rank, self._verdicts.get(name))
        (label,) = said
        if label.record.value is True and (label.record.source or UNKEYED) in self._disputed_by:
            self._disputes.setdefault(name, label.arrived)

    def sums(self, now: int) -> DailySums | None:
        """All that was taken by day; None without a whole day before `now` (microseconds)."""
        if not self._paid:
            return None
        disputes = self._disputes
        frauds = {name: one.since for name, one in self._verdicts.items() if one and one.fraud}
        table = pl.DataFrame(
            [
                (at, minor, frauds.get(name), disputes.get(name))
                for name, (at, minor) in self._paid.items()
            ],
            schema={"at": pl.Int64, "amount": pl.Int64, "fraud": pl.Int64, "dispute": pl.Int64},
            orient="row",
        )
        return _by_day(table, now)


def _by_day(table: pl.DataFrame, now: int) -> DailySums | None:
    days = {name: pl.from_epoch(name, time_unit="us").dt.date() for name in table.columns}
    first = table.select(days["at"].min()).item()
    last = pl.select(pl.from_epoch(pl.lit(now), time_unit="us").dt.date()).item()
    length = (last - first).days
    if length < 1:
        return None

    def sums(on: str, what: pl.Expr) -> Floats:
        found = table.group_by(days[on].alias("day")).agg(what.alias("sum")).drop_nulls("day")
        made = np.zeros(length)
        for day, value in found.iter_rows():
            if 0 <= (day - first).days < length:
                made[(day - first).days] = value
        return made

    amount = pl.col("amount").cast(pl.Float64).sum()
    return DailySums(
        first,
        sums("at", pl.len()),
        sums("at", amount),
        sums("fraud", pl.len()),
        sums("fraud", amount),
        sums("dispute", pl.len()),
    )


def gauges(bundle: Bundle, sums: DailySums, *, side: Side = "merchant") -> Iterator[SchemeGauge]:
    """The gauges of a ledger; of PSD2 only where amounts are in euros.

    Args:
        side: whose VAMP limits count.
    """
    last = sums.first + timedelta(days=len(sums.payments) - 1)
    if bundle.currency == _EURO:
        yield _psd2(sums, last)
    yield _vamp(sums, last, side)


def _psd2(sums: DailySums, last: date) -> SchemeGauge:
    f, v = (days[-WINDOW_DAYS:].sum() for days in (sums.fraud_amount, sums.amount))
    limits = {rate: euros for euros, rate in REFERENCE_RATES["card"].items()}
    if not v:
        return SchemeGauge("psd2", None, None, None, "")
    above = [rate for rate in sorted(limits) if f * _RATE_UNITS <= rate * v]
    if not above:
        worst = f"all reference rates, so that no exemption is left (over {WINDOW_DAYS} days)"
        return SchemeGauge("psd2", f / v, None, None, worst)
    limit = above[0] / _RATE_UNITS
    when = crossing(sums.fraud_amount, sums.amount, last, limit=limit, window_days=WINDOW_DAYS)
    about = f"exemption up to {limits[above[0]]} EUR, over {WINDOW_DAYS} days"
    return SchemeGauge("psd2", f / v, limit, when, about)


def _vamp(sums: DailySums, last: date, side: Side) -> SchemeGauge:
    cases = sums.frauds + sums.disputes
    c, n = (days[-_MONTH_DAYS:].sum() for days in (cases, sums.payments))
    if not n:
        return SchemeGauge("vamp", None, None, None, "")
    limits = next((one for one in reversed(VAMP_LIMITS) if one.since <= last), VAMP_LIMITS[-1])
    least = VAMP_LEAST_CASES if side == "merchant" else 0
    levels = {limits.merchant_excessive: "excessive merchant"}
    if side == "acquirer":
        levels = {limits.acquirer_excessive: "excessive acquirer"}
        if limits.acquirer_above_standard is not None:
            levels[limits.acquirer_above_standard] = "acquirer above standard"
    reached = [one for one in levels if c * _BASIS_POINTS >= one * n and c >= least]
    left = sorted(set(levels) - set(reached))
    if not left:
        return SchemeGauge("vamp", c / n, None, None, f"all limits ({levels[max(levels)]})")
    limit = left[0] / _BASIS_POINTS
    when = crossing(cases, sums.payments, last, limit=limit, window_days=_MONTH_DAYS, least=least)
    also = f", with {least:,} cases" if least else ""
    return SchemeGauge("vamp", c / n, limit, when, f"{levels[left[0]]}{also}, over 30 days")
