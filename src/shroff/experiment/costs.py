"""What the payments of a dataset cost, where that differs between payments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shroff.arrays import Bools, Floats, Ints
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
