"""The control lane while it runs: draws payments, and stops at the budget of the day.

Each service counts what it put at stake itself. Several workers of one service share its budget
equally, so that together they never exceed it. A start takes over what the ledger says was at stake
that day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from shroff.collect.times import DAY_US
from shroff.decide import Action, LaneDecision
from shroff.decide.decider import Assessment, Decider, Values
from shroff.decide.lane import Draws, Lane
from shroff.ledger import StoredEntry
from shroff.ledger.answer import DecisionRecord

_MARKED: Final = b'"lane":{'


class _Recorded(msgspec.Struct, gc=False):
    lane: LaneDecision | None = None


_recorded: Final = msgspec.json.Decoder(_Recorded).decode


class ControlGroup:
    """The payments that control lanes took in this process.

    Args:
        key: of personal columns, from which that of the draws is derived.
        workers: how many processes share the budget.
    """

    def __init__(self, key: bytes, workers: int = 1) -> None:
        self.draws = Draws(key)
        self._workers = workers
        self._day = 0
        self.spent = 0.0
        """What is at stake since the beginning of the day (UTC), in major units."""
        self.at_stake = 0.0
        """What was at stake since the start of the process."""
        self.payments: Counter[tuple[Action, str]] = Counter()
        """Payments that a lane might take, by decision, and whether it did or why it could not."""

    def take_over(self, entries: Iterable[StoredEntry], now: int) -> None:
        """Count what records of today put at stake; of it this process bears its part."""
        self._day = now // DAY_US
        whole = 0.0
        for entry in entries:
            mine = entry.kind == "payment" and entry.arrived // DAY_US == self._day
            if mine and _MARKED in entry.body:
                lane = _recorded(entry.body).lane
                whole += lane.at_stake if lane is not None and lane.drawn else 0.0
        self.spent = whole / self._workers

    def draw(
        self,
        decider: Decider,
        lane: Lane,
        payments: Sequence[tuple[str, int, Values]],
        assessments: Sequence[Assessment],
    ) -> list[LaneDecision | None]:
        """What the lane does with each payment (id, arrival, values), in their order; None where it
        takes no payment that was so decided.
        """
        return [
            self._one(decider, lane, payment, assessment)
            for payment, assessment in zip(payments, assessments, strict=True)
        ]

    def _one(
        self, decider: Decider, lane: Lane, payment: tuple[str, int, Values], assessed: Assessment
    ) -> LaneDecision | None:
        payment_id, arrived, values = payment
        chance = decider.chance(values, assessed)
        if chance is None:
            return None
        if arrived // DAY_US > self._day:
            self._day, self.spent = arrived // DAY_US, 0.0
        found = lane.decide(
            assessed.verdict.action,
            chance,
            self.draws,
            payment_id,
            spent=self.spent,
            budget=lane.definition.money_per_day / self._workers,
        )
        if found.drawn:
            self.spent += found.at_stake
            self.at_stake += found.at_stake
        self.payments[found.decided, found.kept or ("taken" if found.drawn else "left")] += 1
        return found


def carried_out(assessment: Assessment, lane: LaneDecision | None) -> Assessment:
    """The assessment as it is carried out: the lane's action where it took the payment.

    A payment that is let through has no reasons, like any other.
    """
    if lane is None or not lane.drawn:
        return assessment
    verdict = msgspec.structs.replace(assessment.verdict, action=lane.action)
    return msgspec.structs.replace(
        assessment,
        verdict=verdict,
        reasons=() if lane.action == "approve" else assessment.reasons,
    )


def lane_again(
    payment_id: str,
    record: DecisionRecord,
    decider: Decider,
    values: Values,
    again: Assessment,
    draws: Draws | None,
) -> LaneDecision | None:
    """What the control lane of a policy does with a recorded payment, to compare with the record.

    What was spent is taken from the record, and the draw too where the key is another.

    Args:
        again: the decision of the policy, made again.
    """
    recorded, lane, chance = record.lane, decider.lane, decider.chance(values, again)
    if recorded is UNSET or lane is None or chance is None:
        return None
    known = draws is not None and draws.mark == recorded.key
    found = lane.decide(
        again.verdict.action,
        chance,
        draws if draws is not None else Draws(b""),
        payment_id,
        spent=recorded.spent,
        budget=0.0 if recorded.kept == "budget" else lane.definition.money_per_day,
    )
    return (
        found if known else msgspec.structs.replace(found, drawn=recorded.drawn, key=recorded.key)
    )
