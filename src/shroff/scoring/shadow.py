"""The shadow: a candidate model that scores decided payments after their answers have left.

It sees the same values and features, decides nothing, and is compared live: how often it would have
acted otherwise, and, as labels come in, which of the two was right.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Final

import msgspec

from shroff.decide import Action
from shroff.decide.decider import Assessment, Decider, Values
from shroff.decide.standing import Standing
from shroff.errors import BundleError
from shroff.features.plan import Plan
from shroff.package import Bundle

_MAX_WAITING_PAYMENTS: Final = 10_000
"""Most payments waiting for the shadow: it must not take memory from the model that decides."""
_MAX_REMEMBERED_PAYMENTS: Final = 100_000
"""Payments whose two decisions are kept to compare with a label."""
_MAX_BATCH_PAYMENTS: Final = 64


class LabelCounts(msgspec.Struct):
    """A model's record on labelled payments: frauds and genuine ones, and how many it stopped."""

    frauds_stopped: int = 0
    genuine_stopped: int = 0


class Comparison(msgspec.Struct):
    """What the shadow would have done since its start.

    `agreement` counts payments by both actions (`review/approve`: production reviewed, the shadow
    would approve); `passed_over` were not compared because too many waited. Differences are of the
    probabilities of fraud.
    """

    production: str
    shadow: str
    compared: int = 0
    passed_over: int = 0
    agreement: dict[str, int] = {}
    mean_difference: float = 0.0
    largest_difference: float = 0.0
    frauds: int = 0
    genuine: int = 0
    by_production: LabelCounts = msgspec.field(default_factory=LabelCounts)
    by_shadow: LabelCounts = msgspec.field(default_factory=LabelCounts)


class Shadow:
    """Compares a candidate with the model in production.

    Args:
        standing: the policy by which the candidate would decide; by default the one that it was
            packaged with.

    Raises:
        BundleError: its model cannot score, or needs features that production does not compute.
        ConfigurationError: the policy does not fit the candidate.
    """

    def __init__(
        self, candidate: Bundle, production: Bundle, standing: Standing | None = None
    ) -> None:
        self.bundle = candidate
        self.decider = Decider(candidate, standing)
        if self.decider.failure is not None:
            raise BundleError(f"the shadow cannot score: {self.decider.failure}")
        self._require_same_inputs(candidate, production)
        self._waiting: deque[tuple[str, Values, Assessment]] = deque()
        self._acted: OrderedDict[str, tuple[Action, Action]] = OrderedDict()
        self._labels: dict[str, bool] = {}
        self._agreement: Counter[str] = Counter()
        self._differences: list[float] = [0.0, 0.0, 0.0]
        self._found = Comparison(production.version, candidate.version)
        self._task: asyncio.Task[None] | None = None

    def use(self, decider: Decider) -> None:
        """Give the candidate other lists from the next batch on."""
        self.decider = decider

    @property
    def comparison(self) -> Comparison:
        """The comparison so far."""
        number, total, largest = self._differences
        return msgspec.structs.replace(
            self._found,
            agreement=dict(self._agreement),
            mean_difference=total / number if number else 0.0,
            largest_difference=largest,
        )

    def watch(
        self, ids: Sequence[str], values: Sequence[Values], decided: Sequence[Assessment]
    ) -> None:
        """Queue payments for comparison: ids, values, features, and how they were decided."""
        for one in zip(ids, values, decided, strict=True):
            if len(self._waiting) < _MAX_WAITING_PAYMENTS:
                self._waiting.append(one)
            else:
                self._found.passed_over += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._catch_up())

    def label(self, payment_id: str, fraud: bool) -> None:
        """Judge both models by a payment's label; a label that replaces another is judged anew."""
        acted, before = self._acted.get(payment_id), self._labels.get(payment_id)
        if acted is None or before is fraud:
            return
        if before is not None:
            self._count(acted, before, -1)
        self._labels[payment_id] = fraud
        self._count(acted, fraud, 1)

    def _count(self, acted: tuple[Action, Action], fraud: bool, by: int) -> None:
        found = self._found
        if fraud:
            found.frauds += by
        else:
            found.genuine += by
        for judged, action in zip((found.by_production, found.by_shadow), acted, strict=True):
            if action != "approve" and fraud:
                judged.frauds_stopped += by
            elif action != "approve":
                judged.genuine_stopped += by

    async def _catch_up(self) -> None:
        while self._waiting:
            several = [
                self._waiting.popleft() for _ in range(min(_MAX_BATCH_PAYMENTS, len(self._waiting)))
            ]
            # in a thread: ONNX Runtime lets the event loop run meanwhile
            own = await asyncio.to_thread(
                self.decider.assess, [values for _, values, _ in several], explain=False
            )
            for (payment_id, _, decided), candidate in zip(several, own, strict=True):
                self._note(payment_id, decided, candidate)

    def _note(self, payment_id: str, decided: Assessment, candidate: Assessment) -> None:
        actions = decided.verdict.action, candidate.verdict.action
        self._found.compared += 1
        self._agreement["/".join(actions)] += 1
        if decided.probability is not None and candidate.probability is not None:
            difference = abs(decided.probability - candidate.probability)
            number, total, largest = self._differences
            self._differences = [number + 1, total + difference, max(largest, difference)]
        self._acted[payment_id] = actions
        if len(self._acted) > _MAX_REMEMBERED_PAYMENTS:
            oldest, _ = self._acted.popitem(last=False)
            self._labels.pop(oldest, None)

    def _require_same_inputs(self, candidate: Bundle, production: Bundle) -> None:
        if candidate.currency not in (None, production.currency):
            raise BundleError(
                f"the shadow reads amounts in {candidate.currency}, which payments do not have in "
                "production."
            )
        there = {
            feature.name: feature for group in production.groups for feature in group.definitions
        }
        columns = Plan(production.groups, production.schema).schema.kinds
        for group in candidate.groups:
            for feature in group.definitions:
                if (
                    feature.name in candidate.preparation.names
                    and there.get(feature.name) != feature
                ):
                    raise BundleError(
                        f"the shadow reads the feature `{feature.name}`, which is not computed in "
                        "production."
                    )
        features = {feature.name for group in candidate.groups for feature in group.definitions}
        for name in candidate.preparation.names:
            if not candidate.conditions and name not in features and name not in columns:
                raise BundleError(
                    f"the shadow reads the column `{name}`, which payments do not have in "
                    "production."
                )
