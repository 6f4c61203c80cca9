"""What the payments of a dataset cost, where that differs between payments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.errors import ConfigurationError
from shroff.evaluate import Cost
from shroff.evaluate.cost import Stakes
from shroff.evaluate.expected import known_costs
from shroff.experiment.dataset import Dataset


def cost_columns(cost: Cost, data: Dataset, rows: Ints) -> dict[str, Floats]:
    """The values [rows] of the SQL expressions of a cost, by its fields; NaN where one is null.

    Raises:
        InvalidExpression, UnknownColumn: one does not fit the dataset.
    """
    texts = list(cost.expressions.values())
    table = data.conditions(texts, {})[rows] if texts else None
    if table is None:
        return {}
    return {
        name: table[text].cast(float).fill_null(np.nan).to_numpy()
        for name, text in cost.expressions.items()
    }


def require_known_costs(cost: Cost, data: Dataset, rows: Ints) -> None:
    """Raise `ConfigurationError` where a cost by SQL is known of none of some rows."""
    if cost.expressions and not PaymentCosts.of(cost, data, rows).known.any():
        texts = " and ".join(f"{name}={text!r}" for name, text in cost.expressions.items())
        raise ConfigurationError(
            f"Cost({texts}): expected what some payment to learn from costs, got a null, a "
            "negative amount or one above 10¹⁵ for each."
        )


@dataclass(frozen=True)
class PaymentCosts:
    """What each payment costs [n]; 0 if not `known`."""

    stakes: Stakes
    known: Bools

    @classmethod
    def of(cls, cost: Cost, data: Dataset, rows: Ints) -> PaymentCosts:
        """Those of some rows of a dataset."""
        given = cost_columns(cost, data, rows)
        amount = np.zeros(len(rows)) if data.currency is None else data.amount[rows]
        stakes = cost.of_payments(amount, given)
        known = known_costs(*stakes)
        return cls(Stakes(*(np.where(known, one, 0.0) for one in stakes)), known)
