"""Rules on the bench: what may be written over the policy in force, and how it would have done.

For a process that stays: the model, its columns and the ledger's last days are kept in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from shroff.backtest.past import Past
from shroff.backtest.recent import RecentPast
from shroff.backtest.rule_figures import RuleFigures
from shroff.backtest.trial import Trial, trial
from shroff.clock import Clock, system_time
from shroff.collect.schema import Kind
from shroff.control import Lists, effective
from shroff.control.models import Models
from shroff.control.pointers import Pointers
from shroff.decide.hashed import require_hashed
from shroff.decide.lists import Values
from shroff.decide.policy import Policy
from shroff.decide.standing import kinds_of
from shroff.decide.words import sentences
from shroff.errors import InvalidExpression, NotFound
from shroff.expression import Completion, Fault, complete, fault_of, parse
from shroff.promotion import Contender


@dataclass(frozen=True)
class InUse:
    """The model in production and the policy in force, as somebody who writes a rule sees them."""

    contender: Contender
    pointers: Pointers

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of the columns and features that a rule may read."""
        return kinds_of(self.contender.bundle)

    @cached_property
    def said(self) -> dict[str, str]:
        """What features are, by example."""
        bundle = self.contender.bundle
        found = sentences(bundle.groups, bundle.schema)
        return {
            name: f"such as: {words.tells(0.5 if '%' in words.tells(3.0) else 3.0)}"
            for name, words in found.items()
            if self.kinds.get(name) == "number"
        }

    def fault(self, condition: str) -> Fault | None:
        """What is wrong with a condition; None if nothing is."""
        lists = list(self.contender.standing.policy.lists)
        if found := fault_of(condition, self.kinds, lists):
            return found
        try:
            personal = self.contender.bundle.schema.personal
            require_hashed(parse(condition, self.kinds, lists), personal)
        except InvalidExpression as error:
            return Fault(start=0, end=len(condition), line=1, column=1, sentence=str(error))
        return None

    def complete(self, condition: str, position: int) -> Completion:
        """What may stand at a place of a condition."""
        lists = list(self.contender.standing.policy.lists)
        return complete(condition, position, self.kinds, lists, self.said)


class RuleBench:
    """The bench of one installation.

    Args:
        recent: the ledger's last days.

    Raises:
        ConfigurationError: by every verb, where no model is in production.
    """

    def __init__(
        self, models: Models, lists: Lists, recent: RecentPast, *, clock: Clock = system_time
    ) -> None:
        self._models, self._lists, self._clock = models, lists, clock
        self.recent = recent
        self._used: InUse | None = None
        self._figures: tuple[object, Mapping[str, RuleFigures]] | None = None
        self._turn = Lock()

    @property
    def in_use(self) -> InUse:
        """What is in production and in force now."""
        pointers, used = self._models.pointers, self._used
        if used is None or pointers.changes != used.pointers.changes:
            bundle, standing = self._models.in_production()
            used = self._used = InUse(Contender(bundle, standing), pointers)
        return used

    @property
    def lists(self) -> Values:
        """The values of the lists now."""
        seed = self.in_use.contender.standing.policy.lists
        return effective(seed, self._lists.edits(), self._clock()).values

    def past(self) -> Past | None:
        """The ledger's last days; None while they are read for the first time."""
        return self.recent.ask(self.in_use.contender, self._lists.edits())

    def trial(self, policy: Policy, *, decided_since: int | None = None) -> Trial | None:
        """Try a policy; None while the ledger is read for the first time. See `trial`."""
        past = self.past()
        if past is None:
            return None
        with self._turn:  # one at a time: each takes all cores and much memory
            return trial(
                self.in_use.contender,
                policy,
                past,
                self._lists.edits(),
                decided_since=decided_since,
                clock=self._clock,
            )

    def figures(self) -> Mapping[str, RuleFigures] | None:
        """What each rule in force did, by its name; None while the ledger is read."""
        one, past = self.in_use.contender, self.past()
        if past is None:
            return None
        key = (one.standing.version, id(past))
        if self._figures is None or self._figures[0] != key:
            try:
                found = self.trial(one.standing.given)
            except NotFound:
                found = None  # no labels are in yet
            rules = () if found is None else found.found.rules
            self._figures = key, {each.name: each for each in rules}
        return self._figures[1]
