"""The pointers to the model and policy in production, with the history of their moves."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import dropwhile
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from shroff.collect.json_text import UNREADABLE
from shroff.control.history import Chained, GateResult, link, require_chained
from shroff.errors import BadFile, BrokenChain, BundleError, ConfigurationError, ProposalConflict
from shroff.plain import read_plain

Role = Literal["production", "shadow"]
Pointer = Literal["production", "shadow", "policy"]
Action = Literal["publish", "promote", "refuse", "rollback", "withdraw"]
Stage = Literal["research", "candidate", "production", "retired", "withdrawn"]
_MAX_POINTER_BYTES: Final = 64 << 20


class Signature(NamedTuple):
    """Who moves a pointer, when (ISO 8601; empty: now) and why; a promotion's also what its gates
    found, and if forced.
    """

    by: str | None = None
    note: str | None = None
    gates: tuple[GateResult, ...] = ()
    forced: bool = False
    at: str = ""


class Measured(NamedTuple):
    """What the gates of a promotion found, against the model that was in production then."""

    gates: tuple[GateResult, ...]
    incumbent: str | None
    forced: bool = False

    def signing(self, made: Signature) -> Signature:
        """A signature with what was found."""
        return made._replace(gates=self.gates, forced=self.forced)

    def require_incumbent(self, production: str | None) -> None:
        """Raise `ConfigurationError` if another model is in production by now."""
        if production != self.incumbent:
            raise ConfigurationError(
                f"the gates compared with {self.incumbent or 'no model'}, and "
                f"{production or 'no model'} is in production by now: promote it again."
            )

    def require_same(self, production: str | None) -> None:
        """Raise `ConfigurationError` if another model than the measured one is in production."""
        if production != self.incumbent:
            raise ConfigurationError(
                f"version {self.incumbent} was measured, and another is in production by "
                "now: measure again."
            )


class Agreed(NamedTuple):
    """A second person's consent to a change of the policy of version `base`."""

    base: str
    made_by: str
    by: str

    @property
    def signed(self) -> str:
        """Who changes it, for the history."""
        return f"{self.made_by}, agreed by {self.by}"

    def require_base(self, standing: str | None) -> None:
        """Raise `ProposalConflict` if another policy is in force by now."""
        if standing != self.base:
            raise ProposalConflict(
                f"the proposal changes policy {self.base}, and {standing} is in force by now: "
                "rebase it, which makes the same changes to the policy in force, and have it "
                "agreed to again."
            )


class InForce(NamedTuple):
    """What decided at a moment, by version, and since when (ISO 8601).

    `policy` is None where the model decided by its own; all are None before the first model.
    """

    production: str | None = None
    policy: str | None = None
    shadow: str | None = None
    since: str | None = None


class PointerMove(Chained, frozen=True, omit_defaults=True):
    """One move of a pointer: time (ISO 8601), role, action and the version it points to now (None:
    none).

    A policy moved to none is the one that the model was packaged with. `policy` is the published
    policy that stood after the change (None: the model's own); `by` is who made it and `note` why,
    where they said so. A promotion has what its `gates` found, and whether it was `forced` although
    one refused it. One that was refused is there too, and moved nothing.
    """

    at: str
    role: Pointer
    action: Action
    version: str | None
    policy: str | None = None
    by: str | None = None
    note: str | None = None
    gates: tuple[GateResult, ...] = ()
    forced: bool = False

    @property
    def moved(self) -> bool:
        """Whether the pointer points to the version since."""
        return self.action != "refuse"


class Pointers(msgspec.Struct, frozen=True):
    """The versions by role; `policy` is None while the model's own policy is in force.

    `earlier` are the models formerly in production, the latest first, and `earlier_policies` the
    policies.
    """

    production: str | None = None
    shadow: str | None = None
    policy: str | None = None
    earlier: tuple[str, ...] = ()
    earlier_policies: tuple[str | None, ...] = ()
    changes: tuple[PointerMove, ...] = ()

    @property
    def standing(self) -> str | None:
        """The version of the policy in force: the published one, or the model's own."""
        return self.policy or self.production

    @property
    def policies_before(self) -> tuple[str | None, ...]:
        """The policies to go back to, the latest first: a rollback of the model may have restored
        one already.
        """
        return tuple(dropwhile(lambda version: version == self.policy, self.earlier_policies))

    @property
    def head(self) -> str:
        """The number of the last change and its chain value, to be noted elsewhere."""
        return f"{len(self.changes)}:{self.changes[-1].chain}" if self.changes else "0:"

    def require_sound(self) -> None:
        """Raise `BrokenChain` if a change was altered, or the pointers differ from the changes."""
        require_chained(self.changes)
        if not self.changes or not self.changes[-1].chain:
            return  # by an earlier release
        now = self.as_of(None)
        were = {one.version for one in self.changes if one.role == "production" and one.moved}
        stored = self.production, self.policy, self.shadow
        if stored != (now.production, now.policy, now.shadow) or not were.issuperset(self.earlier):
            raise BrokenChain(
                "the history of models was changed: the pointers are not where its last changes "
                "put them."
            )

    def require_noted(self, number: int, chain: str) -> None:
        """Raise `BrokenChain` unless the history still has a change that was noted as `head`."""
        if number > len(self.changes):
            raise BrokenChain(
                f"expected a history of models that goes on from change {number}, which was noted, "
                f"got one of {len(self.changes)}: its end was cut off, or an older copy was put in "
                "its place."
            )
        if number and not self.changes[number - 1].chain.startswith(chain):
            raise BrokenChain(
                f"expected change {number} with the chain value that was noted, got another: this "
                "is another history, or it was written anew."
            )

    def as_of(self, moment: datetime | None) -> InForce:
        """What was in force at a moment, and since when it was in production; None: now."""
        found = InForce()
        for change in self.changes:
            if moment is not None and datetime.fromisoformat(change.at) > moment:
                break
            if not change.moved:
                continue
            found = found._replace(policy=change.policy)
            if change.role == "shadow":
                found = found._replace(shadow=change.version)
            elif change.role == "production":
                since = found.since if found.production == change.version else change.at
                shadow = None if found.shadow == change.version else found.shadow
                found = found._replace(production=change.version, shadow=shadow, since=since)
        return found

    def stage(self, version: str) -> Stage:
        """The stage of a published version, by its last change."""
        if version == self.production:
            return "production"
        if version == self.shadow:
            return "candidate"
        was = {one.role for one in self.changes if one.version == version and one.moved}
        return "retired" if "production" in was else "withdrawn"

    def concerning(self, version: str) -> tuple[PointerMove, ...]:
        """The changes that put a version somewhere or were to, or another in its place in
        production.
        """
        found, production = list[PointerMove](), None
        for change in self.changes:
            put = change.role == "production" and change.moved
            if change.role != "policy" and version in (change.version, put and production):
                found.append(change)
            production = change.version if put else production
        return tuple(found)

    def policy_beside(self, model: str) -> str | None:
        """The published policy with which a model last decided; None: its own."""
        production = found = None
        for change in self.changes:
            if change.role == "production" and change.moved:
                production = change.version
            if production == model and change.role != "shadow":
                found = change.policy
        return found

    def require_no_model(self) -> None:
        """Raise `ConfigurationError` if a model is in production."""
        if self.production is not None:
            raise ConfigurationError(
                f"expected no model in production, and {self.production} is there by now: "
                "promote this one through the gates, which compare the two."
            )

    def with_model(
        self, action: Action, version: str, policy: str | None, made: Signature
    ) -> Pointers:
        """The pointers with another model in production, and its policy."""
        earlier = self.earlier[1:] if action == "rollback" else self.earlier
        if action != "rollback" and self.production is not None:
            earlier = (self.production, *earlier)
        # a model is not its own shadow
        shadow = None if self.shadow == version else self.shadow
        moved = msgspec.structs.replace(
            self, production=version, shadow=shadow, policy=policy, earlier=earlier
        )
        return moved._after("production", action, version, made)

    def with_version(
        self, role: Role, action: Action, version: str, policy: str | None, made: Signature
    ) -> Pointers:
        """The pointers with a version in a role; the same where it is there."""
        if role == "shadow":
            return self if self.shadow == version else self.with_shadow(action, version, made)
        here = (self.production, self.policy) == (version, policy)
        return self if here else self.with_model(action, version, policy, made)

    def with_shadow(self, action: Action, version: str | None, made: Signature) -> Pointers:
        """The pointers with another model in the shadow, or none."""
        return msgspec.structs.replace(self, shadow=version)._after("shadow", action, version, made)

    def with_refusal(self, role: Role, version: str, made: Signature) -> Pointers:
        """The same pointers, with a promotion in the history that a gate refused."""
        return self._after(role, "refuse", version, made)

    def with_policy(self, action: Action, version: str | None, made: Signature) -> Pointers:
        """The pointers with another policy; None is the model's own."""
        earlier = (self.policy, *self.earlier_policies)
        if action == "rollback":
            earlier = self.earlier_policies[1:]
        moved = msgspec.structs.replace(self, policy=version, earlier_policies=earlier)
        # gates are of a model
        return moved._after("policy", action, version, made._replace(gates=(), forced=False))

    def _after(
        self, role: Pointer, action: Action, version: str | None, made: Signature
    ) -> Pointers:
        now = made.at or datetime.now(UTC).isoformat(timespec="seconds")
        if self.changes:  # a clock that was set back must not reorder the history
            now = max(now, self.changes[-1].at)
        change = PointerMove(
            at=now,
            role=role,
            action=action,
            version=version,
            policy=self.policy,
            by=made.by,
            note=made.note,
            gates=made.gates,
            forced=made.forced,
        )
        change = msgspec.structs.replace(change, chain=link(self.changes, change))
        return msgspec.structs.replace(self, changes=(*self.changes, change))


def read_pointers(path: Path) -> Pointers:
    """The pointers in a file; empty where there is none.

    Raises:
        BundleError: the file is damaged.
        BrokenChain: its history was changed.
    """
    try:
        found = msgspec.json.decode(read_plain(path, _MAX_POINTER_BYTES), type=Pointers)
        found.require_sound()
    except FileNotFoundError:
        return Pointers()
    except BrokenChain as error:
        raise BrokenChain(
            f"{path}: {error} Restore it from a copy, or begin another folder (SHROFF_MODELS)."
        ) from None
    except (BadFile, *UNREADABLE) as error:
        raise BundleError(
            f"{path}: expected the pointers of published models; the file is damaged "
            f"({type(error).__name__})."
        ) from None
    return found
