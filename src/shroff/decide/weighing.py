"""The costs of a policy, compiled to weigh the actions on one payment at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shroff.collect.payment import Value
from shroff.collect.schema import Kind
from shroff.errors import InvalidExpression, UnknownColumn
from shroff.evaluate.cost import AMOUNT, Cost
from shroff.evaluate.expected import MAX_COST, ExpectedCosts, weigh
from shroff.expression import Expression, parse


class Weigher:
    """Weighs the actions on payments by what they are expected to cost.

    Args:
        price: of a review at the declared capacity, besides its cost, or of a minute of it where
            the cost says how many it takes.
        declines_from: the probability below which no payment is declined.
        kinds: kinds of the columns and features that costs may read.
        amount: the column of what was paid.

    Raises:
        InvalidExpression, UnknownColumn: a cost does not fit them.
    """

    def __init__(
        self,
        cost: Cost,
        price: float,
        kinds: Mapping[str, Kind],
        amount: str,
        *,
        declines_from: float = 0.0,
    ) -> None:
        self._cost, self._price, self._amount = cost, price, amount
        self._declines_from = declines_from
        read = {name: one.closure() for name, one in cost_expressions(cost, kinds).items()}
        self._missed, self._declined = read.get("missed"), read.get("declined")
        self._review = read.get("review")
        self._usual = (0.0, 0.0) if self._review else cost.of_reviews(0.0)

    def weigh(self, values: Mapping[str, Value], probability: float) -> ExpectedCosts | None:
        """The expected costs of a payment from its values and features.

        None where what it may cost is not known: missing, negative, or larger than any amount.
        """
        cost = self._cost
        missed = self.missed(values)
        declined: Any = cost.declined if self._declined is None else self._declined(values)
        if missed is None or declined is None or not 0.0 <= declined <= MAX_COST:
            return None
        review, load = self._usual
        if self._review is not None:
            asked: Any = self._review(values)
            if asked is None or not 0.0 <= asked <= MAX_COST:
                return None
            review, load = cost.of_reviews(float(asked))
        price = self._price * load
        return weigh(probability, missed, declined, cost, price, self._declines_from, review)

    def missed(self, values: Mapping[str, Value]) -> float | None:
        """The cost of a payment as an approved fraud; None where it is not known."""
        missed: Any = self._cost.missed
        if self._missed is not None:
            missed = self._missed(values)
        elif missed == AMOUNT:
            missed = values.get(self._amount)
        # a NaN fails as well
        return missed if missed is not None and 0.0 <= missed <= MAX_COST else None


def cost_expressions(cost: Cost, kinds: Mapping[str, Kind]) -> dict[str, Expression]:
    """The SQL expressions of a cost, checked, by its fields.

    Raises:
        InvalidExpression, UnknownColumn: one does not fit, or gives no number.
    """
    found = {}
    for name, text in cost.expressions.items():
        try:
            found[name] = parse(text, kinds)
        except (InvalidExpression, UnknownColumn) as error:
            raise type(error)(f"Cost({name}=…): {error}") from None
        if found[name].kind != "number":
            raise InvalidExpression(
                f"Cost({name}=…): expected an expression that gives a number, got a "
                f"{found[name].kind}."
            )
    return found


def amounts_read(cost: Cost, amount: str, kinds: Mapping[str, Kind]) -> list[str]:
    """The costs that read amounts, whose column is `amount`, in words."""
    found = ['the cost of a missed fraud (`missed="amount"`)'] if cost.missed == AMOUNT else []
    read = cost_expressions(cost, kinds)
    return found + [f"`Cost({name}=…)`" for name, one in read.items() if amount in one.columns]
