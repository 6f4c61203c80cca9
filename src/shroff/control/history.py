"""The chain of a history: each change holds a digest over itself and the change before it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from shroff.errors import BrokenChain

_GENESIS: Final = "0" * 64


class GateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gate found of a model that was to be promoted.

    `sentence` says it in words, `figures` holds what was measured and what was asked for.
    """

    gate: str
    passed: bool
    sentence: str
    figures: dict[str, float | int | str | None] = {}


class Chained(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change of a history; `chain` is empty where an earlier release made it.

    Otherwise it is SHA-256(chain of the change before ‖ JSON of this one without `chain`), in
    hexadecimal digits. Fields with their default are not in that JSON, so that a field which a
    later release adds changes no digest.
    """

    chain: str = ""


def link(before: Sequence[Chained], change: Chained) -> str:
    """The chain value of a change behind others.

    Changes of earlier releases have none: the first chained one follows from the digest of them
    all.
    """
    if before and before[-1].chain:
        previous = before[-1].chain
    elif before:
        previous = sha256(b"\n".join(map(msgspec.json.encode, before))).hexdigest()
    else:
        previous = _GENESIS
    content = msgspec.json.encode(msgspec.structs.replace(change, chain=""))
    return sha256(previous.encode() + content).hexdigest()


def require_chained(changes: Sequence[Chained], *, of: str = "models") -> None:
    """Raise `BrokenChain` where a change of these things does not follow from the one before it."""
    first = next((at for at, change in enumerate(changes) if change.chain), len(changes))
    for at in range(first, len(changes)):
        before = changes[:first] if at == first else changes[at - 1 : at]
        if changes[at].chain != link(before, changes[at]):
            raise BrokenChain(
                f"the history of {of} was changed: change {at + 1} of {len(changes)} does not "
                "follow from the one before it."
            )
