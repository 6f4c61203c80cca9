"""The control lane: a small random share of payments is let through or reviewed against the policy,
so that the policy can be judged where it usually hides what would have been.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.evaluate.control_lane import at_stake, expected_loss, propensity
from shroff.evaluate.cost import ACTIONS, Action, Cost
from shroff.evaluate.expected import MAX_COST

LaneAction = Literal["approve", "review"]
Kept = Literal["rule", "large", "unknown", "budget"]
"""Why a payment had no chance: a rule is excepted, too much is at stake, that or its probability is
not known, or the budget of the day is spent.
"""
_PURPOSE: Final = b"shroff control lane"
_BITS: Final = 53
MAX_SHARE: Final = 0.5


class ControlLane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small random share of payments that is approved, or reviewed, whatever the policy decided.

    Args:
        money_per_day: the most that may be at stake a day (UTC) in each service, in major units of
            the base currency, counted as if all payments of the lane were frauds.
        share: the largest propensity, above 0 and up to 0.5; it falls with the expected loss.
        action: what is done with a payment in the lane: `approve`, or `review`.
        of: the decisions from which it takes payments; by default all that `action` changes.
        except_rules: rules whose payments it never takes, such as those of a sanctions list.
        max_loss: the most that one payment may put at stake; by default `money_per_day`.

    Raises:
        ConfigurationError: a budget or loss that is not above 0, a share that is none, an unknown
            action, or one that the lane does not change.

    >>> ControlLane(share=0.02, money_per_day=500.0).taken
    ('challenge', 'review', 'decline')
    """

    money_per_day: float
    share: float = 0.02
    action: LaneAction = "approve"
    of: Sequence[Action] = ()
    except_rules: Sequence[str] = ()
    max_loss: float | None = None

    def __post_init__(self) -> None:
        for name in ("of", "except_rules"):
            if isinstance(getattr(self, name), str):
                raise ConfigurationError(
                    f"ControlLane({name}=…): expected a list of texts, got one text."
                )
            force_setattr(self, name, tuple(getattr(self, name)))
        for name in ("money_per_day", "max_loss"):
            money: Any = getattr(self, name)
            if money is None and name == "max_loss":
                continue
            if not _is_number(money) or not 0 < money <= MAX_COST:
                raise ConfigurationError(
                    f"ControlLane({name}=…): expected an amount of money above 0, got {money!r}."
                )
        if not _is_number(self.share) or not 0 < self.share <= MAX_SHARE:
            raise ConfigurationError(
                f"ControlLane(share=…): expected a share above 0 and up to {MAX_SHARE}, got "
                f"{self.share!r}."
            )
        if self.action not in get_args(LaneAction):
            raise ConfigurationError(
                'ControlLane(action=…): expected "approve" or "review", which bring the outcome '
                "to light."
            )
        for one in self.of:
            if one not in ACTIONS or one == self.action:
                others = ", ".join(name for name in ACTIONS if name != self.action)
                raise ConfigurationError(
                    f"ControlLane(of=…): expected decisions of {others}, got `{one}`."
                )

    @property
    def taken(self) -> tuple[Action, ...]:
        """The decisions from which it takes payments."""
        return tuple(self.of) or tuple(one for one in ACTIONS if one != self.action)


class LaneDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a control lane did with a payment that it might take, as the ledger keeps it.

    Attributes:
        decided: what the policy decided.
        action: what the lane does with payments that it takes.
        propensity: with which this payment was taken; 0 where it had no chance.
        drawn: whether it was taken, so that `action` was done in place of `decided`.
        kept: why it had no chance.
        at_stake: what is lost if it is taken and a fraud, in major units of the base currency.
        spent: what was at stake before it on that day (UTC), by the count of its service.
        key: which key it was drawn with: the first digits of a SHA-256.
    """

    decided: Action
    action: LaneAction
    propensity: float
    drawn: bool = False
    kept: Kept | None = None
    at_stake: float = 0.0
    spent: float = 0.0
    key: str = ""


class Chance(NamedTuple):
    """What a lane may do with a payment, before the draw and the budget of the day."""

    propensity: float
    at_stake: float
    kept: Kept | None = None


class Lane:
    """The control lane of a policy, compiled to give payments their chance.

    Args:
        full_to: the expected loss up to which a payment has the whole share (`control_loss`).
    """

    def __init__(self, lane: ControlLane, cost: Cost, full_to: float | None) -> None:
        self.definition = lane
        self.taken = frozenset(lane.taken)
        self._cost, self._reviewed = cost, lane.action == "review"
        self._full_to = MAX_COST if full_to is None else full_to
        self._most = lane.money_per_day if lane.max_loss is None else lane.max_loss
        self._except = frozenset(lane.except_rules)

    def chance(
        self, rules: Sequence[str], probability: float | None, missed: float | None
    ) -> Chance:
        """The chance of a payment whose decision the lane takes.

        Args:
            rules: those that held, also behind the first.
            missed: its cost as an approved fraud; None where it is not known.
        """
        if not self._except.isdisjoint(rules):
            return Chance(0.0, 0.0, "rule")
        if probability is None or missed is None:
            return Chance(0.0, 0.0, "unknown")
        stake = at_stake(missed, self._cost, reviewed=self._reviewed)
        if stake > self._most:
            return Chance(0.0, stake, "large")
        loss = expected_loss(probability, stake, self._cost, reviewed=self._reviewed)
        return Chance(propensity(loss, self.definition.share, self._full_to), stake)

    def decide(
        self,
        decided: Action,
        chance: Chance,
        draws: Draws,
        payment_id: str,
        *,
        spent: float,
        budget: float,
    ) -> LaneDecision:
        """What becomes of a payment, where `spent` of the day's `budget` was at stake before it."""
        if chance.kept is None and spent + chance.at_stake > budget:
            chance = Chance(0.0, chance.at_stake, "budget")
        return LaneDecision(
            decided=decided,
            action=self.definition.action,
            propensity=chance.propensity,
            drawn=draws.place(payment_id) < chance.propensity,
            kept=chance.kept,
            at_stake=chance.at_stake,
            spent=spent,
            key=draws.mark,
        )


class Draws:
    """Draws a number from 0 to below 1 for each payment id, the same in every process and replay.

    It is the first 53 bits of HMAC-SHA256 over the id, under a key derived from the key of personal
    columns: who does not know that secret cannot tell which ids will be taken.

    >>> draws = Draws(bytes(16))
    >>> draws.place("p1") == draws.place("p1"), 0 <= draws.place("p2") < 1
    (True, True)
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, _PURPOSE, "sha256")
        self.mark: Final = sha256(self._key).hexdigest()[:8]
        """Names the key without giving it away."""

    def place(self, payment_id: str) -> float:
        """The number of a payment."""
        drawn = hmac.digest(self._key, payment_id.encode(errors="surrogatepass"), "sha256")
        return float(int.from_bytes(drawn[:8]) >> (64 - _BITS)) / float(1 << _BITS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def renamed(lane: ControlLane | None, names: Mapping[str, str]) -> ControlLane | None:
    """A lane that goes on to except rules under their new names, by the old ones, and no others."""
    if lane is None:
        return None
    excepted = [names[one] for one in lane.except_rules if one in names]
    return msgspec.structs.replace(lane, except_rules=excepted)


def require_rules(lane: ControlLane | None, names: Sequence[str]) -> None:
    """Raise `ConfigurationError` for an excepted rule that the policy lacks."""
    unknown = [] if lane is None else [one for one in lane.except_rules if one not in names]
    if unknown:
        raise ConfigurationError(
            f"ControlLane(except_rules=…): the policy has no rule `{unknown[0]}`."
        )
