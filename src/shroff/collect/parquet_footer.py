"""What a Parquet file says that it holds, read before any of it is decoded.

Whoever made the file chose every byte: 400 kB hold 50 million rows, or one text of 2 GB. So its
footer and the heads of its pages, by which it is decompressed, are added up first.

Source: Apache Parquet `parquet.thrift`; Thrift compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

_MAGIC: Final = b"PAR1"
_MAX_FOOTER_BYTES: Final = 1 << 20
_MAX_PAGES: Final = 20_000
_MAX_LEVELS: Final = 16
_MAX_VARINT_BYTES: Final = 10

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
    try:
        return _extent(content)
    except (struct.error, IndexError, KeyError, TypeError):
        raise ValueError("it is damaged or something else") from None


def _extent(content: bytes) -> ParquetExtent:
    end = len(content) - len(_MAGIC) - 4
    (size,) = struct.unpack_from("<I", content, max(end, 0))
    if not content.endswith(_MAGIC) or not 0 < size <= min(end, _MAX_FOOTER_BYTES):
        raise ValueError("it has no footer")
    footer = _Thrift(content[end - size : end], 0).struct()
    # of the schema, a tree in one list, the first is the root
    columns = footer[2][1:]
    if any(one.get(5) for one in columns):
        raise ValueError("its columns are nested")
    chunks = [chunk[3] for group in footer[4] for chunk in group[1]]
    rows = [footer[3], *(group[3] for group in footer[4]), *(chunk[5] for chunk in chunks)]
    pages = [page for chunk in chunks for page in _pages(content, chunk)]
    if min(*rows, 0) < 0 or len(pages) > _MAX_PAGES:
        raise ValueError("it counts more than there is")
    together = sum(group[3] for group in footer[4])
    return ParquetExtent(max(*rows, together), len(columns), sum(pages))


def _pages(content: bytes, chunk: Fields) -> Iterator[int]:
    """The bytes of each page of a column without compression."""
    at = min(chunk[field] for field in (9, 11) if chunk.get(field, 0) > 0)
    end = at + chunk[7]
    while at < end:
        reader = _Thrift(content, at)
        head = reader.struct()
        if min(head[2], head[3]) < 0:
            raise ValueError("a page has a negative length")
        yield head[2]
        at = reader.at + head[3]


class _Thrift:
    """Reads the compact protocol at a place of the bytes."""

    def __init__(self, content: bytes, at: int) -> None:
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
