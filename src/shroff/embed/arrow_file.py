"""The metadata of an Arrow file, checked before any of its content is decoded.

A file may be hostile: a few compressed bytes may expand to gigabytes, and a false length crashes a
library that trusts it. So only the plainest file is decoded: one batch, no dictionaries, every
length and every buffer within the file.

Source: Arrow columnar format, `File.fbs` and `Message.fbs`; FlatBuffers internals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_MAGIC: Final = b"ARROW1"
_MAX_METADATA_BYTES: Final = 65_536
_RECORD_BATCH: Final = 3


class ArrowBatch(NamedTuple):
    """The only batch of a file: its rows, and whether its buffers are compressed."""

    rows: int
    compressed: bool


def arrow_batch(content: bytes) -> ArrowBatch:
    """The batch in an Arrow file, by its metadata alone.

    Raises:
        ValueError: it is no Arrow file of one plain batch.
    """
    try:
        return _batch(content)
    except struct.error:
        raise ValueError("cut off") from None


def _batch(content: bytes) -> ArrowBatch:
    end = len(content) - len(_MAGIC) - 4
    (size,) = struct.unpack_from("<i", content, max(end, 0))
    footer = _root(content, end - size, end)
    ((offset, length, body),) = footer.vector(3, "<qi4xq")
    if not content.startswith(_MAGIC) or not content.endswith(_MAGIC) or [*footer.vector(2, "<q")]:
        raise ValueError("other than one batch")
    # a message begins with its continuation mark and its length
    message = _root(content, offset + 8, offset + length)
    if message.value(1, "<B") != _RECORD_BATCH or not 0 <= body <= end - size - offset - length:
        raise ValueError("another message")
    batch = message.table(2)
    rows = batch.value(0, "<q")
    if batch.place(3) is not None:
        return ArrowBatch(rows, compressed=True)
    buffers, counts = [*batch.vector(2, "<qq")], [*batch.vector(4, "<q")]
    limits = [
        (0, rows, len(content)),
        *((0, nulls, values) for values, nulls in batch.vector(1, "<qq")),
        *((0, values, len(content)) for values, _ in batch.vector(1, "<qq")),
        *((0, at, body) for at, _ in buffers),
        *((0, held, body - at) for at, held in buffers),
        *((0, count, len(buffers)) for (count,) in counts),
    ]
    if any(not low <= one <= high for low, one, high in limits):
        raise ValueError("a length beyond the file")
    return ArrowBatch(rows, compressed=False)


class _Table(NamedTuple):
    """A table of FlatBuffers at a place of the bytes."""

    content: bytes
    at: int

    def place(self, field: int) -> int | None:
        """The place of a field; None if the table lacks it."""
        fields = self.at - self.read("<i", self.at)
        entry = 4 + 2 * field
        offset = self.read("<H", fields + entry) if entry < self.read("<H", fields) else 0
        return self.at + offset if offset else None

    def value(self, field: int, form: str) -> int:
        """A number; 0 if it is missing."""
        at = self.place(field)
        return 0 if at is None else self.read(form, at)

    def table(self, field: int) -> _Table:
        """The table that a field refers to."""
        at = self.place(field)
        if at is None:
            raise ValueError("no table")
        return _Table(self.content, at + self.read("<I", at))

    def vector(self, field: int, form: str) -> Iterator[tuple[int, ...]]:
        """The entries of a list; none if it is missing."""
        at = self.place(field)
        if at is None:
            return iter(())
        begin = at + self.read("<I", at)
        size = self.read("<I", begin) * struct.calcsize(form)
        return struct.iter_unpack(form, self.content[begin + 4 :][:size])

    def read(self, form: str, at: int) -> int:
        """The number at a place."""
        if at < 0:
            raise ValueError("a place before the beginning")
        found: tuple[Any, ...] = struct.unpack_from(form, self.content, at)
        return int(found[0])


def _root(content: bytes, begin: int, end: int) -> _Table:
    """The first table of the metadata between two places."""
    if not 0 <= begin < end <= begin + _MAX_METADATA_BYTES:
        raise ValueError("metadata out of bounds")
    metadata = content[begin:end]
    return _Table(metadata, struct.unpack_from("<I", metadata)[0])
