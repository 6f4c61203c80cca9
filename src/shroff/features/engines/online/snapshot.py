"""The state of an engine as bytes: MessagePack, with the definitions that it belongs to. Nothing in
it is code.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shroff.errors import BadFile
from shroff.features.engines.online.pending import Word
from shroff.features.engines.online.plan_timelines import Line
from shroff.features.plan import Later

_FORMAT_VERSION: Final = 3


class Snapshot(msgspec.Struct, array_like=True, kw_only=True):
    """All an engine in memory holds: `by_stream` in the order of the plan's streams, by key;
    longest idle first.
    """

    definitions: str
    lateness: int
    watermark: int
    by_stream: list[list[tuple[Any, Line]]]
    pending: list[tuple[str, Any, dict[Later, Word]]]
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
