"""What an index counted by the minute: payments, decisions, and the money that they kept.

Money is by the definitions of `monitor.performance`: lost are known frauds that were approved,
stopped those that were not; saved is what decisions saved against approving everything, by the
costs of the policy. Here it is of the labels that have come so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from shroff.collect.times import MINUTE_US
from shroff.evaluate.cost import ACTIONS, UNSEEN, Action, Cost, realised_by_place
from shroff.index.file import IndexFile, mark_of
from shroff.index.rows import DAY_MINUTES, UNITS

_UNKNOWN: Final = -1
_CELLS: Final = """
SELECT {unit} / ?1 * ?1 AS part, currency, action, fraud, sum(payments), total(units)
FROM {unit} WHERE {unit} >= ?2 AND {unit} < ?3 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


class IndexedMinutes(NamedTuple):
    """Payments that arrived within some minutes and came to the same.

    Attributes:
        began: when the minutes began, in microseconds since the epoch.
        fraud: by the label that stands; None without one.
        amount: of all of them, in major units of `currency`.
    """

    began: int
    currency: str
    action: Action
    fraud: bool | None
    payments: int
    amount: float

    @classmethod
    def read(
        cls, file: IndexFile, *, since: int, until: int, minutes: int = 1
    ) -> list[IndexedMinutes]:
        """The minutes between two moments (µs, `until` not included), so many together; whole days
        where they are days.

        Raises:
            IndexUnavailable: the index cannot be read.
        """
        daily = minutes % DAY_MINUTES == 0
        one = MINUTE_US * (DAY_MINUTES if daily else 1)
        bounds = (minutes * MINUTE_US // one, since // one, -(-until // one))
        with file.reading() as connection:
            query = _CELLS.format(unit="day" if daily else "minute")
            rows = connection.execute(query, bounds).fetchall()
        return [
            cls(
                part * one,
                currency,
                ACTIONS[action],
                None if fraud == _UNKNOWN else bool(fraud),
                payments,
                units / UNITS,
            )
            for part, currency, action, fraud, payments, units in rows
        ]


class MoneyKept(NamedTuple):
    """What decisions on payments of one currency came to, by the labels that are known.

    Attributes:
        lost, stopped: amounts of known frauds, approved and not approved.
        saved: against approving everything, by the costs of the policy; None where they are SQL.
        unknown: declined or challenged payments without a label, which count on neither side.
    """

    currency: str
    lost: float
    stopped: float
    saved: float | None
    unknown: int


def money_kept(cells: Sequence[IndexedMinutes], cost: Cost | None) -> list[MoneyKept]:
    """What the decisions of some minutes came to, the currency of most payments first.

    >>> paid = IndexedMinutes(0, "EUR", "decline", True, 2, 300.0)
    >>> wrong = IndexedMinutes(0, "EUR", "decline", False, 1, 80.0)
    >>> money_kept([paid, wrong, paid._replace(action="approve", amount=50.0)], Cost(declined=15.0))
    [MoneyKept(currency='EUR', lost=50.0, stopped=300.0, saved=285.0, unknown=0)]
    """
    counts = dict[str, int]()
    for one in cells:
        counts[one.currency] = counts.get(one.currency, 0) + one.payments
    return [
        _kept(name, [one for one in cells if one.currency == name], cost)
        for name in sorted(counts, key=lambda name: (-counts[name], name))
    ]


def _kept(currency: str, cells: Sequence[IndexedMinutes], cost: Cost | None) -> MoneyKept:
    known = [one for one in cells if one.fraud is not None or one.action not in UNSEEN]
    frauds = [one for one in cells if one.fraud]
    return MoneyKept(
        currency,
        lost=sum(one.amount for one in frauds if one.action == "approve"),
        stopped=sum(one.amount for one in frauds if one.action != "approve"),
        saved=_saved(known, cost),
        unknown=sum(one.payments for one in cells) - sum(one.payments for one in known),
    )


def _saved(cells: Sequence[IndexedMinutes], cost: Cost | None) -> float | None:
    """What decisions saved: costs are linear in the amount, so the mean payment stands for all."""
    if cost is None or cost.expressions:
        return None
    payments = np.array([one.payments for one in cells], dtype=np.float64)
    amount = np.array([one.amount for one in cells]) / np.maximum(payments, 1.0)
    fraud = np.array([one.fraud is True for one in cells], dtype=np.bool_)
    place = np.array([ACTIONS.index(one.action) for one in cells], dtype=np.int64)
    stakes = cost.of_payments(amount)
    paid = realised_by_place(fraud, place, stakes.missed, stakes.declined, cost, stakes.review)
    return float(((fraud * stakes.missed - paid) * payments).sum())


def indexed_until(file: IndexFile) -> int:
    """The number of the last record of the ledger that the index has; 0 before the first."""
    with file.reading() as connection:
        return mark_of(connection).head.seq
