"""Held-out payments by day, rounded, from which the price of a review, and how many of them expire,
are found without a new fit.

The price is a dual price: the least surcharge on a review at which so few payments are worth one
that reviewers keep up. A payment is reviewed while the price is below what its review saves, so on
each day, the price that keeps to the capacity is what the first review beyond it saves. The price
in force is the least one with which the wanted share of days keeps to the capacity. Where reviews
take different minutes, the price is that of a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Floats, Texts
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.checking import check_length
from shroff.evaluate.cost import Cost, Stakes, check_costed, realised_costs
from shroff.evaluate.expected import MAX_COST, cheapest_actions, gain_of_review, known_costs
from shroff.evaluate.review import Review, expired_share
from shroff.evaluate.rounding import round_digits, round_odds, written
from shroff.evaluate.thresholds import NEVER, Thresholds, find_cheapest

MAX_DAYS: Final = 10_000
FINE_PAYMENTS: Final = 20_000
"""Payments that keep their day and more digits: those whose fraud is expected to cost most."""
_COLUMNS: Final = ("day", "probability", "amount", "payments", "frauds")
_PRICED: Final = ("missed", "declined", "review")
_ROUNDING: Final = 1e-9
EXPIRY_STEPS: Final = 16
"""Halvings in search of the share of reviews that expires."""
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
        expressions: the SQL of costs that differ between payments, whose values are `missed`,
            `declined` and `review`; otherwise these are empty.
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
    review: str = ""
    expressions: Mapping[str, str] = {}
    unknown: int = 0

    def __post_init__(self) -> None:
        if not self.expressions.keys() <= {*_PRICED} or not 0 < self.days <= MAX_DAYS:
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
        known = known_costs(*(columns.get(name, money) for name in _PRICED))
        loss = np.where(known, p * columns.get("missed", money), -1.0)
        fine = np.zeros(len(p), dtype=bool)
        fine[np.argsort(-loss, kind="stable")[:FINE_PAYMENTS]] = True
        rows = pl.DataFrame(
            {
                "day": np.where(fine, index, _SPREAD),
                "probability": np.where(fine, round_odds(p, 3), round_odds(p, 1)),
                **{
                    name: np.where(fine, round_digits(values, 2), round_digits(values, 1))
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
        held = {name: written(cells[name].to_list()) for name in cells.columns}
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
                day=written(np.where(day < 0, _SPREAD, day // 2)[rows].tolist()),
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
        capacity: float | None,
        *,
        kept_days: float = 0.9,
        declines_from: float = 0.0,
    ) -> float:
        """The least price of a review, or of a minute of it where the cost says how many it takes,
        with which reviews keep to the capacity on the share `kept_days` of the days.

        0 without a capacity, and `MAX_COST` with one of nothing.

        Args:
            capacity: a day: reviews, or minutes where the cost says how many one takes.

        Raises:
            ConfigurationError: a negative capacity, or an expression whose values are not kept.
        """
        if capacity is None:
            return 0.0
        if capacity == 0:
            return MAX_COST
        most = self._most(capacity, cost)
        p, stakes = self._stakes(cost)
        gain = gain_of_review(p, *stakes[:2], cost, declines_from, stakes.review)
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(gain > 0, gain / stakes.load, 0.0)
        prices = sorted(self._prices(gain, stakes.load, most))
        price = prices[math.ceil(kept_days * self.days - _ROUNDING) - 1]
        step = _ROUNDING * (1.0 + float(stakes.review.max()) + price)
        kept = self._kept(self.actions(cost, price, declines_from), cost, most)
        # rounding may leave a payment at the price that should not be worth a review any more
        while price and kept < kept_days:
            price, step = price + step, 2 * step
            kept = self._kept(self.actions(cost, price, declines_from), cost, most)
        return price

    def expiry(self, act: Callable[[float], Texts], cost: Cost, capacity: float | None) -> float:
        """The share of reviews that expire, where actions follow from that share: the fewer are
        done in time, the fewer are worth asking for.

        Args:
            act: the action of each row where a share of the reviews expires.
        """
        low, high = 0.0, 1.0 - 2.0**-EXPIRY_STEPS
        if self.expired(act(low), cost, capacity) == 0.0:
            return 0.0
        for _ in range(EXPIRY_STEPS):
            share = (low + high) / 2
            if self.expired(act(share), cost, capacity) > share:
                low = share
            else:
                high = share
        return high

    def expired(self, action: Texts, cost: Cost, capacity: float | None) -> float:
        """The share of the reviews among these actions that expires at a capacity."""
        one = cost.review
        if capacity is None or not isinstance(one, Review) or one.within_days is None:
            return 0.0
        return expired_share(self._work(action, cost), capacity * self.share, one.within_days)

    def actions(self, cost: Cost, price: float, declines_from: float = 0.0) -> Texts:
        """The cheapest action of each row at a price of a review, or of its minutes."""
        p, stakes = self._stakes(cost)
        priced = price * stakes.load
        return cheapest_actions(p, *stakes[:2], cost, priced, declines_from, stakes.review)

    def thresholds(
        self, cost: Cost, capacity: float | None = None, *, declines_from: float = 0.0
    ) -> Thresholds:
        """The thresholds with the least cost on these payments, as `HeldOut.thresholds`."""
        p, stakes = self._stakes(cost)
        payments, frauds = (self.column(name).astype(np.int64) for name in ("payments", "frauds"))
        last = np.flatnonzero(np.append(np.diff(p) != 0, True))
        work = np.cumsum(stakes.load * payments)[last]
        held = None if capacity is None else capacity * self.days * self.share
        return find_cheapest(
            p[last],
            np.cumsum(payments)[last],
            np.cumsum(frauds)[last],
            np.cumsum(stakes.missed * frauds)[last],
            cost=cost,
            limit=math.inf if held is None else held + _ROUNDING,
            refused=np.cumsum(stakes.declined * (payments - frauds))[last],
            reviewing=np.cumsum(stakes.review * payments)[last],
            work=work,
            declines_from=declines_from,
        )

    def at(self, review_at: float, decline_at: float, cost: Cost) -> Thresholds:
        """Counts and cost of these thresholds on these payments, as `HeldOut.at`."""
        action = Thresholds(review_at, decline_at, 0.0, 0, 0).actions(self.column("probability"))
        payments, paid = self.column("payments"), self._cost(action, cost)
        counts = (int(payments[action == one].sum()) for one in ("review", "decline"))
        return Thresholds(review_at, decline_at, paid, *counts)

    def a_day(self, thresholds: Thresholds, cost: Cost) -> dict[str, float]:
        """What thresholds come to per day, as `HeldOut.a_day`."""
        days = self.days * self.share
        return {
            "reviews_per_day": thresholds.reviewed / days,
            "declines_per_day": thresholds.declined / days,
            "cost_per_day": thresholds.total_cost / days,
            "cost_per_day_if_approved": self.at(NEVER, NEVER, cost).total_cost / days,
        }

    def tally(self, action: Texts, cost: Cost, capacity: float | None) -> dict[str, Any]:
        """What actions come to per day: reviews, challenges, declines, their cost, the share of
        days that keep to the capacity, and that of the reviews that expire.
        """
        payments, days = self.column("payments"), self.days * self.share
        counts = {
            f"{name}s_per_day": float(payments[action == name].sum()) / days
            for name in ("review", "challenge", "decline")
        }
        cost = cost.expiring(self.expired(action, cost, capacity))
        most = None if capacity is None else self._most(capacity, cost)
        kept = None if most is None else self._kept(action, cost, most)
        found = {**counts, "cost_per_day": self._cost(action, cost) / days, "kept_days": kept}
        if isinstance(cost.review, Review):
            found["review_minutes_per_day"] = float(self._work(action, cost).sum()) / days
            found["expired_reviews"] = cost.expiry or 0.0
        return found

    def _text(self, name: str, rows: Bools) -> str:
        return " ".join(np.array(getattr(self, name).split())[rows].tolist())

    def _stakes(self, cost: Cost) -> tuple[Floats, Stakes]:
        """The probability of each row, and what it costs."""
        self.require_same(cost)
        given = {name: self.column(name) for name in cost.expressions}
        return self.column("probability"), cost.of_payments(self.column("amount"), given)

    def _cost(self, action: Texts, cost: Cost) -> float:
        _, (missed, declined, review, _) = self._stakes(cost)
        frauds = self.column("frauds")
        genuine = self.column("payments") - frauds
        return sum(
            float((number * realised_costs(label, action, missed, declined, cost, review)).sum())
            for label, number in (
                (np.ones(len(action), bool), frauds),
                (np.zeros(len(action), bool), genuine),
            )
        )

    def _most(self, capacity: float, cost: Cost) -> float:
        """What a day's held-out payments may take of its capacity."""
        if not 0 <= capacity < math.inf:
            raise ConfigurationError(f"expected 0 or more reviews a day, got {capacity}")
        most = capacity * self.share
        return most if isinstance(cost.review, Review) else float(round(most))

    def _prices(self, gain: Floats, load: Floats, most: float) -> list[float]:
        """What the first review beyond the capacity saves, on each day; 0 where there is none."""
        best = np.argsort(-gain, kind="stable")
        best = best[gain[best] > 0]
        day, payments, gain = self.column("day")[best], self.column("payments")[best], gain[best]
        work = np.where(day == _SPREAD, payments / self.days, payments) * load[best]
        prices = []
        for one in range(self.days):
            rows = (day == one) | (day == _SPREAD)
            beyond = np.flatnonzero(np.cumsum(work[rows]) > most * (1 + _ROUNDING) + _ROUNDING)
            prices.append(float(gain[rows][beyond[0]]) if beyond.size else 0.0)
        return prices

    def _work(self, action: Texts, cost: Cost) -> Floats:
        """What the reviews of each day take of its capacity [days]."""
        day, work = self.column("day"), self.column("payments") * self._stakes(cost)[1].load
        spread, own = (action == "review") & (day == _SPREAD), (action == "review") & (day >= 0)
        asked = np.bincount(day[own].astype(np.int64), work[own], self.days).astype(np.float64)
        return asked + float(work[spread].sum()) / self.days

    def _kept(self, action: Texts, cost: Cost, most: float) -> float:
        """The share of days that keep to the capacity."""
        return float(np.mean(self._work(action, cost) <= most * (1 + _ROUNDING) + _ROUNDING))


def _unusable() -> DataError:
    return DataError(
        "expected held-out payments by day in columns of possible numbers, equally long."
    )
