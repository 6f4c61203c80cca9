"""What a Parquet file says that it holds, read before any of it is decoded.

Whoever made the file chose every byte: 400 kB hold 50 million rows, or one text of 2 GB. So its
footer and the heads of its pages, by which it is decompressed, are added up first.

Source: Apache Parquet `parquet.thrift`; Thrift compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from mmap import mmap
from typing import Any, Final, NamedTuple

_MAGIC: Final = b"PAR1"
_MAX_FOOTER_BYTES: Final = 1 << 20
_MAX_PAGES: Final = 20_000
_MAX_LEVELS: Final = 16
_MAX_VARINT_BYTES: Final = 10
_KINDS: Final = (5, 7, 8)
"""The fields of a page's head that say what it holds: values, a dictionary, values as of 2013."""

Fields = Mapping[int, Any]
"""A struct of Thrift: values by the numbers of their fields."""


class ParquetExtent(NamedTuple):
    """The rows and columns of a file, and how many bytes its pages are without compression."""

    rows: int
    columns: int
    size_bytes: int


def parquet_extent(content: bytes) -> ParquetExtent:
    """The extent of a Parquet file whose columns are not nested.

    Raises:
        ValueError: it is no such file; the message says why.
    """
    with _damage_told():
        footer = _footer(content, _MAX_FOOTER_BYTES)
        # of the schema, a tree in one list, the first is the root
        columns = footer[2][1:]
        if any(one.get(5) for one in columns):
            raise ValueError("its columns are nested")
        chunks = _chunks(footer)
        rows = [footer[3], *(group[3] for group in footer[4]), *(chunk[5] for chunk in chunks)]
        pages = [*islice(_pages(content, chunks), _MAX_PAGES + 1)]
        if min(*rows, 0) < 0 or len(pages) > _MAX_PAGES:
            raise ValueError("it counts more than there is")
        together = sum(group[3] for group in footer[4])
        return ParquetExtent(max(*rows, together), len(columns), sum(pages))


def require_sound_pages(content: bytes | mmap) -> None:
    """Read the heads of all pages of a Parquet file, as large as it may be.

    Polars believes them: a page of fewer than no values ends the process, not only the reading.

    Raises:
        ValueError: one is none, or counts what cannot be.
    """
    with _damage_told():
        for _ in _pages(content, _chunks(_footer(content, len(content)))):
            pass


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (struct.error, IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("it is damaged or something else") from None


def _footer(content: bytes | mmap, most: int) -> Fields:
    end = len(content) - len(_MAGIC) - 4
    (size,) = struct.unpack_from("<I", content, max(end, 0))
    if content[end + 4 :] != _MAGIC or not 0 < size <= min(end, most):
        raise ValueError("it has no footer")
    return _Thrift(content[end - size : end], 0).struct()


def _chunks(footer: Fields) -> list[Fields]:
    return [chunk[3] for group in footer[4] for chunk in group[1]]


def _pages(content: bytes | mmap, chunks: Iterable[Fields]) -> Iterator[int]:
    """The bytes of each page without compression, where its head says what can be."""
    for chunk in chunks:
        at = min((chunk[field] for field in (9, 11) if chunk.get(field, 0) > 0), default=None)
        if at is None:
            raise ValueError("a column has no pages")
        end = at + chunk[7]
        while at < end:
            reader = _Thrift(content, at)
            head = reader.struct()
            counts = [one for kind in _KINDS for one in head.get(kind, {}).values()]
            if min(head[2], head[3], *(one for one in counts if isinstance(one, int))) < 0:
                raise ValueError("a page has a negative length or number of values")
            yield head[2]
            at = reader.at + head[3]


class _Thrift:
    """Reads the compact protocol at a place of the bytes."""

    def __init__(self, content: bytes | mmap, at: int) -> None:
        self.content = content
        self.at = at

    def struct(self, level: int = 0) -> dict[int, Any]:
        """The fields of a struct."""
        if level > _MAX_LEVELS:
            raise ValueError("its footer is nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            # a boolean is in its head
            fields[number] = head & 15 == 1 if head & 15 <= 2 else self.value(head & 15, level)
        return fields

    def value(self, kind: int, level: int) -> Any:
        """A value of a kind."""
        match kind:
            case 1 | 2 | 3:
                return self.byte()
            case 4 | 5 | 6:
                return self.zigzag()
            case 7:
                self.at += 8
                return None
            case 8:
                size = self.varint()
                self.at += size
                return None
            case 9 | 10:
                head = self.byte()
                size = self.varint() if head >> 4 == 15 else head >> 4
                if size > _MAX_FOOTER_BYTES:
                    raise ValueError("its footer is damaged")
                return [self.value(head & 15, level + 1) for _ in range(size)]
            case 12:
                return self.struct(level + 1)
        raise ValueError("its footer is damaged")

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.content[self.at - 1]

    def varint(self) -> int:
        """A number of seven bits a byte."""
        number = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self.byte()
            number |= (byte & 127) << 7 * place
            if byte < 128:
                return number
        raise ValueError("its footer is damaged")

    def zigzag(self) -> int:
        """A number with its sign in the last bit."""
        number = self.varint()
        return number >> 1 ^ -(number & 1)
