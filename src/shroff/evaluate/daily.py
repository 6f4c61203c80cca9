"""Held-out payments by day, rounded, from which the price of a review is found without a new fit.

The price is a dual price: the least surcharge on a review at which so few payments are worth one
that reviewers keep up. A payment is reviewed while the price is below what its review saves, so on
each day, the price that keeps to the capacity is what the first review beyond it saves. The price
in force is the least one with which the wanted share of days keeps to the capacity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Floats, Texts
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.checking import check_length
from shroff.evaluate.cost import Cost, check_costed, realised_costs
from shroff.evaluate.expected import MAX_COST, cheapest_actions, gain_of_review, known_costs
from shroff.evaluate.thresholds import NEVER, Thresholds, count_reviews, find_cheapest

MAX_DAYS: Final = 10_000
FINE_PAYMENTS: Final = 20_000
"""Payments that keep their day and more digits: those whose fraud is expected to cost most."""
_COLUMNS: Final = ("day", "probability", "amount", "payments", "frauds")
_ROUNDING: Final = 1e-9
_SPREAD: Final = -1
"""The day of payments that are spread evenly over all days."""


class DailyCosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Held-out payments that share a day, a probability and an amount, all rounded, with their
    number and how many are frauds; each column is a text of numbers between blanks.

    The 20,000 payments whose fraud is expected to cost most have probabilities of three digits and
    amounts of two; the others one digit of both and no day. No row names a payment.

    Attributes:
        days: the number of days (UTC); `day` counts from 0, and is -1 where payments are spread
            over all of them.
        share: of a day's payments that are held out, so that reviews per day shrink with it.
        expressions: the SQL of costs that differ between payments, whose values are `missed` and
            `declined`; otherwise these are empty.
        unknown: held-out payments without a known cost, which thresholds decide.

    Raises:
        DataError: columns of different lengths, or with what cannot be.
    """

    days: int
    share: float
    day: str
    probability: str
    amount: str
    payments: str
    frauds: str
    missed: str = ""
    declined: str = ""
    expressions: Mapping[str, str] = {}
    unknown: int = 0

    def __post_init__(self) -> None:
        if not self.expressions.keys() <= {"missed", "declined"} or not 0 < self.days <= MAX_DAYS:
            raise _unusable()
        try:
            held = {name: self.column(name) for name in (*_COLUMNS, *self.expressions)}
        except ValueError:
            raise _unusable() from None
        rows = {len(values) for values in held.values()}
        if len(rows) != 1 or rows == {0} or not 0 < self.share <= 1:
            raise _unusable()
        day, p, payments, frauds = (held[name] for name in _COLUMNS if name != "amount")
        usable = (day >= _SPREAD) & (day < self.days) & (p >= 0) & (p <= 1)
        usable &= (payments >= 1) & (frauds >= 0) & (frauds <= payments)
        for name in ("amount", *self.expressions):
            usable &= known_costs(held[name], held["amount"])
        if not usable.all():
            raise _unusable()

    @classmethod
    def of(
        cls,
        y: Array,
        probability: Array,
        amount: Array,
        day: Array,
        *,
        share: float = 1.0,
        given: Mapping[str, Floats] | None = None,
        expressions: Mapping[str, str] | None = None,
    ) -> DailyCosts:
        """The rows of labels `y` [n], calibrated probabilities [n], amounts [n] in major units and
        days [n].

        Args:
            given: the values [n] of each of `expressions`, by the field of the cost.

        Raises:
            DataError: unusable arrays.

        >>> y, p = np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9])
        >>> DailyCosts.of(y, p, np.array([5.0, 5.0, 70.0]), np.array([3, 3, 4])).payments
        '1 2'
        """
        fraud, p, money = check_costed(y, probability, amount, Cost())
        check_length("day", day, len(fraud))
        named, index = np.unique(day, return_inverse=True)
        columns = {"amount": money, **(given or {})}
        known = known_costs(columns.get("missed", money), columns.get("declined", money))
        loss = np.where(known, p * columns.get("missed", money), -1.0)
        fine = np.zeros(len(p), dtype=bool)
        fine[np.argsort(-loss, kind="stable")[:FINE_PAYMENTS]] = True
        rows = pl.DataFrame(
            {
                "day": np.where(fine, index, _SPREAD),
                "probability": np.where(fine, _round_odds(p, 3), _round_odds(p, 1)),
                **{
                    name: np.where(fine, _round(values, 2), _round(values, 1))
                    for name, values in columns.items()
                },
                "fraud": fraud,
            }
        ).filter(pl.Series(known))
        keys = ["day", "probability", *columns]
        cells = (
            rows.group_by(keys)
            .agg(payments=pl.len().cast(pl.Int64), frauds=pl.col("fraud").sum().cast(pl.Int64))
            .sort("probability", *(name for name in keys if name != "probability"), descending=True)
        )
        if not cells.height:
            raise DataError("expected at least one payment whose costs are known, got none")
        held = {name: _written(cells[name].to_list()) for name in cells.columns}
        return cls(
            days=len(named),
            share=share,
            expressions=dict(expressions or {}),
            unknown=int((~known).sum()),
            **held,
        )

    def column(self, name: str) -> Floats:
        """A column as float64 [rows]."""
        return np.array(getattr(self, name).split(), dtype=np.float64)

    def halves(self) -> tuple[DailyCosts, DailyCosts]:
        """The days of even and of odd number, both with the payments that have no day.

        Twice all payments where there are not two days.
        """
        day = self.column("day")
        parts = [(day == _SPREAD) | (day % 2 == parity) for parity in (0, 1)]
        if self.days < 2 or not all(rows.any() for rows in parts):
            return self, self
        even, odd = (
            msgspec.structs.replace(
                self,
                days=(self.days + 1 - parity) // 2,
                **{name: self._text(name, rows) for name in (*_COLUMNS[1:], *self.expressions)},
                day=_written(np.where(day < 0, _SPREAD, day // 2)[rows].tolist()),
            )
            for parity, rows in enumerate(parts)
        )
        return even, odd

    def require_same(self, cost: Cost) -> None:
        """Raise `ConfigurationError` for a SQL expression whose values are not kept."""
        for name, text in cost.expressions.items():
            if self.expressions.get(name) != text:
                raise ConfigurationError(
                    f"Cost({name}=…): the bundle keeps no values of this SQL expression to choose "
                    "by; train and package it again, or give thresholds and `review_price`."
                )

    def review_price(
        self,
        cost: Cost,
        reviews_per_day: float | None,
        *,
        kept_days: float = 0.9,
        declines_from: float = 0.0,
    ) -> float:
        """The least price of a review with which the share `kept_days` of the days has at most
        `reviews_per_day` reviews.

        0 without a capacity, and `MAX_COST` with one of no reviews.

        Raises:
            ConfigurationError: a negative capacity, or an expression whose values are not kept.
        """
        if reviews_per_day is None:
            return 0.0
        if reviews_per_day == 0:
            return MAX_COST
        most = self._most(reviews_per_day)
        gain = gain_of_review(*self._costs(cost), cost, declines_from)
        prices = sorted(self._prices(gain, most))
        price = prices[math.ceil(kept_days * self.days - _ROUNDING) - 1]
        step = _ROUNDING * (1.0 + cost.review + price)
        # rounding may leave a payment at the price that should not be worth a review any more
        while price and self._kept(self.actions(cost, price, declines_from), most) < kept_days:
            price, step = price + step, 2 * step
        return price

    def actions(self, cost: Cost, price: float, declines_from: float = 0.0) -> Texts:
        """The cheapest action of each row at a price of a review."""
        return cheapest_actions(*self._costs(cost), cost, price, declines_from)

    def thresholds(
        self, cost: Cost, reviews_per_day: float | None = None, *, declines_from: float = 0.0
    ) -> Thresholds:
        """The thresholds with the least cost on these payments, as `HeldOut.thresholds`."""
        p, missed, declined = self._costs(cost)
        payments, frauds = (self.column(name).astype(np.int64) for name in ("payments", "frauds"))
        last = np.flatnonzero(np.append(np.diff(p) != 0, True))
        return find_cheapest(
            p[last],
            np.cumsum(payments)[last],
            np.cumsum(frauds)[last],
            np.cumsum(missed * frauds)[last],
            cost=cost,
            limit=count_reviews(reviews_per_day, self.days * self.share, int(payments.sum())),
            refused=np.cumsum(declined * (payments - frauds))[last],
            declines_from=declines_from,
        )

    def at(self, review_at: float, decline_at: float, cost: Cost) -> Thresholds:
        """Counts and cost of these thresholds on these payments, as `HeldOut.at`."""
        action = Thresholds(review_at, decline_at, 0.0, 0, 0).actions(self.column("probability"))
        payments = self.column("payments")
        return Thresholds(
            review_at,
            decline_at,
            self._cost(action, cost),
            int(payments[action == "review"].sum()),
            int(payments[action == "decline"].sum()),
        )

    def a_day(self, thresholds: Thresholds, cost: Cost) -> dict[str, float]:
        """What thresholds come to per day, as `HeldOut.a_day`."""
        days = self.days * self.share
        return {
            "reviews_per_day": thresholds.reviewed / days,
            "declines_per_day": thresholds.declined / days,
            "cost_per_day": thresholds.total_cost / days,
            "cost_per_day_if_approved": self.at(NEVER, NEVER, cost).total_cost / days,
        }

    def tally(self, action: Texts, cost: Cost, reviews_per_day: float | None) -> dict[str, Any]:
        """What actions come to per day: reviews, challenges, declines, their cost, and the share of
        days that keep to the capacity.
        """
        payments, days = self.column("payments"), self.days * self.share
        counts = {
            f"{name}s_per_day": float(payments[action == name].sum()) / days
            for name in ("review", "challenge", "decline")
        }
        kept = None if reviews_per_day is None else self._kept(action, self._most(reviews_per_day))
        return {**counts, "cost_per_day": self._cost(action, cost) / days, "kept_days": kept}

    def _text(self, name: str, rows: Bools) -> str:
        return " ".join(np.array(getattr(self, name).split())[rows].tolist())

    def _costs(self, cost: Cost) -> tuple[Floats, Floats, Floats]:
        """The probability of each row, and its costs as a missed fraud and as a wrong decline."""
        self.require_same(cost)
        given = {name: self.column(name) for name in cost.expressions}
        return self.column("probability"), *cost.of_payments(self.column("amount"), given)

    def _cost(self, action: Texts, cost: Cost) -> float:
        _, missed, declined = self._costs(cost)
        frauds = self.column("frauds")
        genuine = self.column("payments") - frauds
        fraud, not_fraud = np.ones(len(action), bool), np.zeros(len(action), bool)
        return float(
            (frauds * realised_costs(fraud, action, missed, declined, cost)).sum()
            + (genuine * realised_costs(not_fraud, action, missed, declined, cost)).sum()
        )

    def _most(self, reviews_per_day: float) -> int:
        """The reviews of a day's held-out payments that its capacity has room for."""
        if not 0 <= reviews_per_day < math.inf:
            raise ConfigurationError(f"expected 0 or more reviews a day, got {reviews_per_day}")
        return round(reviews_per_day * self.share)

    def _prices(self, gain: Floats, most: int) -> list[float]:
        """What the first review beyond the capacity saves, on each day; 0 where there is none."""
        best = np.argsort(-gain, kind="stable")
        best = best[gain[best] > 0]
        day, payments, gain = self.column("day")[best], self.column("payments")[best], gain[best]
        number = np.where(day == _SPREAD, payments / self.days, payments)
        prices = []
        for one in range(self.days):
            rows = (day == one) | (day == _SPREAD)
            beyond = np.flatnonzero(np.cumsum(number[rows]) > most + _ROUNDING)
            prices.append(float(gain[rows][beyond[0]]) if beyond.size else 0.0)
        return prices

    def _kept(self, action: Texts, most: int) -> float:
        """The share of days with at most so many reviews."""
        day, payments = self.column("day"), self.column("payments")
        spread, own = (action == "review") & (day == _SPREAD), (action == "review") & (day >= 0)
        reviews = np.bincount(day[own].astype(np.int64), payments[own], self.days)
        reviews = reviews + payments[spread].sum() / self.days
        return float(np.mean(reviews <= most + _ROUNDING))


def _unusable() -> DataError:
    return DataError(
        "expected held-out payments by day in columns of possible numbers, equally long."
    )


def _written(values: list[float]) -> str:
    return " ".join(str(int(one)) if one == int(one) else repr(one) for one in values)


def _round(values: Floats, digits: int) -> Floats:
    """Values with so many digits; 0 and what is not finite stay."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        return np.where(np.isfinite(places), np.round(values * up / down) * down / up, values)


def _round_odds(p: Floats, digits: int) -> Floats:
    """Probabilities with so many digits, those above one half with so many of their complement."""
    return np.where(p > 0.5, np.round(1.0 - _round(1.0 - p, digits), 15), _round(p, digits))
