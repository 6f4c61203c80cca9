"""What decisions cost.

Money is in major units of one currency (136.69, not 13669). A payment is approved, challenged,
reviewed or declined. An approved fraud costs the missed amount, a declined genuine payment costs
the customer's displeasure. A review lets a genuine payment through, and stops a fraud unless the
reviewer misses it, or nobody gets to it in time. A challenge stops frauds that do not pass it, and
loses genuine payments that are given up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np

from shroff.arrays import Array, Bools, Floats, Ints, Texts
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.challenge import Challenge, require_cost, require_share
from shroff.evaluate.checking import (
    check_labels,
    check_length,
    check_numbers,
    check_probabilities,
)
from shroff.evaluate.review import Review

Action = Literal["approve", "challenge", "review", "decline"]
ACTIONS: Final[tuple[Action, ...]] = ("approve", "challenge", "review", "decline")
"""The least intervention first: of equally cheap actions, the first is taken."""
UNSEEN: Final[tuple[Action, ...]] = ("challenge", "decline")
"""Actions after which no label proves nothing: the payment may not have been made."""

AMOUNT: Final = "amount"
"""What stands for the amount of a payment, whatever its column is called."""

Number = TypeVar("Number", float, Floats)
_EITHER: Final = " or as a SQL expression"


class Stakes(NamedTuple):
    """What each of some payments [n] costs: as an approved fraud, as a genuine payment that is
    declined, and for its review; and what the review takes of the capacity, in minutes where the
    cost says how many, otherwise 1.
    """

    missed: Floats
    declined: Floats
    review: Floats
    load: Floats


@dataclass(frozen=True, slots=True)
class Cost:
    """What one review, one challenge and one wrong decision cost, in major units of the project's
    currency.

    A cost that differs between payments is a SQL expression over the columns of the payment,
    amounts in major units, and all features: `declined="0.02 * amount + 10"`, or for a segment
    `"CASE WHEN liable = 'issuer' THEN 0 ELSE amount END"`. It reads no lists. A payment for which
    it is null or negative is decided by thresholds.

    Args:
        review: a person's time for one payment: a number, a SQL expression, or a `Review`, which
            says how many minutes it takes, and what is done where nobody gets to it.
        missed: an approved fraud: a number, `"amount"` for what was paid, or a SQL expression.
        declined: a genuine payment that was declined: a number or a SQL expression.
        miss_rate: the share of reviewed frauds that the reviewer lets through.
        challenge: what a challenge does, such as 3-D Secure; by default no payment is challenged
            for its probability.

    Raises:
        ConfigurationError: a cost that is negative, infinite or no number, an empty expression, a
            share outside 0 to 1.

    >>> import numpy as np
    >>> Cost(review=4.0, missed=50.0).of_missed(np.array([12.5, 900.0])).tolist()
    [50.0, 50.0]
    >>> Cost(missed=-1)
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: expected `missed` as a cost of 0 or more or as a SQL
    expression, got -1
    """

    review: float | str | Review = 4.0
    missed: float | str = AMOUNT
    declined: float | str = 15.0
    miss_rate: float = 0.0
    challenge: Challenge | None = None

    def __post_init__(self) -> None:
        for name in ("review", "missed", "declined"):
            value = getattr(self, name)
            if not isinstance(value, Review) and (not isinstance(value, str) or not value.strip()):
                require_cost(name, value, allowed=_EITHER)
        require_share("Cost(miss_rate=…)", self.miss_rate)

    @property
    def expressions(self) -> dict[str, str]:
        """The SQL expressions among its costs, by field; `review` may be of money or of minutes."""
        review = self.review.minutes if isinstance(self.review, Review) else self.review
        texts = {"review": review, "missed": self.missed, "declined": self.declined}
        return {
            name: text
            for name, text in texts.items()
            if isinstance(text, str) and (name, text) != ("missed", AMOUNT)
        }

    def of_missed(self, amount: Floats) -> Floats:
        """The cost of each payment if it were an approved fraud: float64 [n] for `amount` [n] in
        major units.

        Raises:
            ConfigurationError: it is a SQL expression, which reads more than amounts.
        """
        if self.missed == AMOUNT:
            return amount
        return np.full(amount.shape, self.number("missed"), dtype=np.float64)

    def of_declined(self, amount: Floats) -> Floats:
        """The cost of each payment if it were genuine and declined, as `of_missed`."""
        return np.full(amount.shape, self.number("declined"), dtype=np.float64)

    def of_payments(
        self, amount: Floats, given: Mapping[str, Floats] = MappingProxyType({})
    ) -> Stakes:
        """What payments of `amount` [n] cost, where `given` has the values [n] of SQL expressions
        by field.
        """
        missed = given["missed"] if "missed" in given else self.of_missed(amount)
        declined = given["declined"] if "declined" in given else self.of_declined(amount)
        if "review" in self.expressions and "review" not in given:
            self.number("review")
        review, load = self.of_reviews(given.get("review", amount))
        each = (
            np.broadcast_to(np.asarray(one, np.float64), amount.shape) for one in (review, load)
        )
        return Stakes(missed, declined, *each)

    def of_reviews(self, value: Number) -> tuple[Number | float, Number | float]:
        """What a review costs in money, and what it takes of the capacity, where `value` is that of
        its SQL expression, if it is one.
        """
        one = self.review
        if not isinstance(one, Review):
            return (value if isinstance(one, str) else one), 1.0
        if isinstance(one.minutes, str):
            return one.cost(value), value
        return one.cost(one.minutes), one.minutes

    @property
    def expires(self) -> bool:
        """Whether reviews expire, and the share of those that do is not known."""
        one = self.review
        return isinstance(one, Review) and one.within_days is not None and one.expiry is None

    @property
    def expiry(self) -> float | None:
        """The share of reviews that expire; None where none do, or it is not known."""
        return self.review.expiry if isinstance(self.review, Review) else None

    def expiring(self, share: float | None) -> Cost:
        """The cost where this share of reviews expires; itself where none do."""
        if not isinstance(self.review, Review) or self.review.within_days is None:
            return self
        return replace(self, review=replace(self.review, expiry=share))

    def of_review(
        self,
        approve: Number,
        decline: Number,
        price: Number | float = 0.0,
        review: Number | float | None = None,
    ) -> Number:
        """The expected cost of reviewing a payment whose approval and decline are expected to cost
        these.

        Args:
            price: of the reviewer's time where others compete for it, besides its cost.
            review: what the review costs; by default the same for all payments.
        """
        paid = self.number("review") if review is None else review
        done = (paid + price) + self.miss_rate * approve
        one = self.review
        if not isinstance(one, Review) or not one.expiry:
            return done
        share = one.expiry
        return (1.0 - share) * done + share * (approve if one.expired == "approve" else decline)

    def of_challenge(self, approve: Number, decline: Number) -> Number | None:
        """The expected cost of challenging a payment whose approval and decline are expected to
        cost these; None where challenges are not declared.
        """
        one = self.challenge
        if one is None:
            return None
        return one.cost + (one.passed * one.liable) * approve + one.abandoned * decline

    def number(self, name: str) -> float:
        """A cost, by its field, that is the same for all payments.

        Raises:
            ConfigurationError: it is a SQL expression.
        """
        value: float | str | Review = getattr(self, name)
        if isinstance(value, Review):
            value = value.minutes if isinstance(value.minutes, str) else value.cost(value.minutes)
        if isinstance(value, str):
            raise ConfigurationError(
                f"Cost({name}=…): expected a number where only amounts are known, got a SQL "
                "expression"
            )
        return value


def realised_costs(
    y: Bools,
    action: Texts,
    missed: Floats,
    declined: Floats,
    cost: Cost,
    review: Floats | None = None,
) -> Floats:
    """What each `action` [n] on payments labelled `y` [n] cost, float64 [n].

    A challenge and a review cost what is expected of them, as nobody knows who would have passed,
    and whose review would have expired.

    Args:
        missed, declined: the cost of each payment [n] as an approved fraud, and as a genuine
            payment that was declined.
        review: of its review [n]; by default the same for all payments.
    """
    return realised_by_place(y, places(action), missed, declined, cost, review)


def realised_by_place(
    y: Bools,
    action: Ints,
    missed: Floats,
    declined: Floats,
    cost: Cost,
    review: Floats | None = None,
) -> Floats:
    """`realised_costs` for actions by their places in `ACTIONS` [n], which compare faster."""
    approve, decline = y * missed, ~y * declined
    challenge = cost.of_challenge(approve, decline)
    by_action: dict[Action, Floats] = {
        "review": cost.of_review(approve, decline, 0.0, review),
        "decline": decline,
    }
    if challenge is not None:
        by_action["challenge"] = challenge
    chosen = [action == ACTIONS.index(name) for name in by_action]
    return np.select(chosen, list(by_action.values()), approve)


def places(actions: Texts | Sequence[str]) -> Ints:
    """The places of actions in `ACTIONS` [n].

    >>> places(np.array(["decline", "approve"])).tolist()
    [3, 0]
    """
    named = np.asarray(actions)
    found = np.zeros(len(named), dtype=np.int64)
    for place, name in enumerate(ACTIONS[1:], start=1):
        found[named == name] = place
    return found


def total_cost(y: Array, action: Texts, amount: Array, cost: Cost) -> float:
    """The cost of all `action` [n] on payments labelled `y` [n] of `amount` [n] in major units.

    An action is `approve`, `review`, `decline`, or `challenge` where the cost declares one. Raises
    `DataError` for another action, unequal lengths, and amounts that are negative or NaN.

    >>> action = np.array(["approve", "review", "decline", "decline"])
    >>> total_cost(
    ...     np.array([1, 1, 1, 0]), action, np.array([120.5, 80.0, 60.0, 40.0]), Cost(review=4.0)
    ... )
    139.5
    """
    fraud = check_labels(y)
    check_length("action", action, fraud.size)
    check_actions(action, cost)
    paid = _check_amounts(amount, fraud.size)
    missed, declined, review, _ = cost.of_payments(paid)
    return float(realised_costs(fraud, action, missed, declined, cost, review).sum())


def check_actions(action: Texts, cost: Cost) -> None:
    """Raise `DataError` for an action that is none, and a challenge where none is declared."""
    known = [one for one in ACTIONS if one != "challenge" or cost.challenge is not None]
    if not np.isin(action, known).all():
        names = ", ".join(f"`{one}`" for one in known[:-1])
        raise DataError(f"expected only the actions {names} and `{known[-1]}`, got others")


def check_costed(
    y: Array, probability: Array, amount: Array, cost: Cost
) -> tuple[Bools, Floats, Floats]:
    """Labels, probabilities, and each payment's cost as an approved fraud; raises `DataError`."""
    fraud = check_labels(y)
    if not fraud.size:
        raise DataError("expected at least one payment to weigh costs on, got none")
    p = check_probabilities(probability, fraud.size)
    return fraud, p, cost.of_missed(_check_amounts(amount, fraud.size))


def _check_amounts(amount: Array, n: int) -> Floats:
    major = check_numbers("amount", amount, n)
    if (major < 0).any():
        raise DataError(
            f"expected amounts of 0 or more, got less in {(major < 0).sum()} of {n} rows"
        )
    return major
