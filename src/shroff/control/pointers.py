"""The pointers to the model and policy in production, with the history of their moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

Role = Literal["production", "shadow"]
Pointer = Literal["production", "shadow", "policy"]
Action = Literal["publish", "rollback", "withdraw"]


class Signature(NamedTuple):
    """Who moves a pointer, and why."""

    by: str | None = None
    note: str | None = None


class PointerMove(msgspec.Struct, frozen=True):
    """One move of a pointer: time (ISO 8601), role, action, and the new version (None: none).

    A policy moved to none is the model's own. `policy` is the published policy in force after the
    move (None: the model's own); `by` is who moved it and `note` why, if they said so.
    """

    at: str
    role: Pointer
    action: Action
    version: str | None
    policy: str | None = None
    by: str | None = None
    note: str | None = None


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

    def policy_beside(self, model: str) -> str | None:
        """The published policy with which a model last decided; None: its own."""
        production = found = None
        for change in self.changes:
            if change.role == "production":
                production = change.version
            if production == model and change.role != "shadow":
                found = change.policy
        return found

    def with_model(
        self, action: Action, version: str, policy: str | None, made: Signature
    ) -> Pointers:
        """The pointers with another model in production, and its policy."""
        earlier = self.earlier[1:] if action == "rollback" else self.earlier
        if action == "publish" and self.production is not None:
            earlier = (self.production, *earlier)
        # a model is not its own shadow
        shadow = None if self.shadow == version else self.shadow
        moved = msgspec.structs.replace(
            self, production=version, shadow=shadow, policy=policy, earlier=earlier
        )
        return moved._after("production", action, version, made)

    def with_shadow(self, action: Action, version: str | None, made: Signature) -> Pointers:
        """The pointers with another model in the shadow, or none."""
        return msgspec.structs.replace(self, shadow=version)._after("shadow", action, version, made)

    def with_policy(self, action: Action, version: str | None, made: Signature) -> Pointers:
        """The pointers with another policy; None is the model's own."""
        earlier = (self.policy, *self.earlier_policies)
        if action == "rollback":
            earlier = self.earlier_policies[1:]
        return msgspec.structs.replace(self, policy=version, earlier_policies=earlier)._after(
            "policy", action, version, made
        )

    def _after(
        self, role: Pointer, action: Action, version: str | None, made: Signature
    ) -> Pointers:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        change = PointerMove(
            now, role, action, version, policy=self.policy, by=made.by, note=made.note
        )
        return msgspec.structs.replace(self, changes=(*self.changes, change))
