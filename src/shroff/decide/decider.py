"""The decider: from a payment's values and features to probability, action and reasons.

It knows no ledger and no clock: the same values give the same decision, so it also replays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from time import perf_counter_ns
from typing import Final, NamedTuple

import msgspec

from shroff.arrays import Matrix
from shroff.collect.payment import Value
from shroff.decide import Action, Judge, Verdict
from shroff.decide.lane import Chance, Lane
from shroff.decide.lists import Effective
from shroff.decide.model import Model
from shroff.decide.reasons import MAX_REASONS, Explainer, Reason, Suspect
from shroff.decide.ruled import UNSCORED, RuleReasons
from shroff.decide.standing import (
    Condition,
    Standing,
    conditions,
    kinds_of,
    own,
    states_together,
)
from shroff.detect.preparation import Row
from shroff.errors import BundleError, Unavailable
from shroff.package import Bundle

Values = Mapping[str, Value]
_BATCH_PAYMENTS: Final = 1_024


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """A bundle's decision on one payment; `probability` is None while its model cannot score."""

    probability: float | None
    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Rating:
    """What a bundle says about inputs without a payment, by model and thresholds, no rules."""

    score: float
    probability: float | None
    action: Action


class Listed(NamedTuple):
    """What depends on the lists: the policy, and the conditions of a model made of rules."""

    judge: Judge
    conditions: Sequence[tuple[str, Condition]]


@dataclass(slots=True)
class ModelHealth:
    """The health of a model, shared by all deciders of that model."""

    failure: str | None = None
    """Why the model cannot score; None while it can."""
    unscored: int = 0
    """Payments in a row without a score."""
    scored_at: int = 0
    """When the last scores were ready, in nanoseconds of `time.perf_counter_ns`."""


class Decider:
    """Decides by a bundle, one policy and its lists.

    It never changes: `under` and `listing` make another decider of the same model for another
    policy or other lists.

    Args:
        standing: the policy that decides; by default the one that the bundle was packaged with.

    Raises:
        BundleError: the parts of the bundle do not fit together.
        ConfigurationError: the policy does not fit the bundle.
    """

    def __init__(self, bundle: Bundle, standing: Standing | None = None) -> None:
        self._bundle = bundle
        self._kinds = kinds = kinds_of(bundle)
        self._govern(standing or own(bundle))
        self._calibrate = bundle.calibration.one
        for name in bundle.preparation.names:
            if name not in (bundle.conditions or kinds):
                raise BundleError(
                    f"the model reads `{name}`, which is no column or feature of its bundle."
                )
        self._explainer = Explainer(
            bundle.preparation, bundle.groups, bundle.schema, conditions=bundle.conditions
        )
        self.health = ModelHealth()
        self._score = self._load(bundle)

    @property
    def failure(self) -> str | None:
        """Why the model cannot score, so that the policy decides alone; None while it can."""
        return self.health.failure

    @property
    def lane(self) -> Lane | None:
        """The control lane of the policy, if it has one."""
        return self._judge.lane

    def chance(self, values: Values, assessment: Assessment) -> Chance | None:
        """The chance of a payment to be taken by the control lane; None where it takes no payment
        that was so decided.
        """
        return self._judge.chance(values, assessment.probability, assessment.verdict)

    @property
    def lists(self) -> Mapping[str, Sequence[str]]:
        """The lists in force."""
        return self._judge.policy.lists

    def listing(self, lists: Effective) -> Decider:
        """A decider with these lists; call it in any thread, as long lists take long."""
        other = copy(self)
        other.followed = lists
        if lists.values != self.lists:
            other._judge, other._conditions = self._made(lists.values)
            other.lists_mark = lists.mark
        return other

    def under(self, standing: Standing) -> Decider:
        """A decider of the same model under another policy.

        Raises:
            ConfigurationError: the policy does not fit the bundle.
        """
        other = copy(self)
        other._govern(standing)
        return other

    def assess_all(
        self, payments: Iterable[Values], *, explain: bool = True
    ) -> Iterator[Assessment]:
        """`assess` of any number of payments, batch by batch, in their order."""
        rest = iter(payments)
        while batch := list(islice(rest, _BATCH_PAYMENTS)):
            yield from self.assess(batch, explain=explain)

    def assess_blindly(self, payments: Sequence[Values]) -> list[Assessment]:
        """The policy's decisions on payments without a score or without features."""
        return [
            self._explained(one, Assessment(None, self._judge.decide(one, None), ()))
            for one in payments
        ]

    def _govern(self, standing: Standing) -> None:
        self.policy, self.policy_version = standing.policy, standing.version
        self.lists_mark: tuple[int, int] | None = None
        """The mark of its lists (`Effective.mark`); None: the policy's own lists."""
        self.followed: Effective | None = None
        """The lists that it was made for, even if they equal the policy's."""
        self._judge, self._conditions = self._made(self.policy.lists)
        self.states = states_together(self.policy, self._bundle, self._kinds)
        """The states of the automata that a payment meets: each reads its texts once."""
        self._ruled = RuleReasons(
            self.policy, self._kinds, self._bundle.groups, self._bundle.schema
        )

    def _made(self, lists: Mapping[str, Sequence[str]]) -> Listed:
        judge = Judge(
            msgspec.structs.replace(self.policy, lists=lists),
            self._kinds,
            amount=self._bundle.schema.amount,
        )
        return Listed(judge, conditions(self._bundle, lists, self._kinds))

    def assess(self, payments: Sequence[Values], *, explain: bool = True) -> list[Assessment]:
        """Decide payments, from their values and features by name, with one run of the model.

        Args:
            explain: add reasons to all decisions but plain approvals.
        """
        inputs = [self._truths(values) for values in payments] if self._conditions else payments
        matrix = self.prepare(inputs)
        scores = self._scores(matrix)
        self.health.scored_at = perf_counter_ns()
        probabilities = [self._probability(score) for score in scores]
        if None in probabilities or self.health.unscored:
            self._count_unscored(probabilities)
        verdicts = [self._judge.decide(*pair) for pair in zip(payments, probabilities, strict=True)]
        assessed = [Assessment(*pair, ()) for pair in zip(probabilities, verdicts, strict=True)]
        # plain approvals take no further work
        told = [
            at
            for at, verdict in enumerate(verdicts)
            if explain and (verdict.action != "approve" or verdict.rules)
        ]
        if told:
            flagged = [at for at in told if self._flags(assessed[at])]
            suspects = [Suspect(inputs[at], matrix[at], scores[at] or 0.0) for at in flagged]
            found = dict(zip(flagged, self._explainer.explain(suspects, self._scores), strict=True))
            for at in told:
                assessed[at] = self._explained(payments[at], assessed[at], found.get(at, ()))
        return assessed

    def prepare(self, rows: Sequence[Row]) -> Matrix:
        """The model's matrix, float32 [n, inputs], from inputs by name; raises BadPayment."""
        return self._bundle.preparation.vectors(rows)

    def rate(self, matrix: Matrix) -> list[Rating]:
        """Rate prepared inputs, float32 [n, inputs], that are no payments.

        Raises:
            Unavailable: the model cannot score now.
        """
        if self._score is None:
            raise Unavailable(f"the service cannot score: {self.failure}")
        try:
            scores = self._score(matrix)
        except BundleError as error:
            # not counted as a failure: inputs that are no payments say nothing about the model
            raise Unavailable(f"the model cannot score these inputs: {error}") from None
        probabilities = [self._probability(score) for score in scores]
        return [
            Rating(score, probability, self._judge.threshold(probability))
            for score, probability in zip(scores, probabilities, strict=True)
        ]

    def _load(self, bundle: Bundle) -> Callable[[Matrix], list[float]] | None:
        try:
            return Model(bundle.model, bundle.preparation).score
        except BundleError as error:
            self.health.failure = str(error)
            return None

    def _truths(self, values: Values) -> Row:
        truths = {text: holds(values) for text, holds in self._conditions}
        return {text: None if truth is None else float(truth) for text, truth in truths.items()}

    def _scores(self, matrix: Matrix) -> Sequence[float | None]:
        if self._score is None:
            return [None] * len(matrix)
        try:
            scores = self._score(matrix)
        except BundleError as error:
            self.health.failure = str(error)
            return [None] * len(matrix)
        self.health.failure = None
        return scores

    def _probability(self, score: float | None) -> float | None:
        # NaN or infinite: no probability is better than a wrong one
        return self._calibrate(score) if score is not None and isfinite(score) else None

    def _count_unscored(self, probabilities: Sequence[float | None]) -> None:
        health = self.health
        scored = [at for at, one in enumerate(probabilities) if one is not None]
        health.unscored = (
            len(probabilities) - 1 - scored[-1] if scored else health.unscored + len(probabilities)
        )

    def _flags(self, assessment: Assessment) -> bool:
        """Whether the payment is not approved, and would not be by the model alone."""
        if assessment.probability is None or assessment.verdict.action == "approve":
            return False
        costs = assessment.verdict.costs
        if costs is not None:
            return costs.cheapest != "approve"
        return self._judge.threshold(assessment.probability) != "approve"

    def _explained(
        self, values: Values, assessed: Assessment, by_model: tuple[Reason, ...] = ()
    ) -> Assessment:
        """The assessment with its reasons, rules' first."""
        reasons = (*self._ruled.reasons(values, assessed.verdict), *by_model)[:MAX_REASONS]
        if not reasons and assessed.probability is None and assessed.verdict.action != "approve":
            reasons = (UNSCORED,)
        return msgspec.structs.replace(assessed, reasons=reasons)


def scoring_decider(bundle: Bundle, standing: Standing | None = None) -> Decider:
    """What decides by a bundle and a policy; raises `BundleError` if its model cannot score."""
    decider = Decider(bundle, standing)
    if decider.failure is not None:
        raise BundleError(decider.failure)
    return decider
