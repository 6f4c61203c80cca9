"""Columns packed side by side into one run of bytes, so that half a million rows are no objects.

The bytes are this process's own, or another process wrote them and this one maps them into its
memory: then they take none of its heap, and nothing is decoded but the cells that are read.

    >>> content = b"".join(
    ...     pack("risks", {"risk": np.array([0.5, np.nan]), **texts("family", "ab")})
    ... )
    >>> about, arrays = unpack(content, str)
    >>> about, [*PackedNumbers(arrays["risk"])], PackedTexts(arrays, "family")[1]
    ('risks', [0.5, None], 'b')
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from mmap import mmap
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from shroff.arrays import Array
from shroff.errors import BadFile

_FORMAT: Final = 1
"""Raised when what is packed changes: the process that packs may be of another release."""
_WORD_BYTES: Final = 8
_SECTION_TEXTS: Final = 64
_FORMS: Final = {"u1": "B", "u4": "I", "u8": "Q", "i8": "q", "f8": "d"}
"""The codes of `struct` by those of NumPy."""

T = TypeVar("T")
Arrays = Mapping[str, "memoryview[Any]"]
"""Packed arrays by name, each of one type."""


class _Span(NamedTuple):
    form: str
    begin: int
    size: int


class _PackedHead(msgspec.Struct, frozen=True):
    format: int
    about: msgspec.Raw
    spans: dict[str, _Span]


def pack(about: object, arrays: Mapping[str, Array]) -> Iterator[bytes]:
    """Arrays, and JSON about them, as bytes in parts."""
    spans, at = {}, 0
    for name, array in arrays.items():
        spans[name] = _Span(_FORMS[array.dtype.str[1:]], at, array.size)
        at += array.nbytes + -array.nbytes % _WORD_BYTES
    head = msgspec.json.encode(_PackedHead(_FORMAT, msgspec.Raw(msgspec.json.encode(about)), spans))
    yield len(head).to_bytes(_WORD_BYTES, "little")
    for part in (head, *(array.tobytes() for array in arrays.values())):
        yield part
        yield bytes(-len(part) % _WORD_BYTES)


def unpack(content: bytes | mmap, kind: type[T]) -> tuple[T, dict[str, memoryview[Any]]]:
    """What `pack` packed: the value of a type, and the arrays by name.

    Raises:
        BadFile: it is something else, or of another release.
    """
    view = memoryview(content)
    begin = _WORD_BYTES + int.from_bytes(view[:_WORD_BYTES], "little")
    try:
        head = msgspec.json.decode(view[_WORD_BYTES:begin], type=_PackedHead)
        about = msgspec.json.decode(head.about, type=kind)
    except msgspec.MsgspecError:
        raise BadFile("expected a packed table, got something else.") from None
    if head.format != _FORMAT:
        raise BadFile("expected a packed table of this release, got one of another: start anew.")
    rest = view[begin + -begin % _WORD_BYTES :]
    return about, {name: _array(rest, span) for name, span in head.spans.items()}


def _array(rest: memoryview[Any], span: _Span) -> memoryview[Any]:
    # bytes may be none, and none cannot be cast
    if span.form == "B":
        return rest[span.begin : span.begin + span.size]
    length = span.size * (4 if span.form == "I" else _WORD_BYTES)
    return rest[span.begin : span.begin + length].cast(span.form)  # type: ignore[call-overload, no-any-return]  # one of _FORMS


def texts(name: str, each: Iterable[str | None]) -> dict[str, Array]:
    """The arrays of a column of texts: where each begins, and all in UTF-8."""
    encoded = [(text or "").encode() for text in each]
    return {
        f"{name} begins": np.array([0, *accumulate(map(len, encoded))], np.uint32),
        f"{name} texts": np.frombuffer(b"".join(encoded), np.uint8),
    }


class PackedTexts:
    """The column of texts of a name: the text in each row; None where there is none."""

    def __init__(self, arrays: Arrays, name: str) -> None:
        self._begins, self._content = arrays[f"{name} begins"], arrays[f"{name} texts"]

    def __getitem__(self, row: int) -> str | None:
        begins = self._begins
        return str(self._content[begins[row] : begins[row + 1]], "utf-8") or None

    def holds(self, row: int, encoded: bytes) -> bool:
        """Whether the text in a row is this one, in UTF-8."""
        begin, end = self._begins[row], self._begins[row + 1]
        return bool(end - begin == len(encoded) and self._content[begin:end] == encoded)

    def __iter__(self) -> Iterator[str | None]:
        return map(self.__getitem__, range(len(self._begins) - 1))


class PackedNumbers:
    """A column of numbers: the number in each row; None, NaN in the array, where there is none."""

    def __init__(self, array: memoryview[Any]) -> None:
        self._array = array

    def __getitem__(self, row: int) -> float | None:
        number: float = self._array[row]
        return None if number != number else number

    def __iter__(self) -> Iterator[float | None]:
        return map(self.__getitem__, range(len(self._array)))


def index(name: str, each: Sequence[str]) -> dict[str, Array]:
    """The arrays of a `TextIndex`.

    Args:
        each: texts in the order of their characters, none twice.
    """
    return {
        f"{name} heads": np.array([_head(text.encode()) for text in each], np.uint64),
        **texts(name, each),
    }


class TextIndex:
    """Finds a text among many by halving: among their first eight bytes as numbers, and among those
    that begin alike by the whole.

    Nobody who chooses the texts makes it slow: five hundred thousand are halved nineteen times.
    """

    def __init__(self, arrays: Arrays, name: str) -> None:
        self._heads = arrays[f"{name} heads"]
        # halved first: a few thousand numbers that the processor's cache holds
        self._fences: list[int] = self._heads[::_SECTION_TEXTS].tolist()
        self.texts = PackedTexts(arrays, name)

    def find(self, text: str) -> int:
        """The place of a text; -1 if it is not there.

        >>> keys = ["12", "5411", "merchant-1", "merchant-2"]
        >>> arrays = {name: memoryview(array) for name, array in index("key", keys).items()}
        >>> [TextIndex(arrays, "key").find(text) for text in ("5411", "merchant-2", "54110")]
        [1, 3, -1]
        """
        encoded = text.encode()
        heads, head = self._heads, _head(encoded)
        section = bisect_left(self._fences, head)
        place = bisect_left(
            heads,
            head,
            max(section - 1, 0) * _SECTION_TEXTS,
            min(section * _SECTION_TEXTS, len(heads)),
        )
        after = place + 1
        if after < len(heads) and heads[after] == head:
            after = bisect_right(heads, head, after)
            place = bisect_left(self.texts, text, place, after)  # type: ignore[type-var]  # it need not tell its length
        found = place < min(after, len(heads)) and self.texts.holds(place, encoded)
        return place if found else -1


def _head(encoded: bytes) -> int:
    """The first eight bytes of a text as a number, in the order of the texts."""
    return int.from_bytes(encoded[:_WORD_BYTES].ljust(_WORD_BYTES, b"\0"))
