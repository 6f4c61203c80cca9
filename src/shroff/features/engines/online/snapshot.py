"""The state of an engine as MessagePack, with the digest of its definitions; it holds no code."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shroff.errors import BadFile
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.plan_timelines import PackedTimeline
from shroff.features.streams import Later

_FORMAT_VERSION: Final = 3


class Snapshot(msgspec.Struct, array_like=True, kw_only=True):
    """An engine's state in memory: `by_stream` follows the plan, keys idle longest come first."""

    definitions: str
    lateness: int
    watermark: int
    by_stream: list[list[tuple[Any, PackedTimeline]]]
    pending: list[tuple[str, Any, dict[Later, Notice]]]
    format: int = _FORMAT_VERSION

    def encode(self) -> bytes:
        """As MessagePack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes, *, definitions: str, lateness: int) -> Snapshot:
        """The snapshot in these bytes.

        Raises:
            BadFile: there is none, or one of other definitions, another lateness or another format.
        """
        try:
            snapshot = msgspec.msgpack.decode(data, type=cls)
        except msgspec.MsgspecError:
            raise BadFile(
                "expected a snapshot of an online state, got other bytes: rebuild the state."
            ) from None
        if (snapshot.format, snapshot.definitions, snapshot.lateness) != (
            _FORMAT_VERSION,
            definitions,
            lateness,
        ):
            raise BadFile(
                "expected a snapshot of these features and this lateness, got one of others: "
                "rebuild the state."
            )
        return snapshot
