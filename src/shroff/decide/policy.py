"""The policy: rules and lists first, then expected costs or two thresholds on the probability."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import force_setattr

from shroff.canonical import text_of
from shroff.collect.cards import holds_card_number, require_no_card_number
from shroff.collect.values import require_readable
from shroff.decide.lane import ControlLane, require_rules
from shroff.errors import ConfigurationError
from shroff.evaluate.cost import ACTIONS, Action, Cost
from shroff.evaluate.expected import MAX_COST
from shroff.evaluate.review import Review
from shroff.evaluate.thresholds import NEVER

Ground = Literal["cost", "thresholds"]
_MAX_RULES: Final = 1_000
_MAX_SQL_CHARACTERS: Final = 100_000
_MAX_VALUE_CHARACTERS: Final = 500
THRESHOLDS: Final = ("review_at", "decline_at")
_PROBABILITIES: Final = (*THRESHOLDS, "declines_from")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named SQL condition over a payment and its features that, if true, decides by itself.

    Defining a project raises InvalidExpression or UnknownColumn for a condition that does not fit
    its schema.

    Args:
        name: its name in answers, unique in a policy.
        condition: over the columns of the payment, amounts in major units, and all features;
            `column IN name` reads a list of the policy.
        action: what is done when it is true: `approve`, `challenge`, `review` or `decline`.

    Raises:
        ConfigurationError: another action.

    >>> Rule("red_country", "request_country IN red_countries", action="review").action
    'review'
    """

    name: str
    condition: str
    action: Action = "review"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ConfigurationError(
                f"rule `{self.name}`: expected an action of {', '.join(ACTIONS)}."
            )


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How probabilities, rules and lists become actions.

    The first rule whose condition is true decides. If none is, the probability does. By cost, each
    payment gets the action that is expected to cost least: approve `p · missed`, review
    `review + review_price + p · miss_rate · missed`, decline `(1 − p) · declined`, and a challenge
    where `cost` declares one. By thresholds, it is reviewed from `review_at` and declined from
    `decline_at`.

    Args:
        cost: of wrong decisions and of reviews; thresholds that are not given are those of the
            least cost.
        reviews_per_day: how many payments people can review a day, so that the policy leaves them
            no more; by default any number.
        minutes_per_day: instead, how many minutes they have for it, where `cost` says how many a
            review takes: `Cost(review=Review(…))`.
        rules: decide before the probability, the first that holds.
        lists: named values that conditions read, as in `country IN red_countries`; numbers are read
            as texts.
        review_at: the probability of fraud, above 0 and up to 1, from which a payment is reviewed;
            by default chosen in training.
        decline_at: the probability from which it is declined, not below `review_at`; by default
            chosen in training.
        degraded: the action while no model can score.
        decide_by: `"cost"`, payment by payment, or `"thresholds"`, the same for all; by default
            cost where neither threshold is given and held-out payments do not say that thresholds
            cost less.
        review_price: by cost, what a review, or a minute of it where `cost` says how many it takes,
            costs besides because reviewers are few; by default the least with which reviews keep to
            the capacity, found in training.
        kept_days: the share of days on which they must keep to it, above 0 and up to 1.
        max_genuine_declines: the share of declines by probability, above 0 and below 1, that may be
            genuine, 95 % sure; by default any.
        declines_from: the probability below which no payment is declined for its probability, but
            gets the cheapest other action, or is reviewed where thresholds decide; by default with
            `max_genuine_declines` the lowest that keeps to it, found in training.
        control: a small random share of payments that is approved or reviewed whatever was decided,
            so that the policy can be judged; by default none.
        control_loss: the expected loss up to which a payment has the whole share of the control
            lane; by default the largest that keeps to its budget, found in training.

    Raises:
        ConfigurationError: two rules of one name, two capacities, minutes where no review has any,
            or reviews where their minutes differ, a threshold that is no probability, `review_at`
            above `decline_at`, more than 1,000 rules or 100,000 characters of conditions, a value
            of more than 500 characters in a list, a price that is negative or no number, a control
            lane that excepts a rule which the policy lacks.

    >>> blocked = Rule("blocked", "host_id IN blocked_hosts", action="decline")
    >>> policy = Policy(
    ...     cost=Cost(review=4.0),
    ...     reviews_per_day=200,
    ...     rules=[blocked],
    ...     lists={"blocked_hosts": ["h7"]},
    ... )
    >>> policy.open
    ('review_at', 'decline_at')
    >>> Policy(review_at=0.9, decline_at=0.5)
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Policy: expected review_at not above decline_at, got 0.9 and
    0.5.
    """

    cost: Cost = Cost()
    reviews_per_day: int | None = None
    minutes_per_day: float | None = None
    rules: Sequence[Rule] = ()
    lists: Mapping[str, Sequence[str]] = {}
    review_at: float | None = None
    decline_at: float | None = None
    degraded: Action = "review"
    decide_by: Ground | None = None
    review_price: float | None = None
    kept_days: float = 0.9
    max_genuine_declines: float | None = None
    declines_from: float | None = None
    control: ControlLane | None = None
    control_loss: float | None = None

    def __post_init__(self) -> None:
        for name, values in self.lists.items():
            if isinstance(values, str):
                raise ConfigurationError(
                    f"Policy(lists=…): expected a list of texts in `{name}`, got one text."
                )
        force_setattr(self, "rules", tuple(self.rules))
        force_setattr(
            self, "lists", {name: _entries(name, values) for name, values in self.lists.items()}
        )
        sql = sum(len(rule.condition) for rule in self.rules)
        if len(self.rules) > _MAX_RULES or sql > _MAX_SQL_CHARACTERS:
            raise ConfigurationError(
                f"Policy(rules=…): expected at most {_MAX_RULES:,} rules of "
                f"{_MAX_SQL_CHARACTERS:,} characters together, got "
                f"{len(self.rules):,} of {sql:,}: put values into lists, which rules read."
            )
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigurationError(
                f"Policy: expected a name of its own for each rule, got `{twice}` twice."
            )
        if self.degraded not in ACTIONS:
            raise ConfigurationError(
                f"Policy(degraded=…): expected an action of {', '.join(ACTIONS)}."
            )
        self._require_capacity()
        if self.decide_by not in (None, "cost", "thresholds"):
            raise ConfigurationError('Policy(decide_by=…): expected "cost" or "thresholds".')
        if self.review_price is not None and not 0 <= self.review_price <= MAX_COST:
            raise ConfigurationError(
                f"Policy(review_price=…): expected a price of 0 or more, got {self.review_price}."
            )
        if self.control_loss is not None and not 0 < self.control_loss <= MAX_COST:
            raise ConfigurationError(
                "Policy(control_loss=…): expected an expected loss above 0, got "
                f"{self.control_loss}."
            )
        require_rules(self.control, names)
        if not 0 < self.kept_days <= 1:
            raise ConfigurationError(
                "Policy(kept_days=…): expected a share of days above 0 and up to 1, got "
                f"{self.kept_days}."
            )
        most = self.max_genuine_declines
        if most is not None and not 0 < most < 1:
            raise ConfigurationError(
                "Policy(max_genuine_declines=…): expected a share of declines above 0 and below 1, "
                f"got {most}."
            )
        for name in _PROBABILITIES:
            threshold: Any = getattr(self, name)
            if threshold is not None and threshold != NEVER and not 0 < threshold <= 1:
                raise _no_probability(name, threshold)
        if (
            self.review_at is not None
            and self.decline_at is not None
            and self.review_at > self.decline_at
        ):
            raise ConfigurationError(
                f"Policy: expected review_at not above decline_at, got {self.review_at} and "
                f"{self.decline_at}."
            )

    def require_probabilities(self) -> None:
        """Raise `ConfigurationError` for a threshold above 1: only training chooses such ones."""
        for name in _PROBABILITIES:
            if getattr(self, name) == NEVER:
                raise _no_probability(name, NEVER)

    def require_no_cards(self, numbers: Collection[str] = ()) -> None:
        """Raise `ConfigurationError` for a card number in a rule or a list, which anybody may read.

        Args:
            numbers: columns of long numbers that are no card numbers; if there are any, no number
                counts as one.
        """
        if numbers:
            return
        for rule in self.rules:
            require_no_card_number(rule.name, "the name of a rule")
            require_no_card_number(rule.condition, f"the rule `{rule.name}`")
        for name, text in self.cost.expressions.items():
            require_no_card_number(text, f"`Cost({name}=…)`")
        for name, values in self.lists.items():
            require_no_card_number(name, "the name of a list")
            if any(map(holds_card_number, values)):
                raise ConfigurationError(
                    f"expected no card number in the list `{name}`, where anybody can read it, got "
                    "one: where the column is personal, add it with `shroff lists add … "
                    "--personal`, which keeps a keyed hash."
                )

    def require_readable(self) -> None:
        """Raise `ConfigurationError` for names or values whose characters hide or reorder text."""
        for rule in self.rules:
            require_readable(rule.name, "the name of a rule")
        for name, values in self.lists.items():
            require_readable(name, "the name of a list")
            for value in values:
                require_readable(value, f"each value of the list `{name}`")

    def _require_capacity(self) -> None:
        reviews, minutes, review = self.reviews_per_day, self.minutes_per_day, self.cost.review
        for name, most in (("reviews", reviews), ("minutes", minutes)):
            if most is not None and not 0 <= most < math.inf:
                raise ConfigurationError(
                    f"Policy({name}_per_day=…): expected 0 or more {name} a day, got {most}."
                )
        if reviews is not None and minutes is not None:
            raise ConfigurationError(
                "Policy: expected one capacity, got `reviews_per_day` and `minutes_per_day`."
            )
        if minutes is not None and not isinstance(review, Review):
            raise ConfigurationError(
                "Policy(minutes_per_day=…): expected a cost that says how many minutes a review "
                "takes: Cost(review=Review(minutes=…, per_hour=…))."
            )
        if reviews is not None and isinstance(review, Review) and isinstance(review.minutes, str):
            raise ConfigurationError(
                "Policy(reviews_per_day=…): the minutes of a review differ between payments: give "
                "`minutes_per_day` instead."
            )

        lane = self.control
        if lane is not None and lane.action == "review" and "review" in self.cost.expressions:
            raise ConfigurationError(
                "Policy(control=…): a control lane that reviews needs reviews of one cost, got one "
                "that differs between payments."
            )

    @property
    def capacity(self) -> float | None:
        """What people can review a day: minutes where the cost says how many a review takes,
        otherwise reviews; None where there is no limit.

        >>> Policy(
        ...     cost=Cost(review=Review(minutes=6.0, per_hour=45.0)), reviews_per_day=20
        ... ).capacity
        120.0
        """
        if self.reviews_per_day is None:
            return self.minutes_per_day
        return self.reviews_per_day * float(self.cost.of_reviews(0.0)[1])

    @property
    def expiry(self) -> float | None:
        """The share of reviews that expire; None where none do, or it is not known yet."""
        return self.cost.expiry

    def expiring(self, share: float | None) -> Policy:
        """The policy where this share of reviews expires."""
        return msgspec.structs.replace(self, cost=self.cost.expiring(share))

    @property
    def waits(self) -> bool:
        """Whether reviews may expire at its capacity, and the share of those that do is open."""
        return self.cost.expires and self.capacity is not None

    @property
    def unguarded(self) -> bool:
        """Whether declines are to be guaranteed, and nothing says from which probability on."""
        return self.max_genuine_declines is not None and self.declines_from is None

    @property
    def unplanned(self) -> bool:
        """Whether there is a control lane, and nothing says how its propensities fall."""
        return self.control is not None and self.control_loss is None

    @property
    def open(self) -> tuple[str, ...]:
        """The names of the thresholds that it leaves open."""
        return tuple(name for name in THRESHOLDS if getattr(self, name) is None)

    def without(self, fields: Iterable[str]) -> Policy:
        """The policy without these thresholds, price, expiry, or what it decides by.

        >>> Policy(review_at=0.2, decline_at=0.7).without(["review_at"]).open
        ('review_at',)
        """
        names = {*fields}
        kept = self.expiring(None) if "expiry" in names else self
        return msgspec.structs.replace(kept, **dict.fromkeys(names - {"expiry"}, None))

    def with_thresholds(self, review_at: float, decline_at: float) -> Policy:
        """The policy with these thresholds in place of open ones.

        >>> Policy(decline_at=0.9).with_thresholds(0.2, 0.7).decline_at
        0.9
        """
        decline = self.decline_at if self.decline_at is not None else decline_at
        review = self.review_at if self.review_at is not None else min(review_at, decline)
        return msgspec.structs.replace(self, review_at=review, decline_at=max(decline, review))


def _no_probability(name: str, threshold: float) -> ConfigurationError:
    return ConfigurationError(
        f"Policy({name}=…): expected a probability above 0 and up to 1, got {threshold}; without "
        "it, it is chosen."
    )


def _entries(name: str, values: Sequence[str | int | float]) -> tuple[str, ...]:
    """The distinct values of a list in canonical text."""
    texts = [text_of(value) if isinstance(value, str | int | float) else None for value in values]
    if None in texts:
        raise ConfigurationError(
            f"Policy(lists=…): expected a value in each place of `{name}`, got none."
        )
    if any(len(text) > _MAX_VALUE_CHARACTERS for text in texts if text is not None):
        raise ConfigurationError(
            f"Policy(lists=…): expected values of at most {_MAX_VALUE_CHARACTERS} characters "
            f"in `{name}`, got a longer one."
        )
    return tuple(text for text in dict.fromkeys(texts) if text is not None)
