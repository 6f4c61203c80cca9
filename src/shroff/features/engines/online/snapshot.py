"""The state of an engine in portions, as MessagePack: it holds no code.

Between two portions payments may be observed: each is packed at one moment, and `resume` lets an
engine catch up where these moments differ.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

import msgspec

from shroff.clock import overtaken
from shroff.errors import BadFile
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.plan_timelines import PackedTimeline
from shroff.features.streams import Later

PORTION_KEYS: Final = 1_000
"""The most timelines or payments in a portion: a few milliseconds to pack."""
_FORMAT_VERSION: Final = 5
_DIGEST_BYTES: Final = 32


class Origin(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Which engine a state is of; times are microseconds."""

    definitions: str
    lateness: int
    watermark: int
    format: int = _FORMAT_VERSION

    def require(self, *, definitions: str, lateness: int, now: int) -> None:
        """Raise `BadFile` unless an engine of these definitions can take the state over."""
        given = self.format, self.definitions, self.lateness
        if given != (_FORMAT_VERSION, definitions, lateness):
            raise BadFile(
                "expected a snapshot of these features and this lateness, got one of others: "
                "rebuild the state."
            )
        if overtaken(self.watermark, now, lateness):
            raise BadFile(
                "expected a snapshot from before now, got one that is ahead of the clock: rebuild "
                "the state."
            )


class Portion(msgspec.Struct, array_like=True, kw_only=True):
    """Some timelines of a stream of the plan, keys idle longest first; or payments whose result or
    label may still come, oldest first.
    """

    stream: int = 0
    lines: list[tuple[Any, PackedTimeline]] = []
    waiting: list[tuple[str, Any, dict[Later, Notice]]] = []


class Snapshot(msgspec.Struct, array_like=True):
    """A whole state."""

    origin: Origin
    portions: list[Portion]

    def encode(self) -> bytes:
        """As MessagePack, behind its SHA-256: a changed byte could give other features."""
        packed = msgspec.msgpack.encode(self)
        return sha256(packed).digest() + packed

    @classmethod
    def decode(cls, data: bytes) -> Snapshot:
        """The snapshot in these bytes.

        Raises:
            BadFile: there is none, or it is damaged.
        """
        digest, packed = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        with suppress(msgspec.MsgspecError):
            if sha256(packed).digest() == digest:
                return msgspec.msgpack.decode(packed, type=cls)
        raise BadFile("expected a snapshot of an online state, got other bytes: rebuild the state.")
