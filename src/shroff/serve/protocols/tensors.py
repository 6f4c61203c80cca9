"""Tensors of the Open Inference Protocol, as JSON values or as raw bytes behind the JSON."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np

from shroff.errors import BadPayment
from shroff.serve.protocols.limits import require_few

TYPES: Final = {
    "BOOL": np.dtype("?"),
    **{
        f"{sign}INT{8 * size}": np.dtype(f"<{sign.lower() or 'i'}{size}")
        for sign in ("", "U")
        for size in (1, 2, 4, 8)
    },
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""NumPy's types for the protocol's numeric types; `BYTES` is text."""
_LENGTH: Final = struct.Struct("<I")
_KINDS: Final[dict[str, tuple[type, ...]]] = {"BYTES": (str,), "BOOL": (bool, int, float)}
"""Python types of JSON values, for types other than numbers."""
_MAX_DIMENSION: Final = 2**63 - 1
"""Largest dimension: the protocol's are of 64 bits."""

Scalar = float | str | None


class Parameters(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parameters of a tensor that are used here."""

    binary_data_size: int | None = None
    binary_data: bool | None = None


class InputTensor(msgspec.Struct):
    """An input: its values in `data` (row by row, nested or flat), or as bytes after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = Parameters()
    data: list[Any] | None = None


def read(tensor: InputTensor, raw: bytes | None) -> list[Scalar]:
    """The values of an input in the order of its rows; NaN is missing.

    Raises:
        BadPayment: an unknown type, or values that do not fit shape and type.
        Refused: more rows or columns than a request may have.
    """
    if tensor.datatype != "BYTES" and tensor.datatype not in TYPES:
        raise _bad(tensor, f"expected a datatype of {', '.join(TYPES)} or BYTES, got another one")
    # checked before they are multiplied: the product of thousands takes seconds
    if not 1 <= len(tensor.shape) <= 2 or not all(
        0 <= length <= _MAX_DIMENSION for length in tensor.shape
    ):
        raise _bad(
            tensor,
            "expected a shape of one or two dimensions, each a whole number of 64 bits, got "
            "another",
        )
    require_few(*tensor.shape)
    size = math.prod(tensor.shape)
    values = _from_json(tensor) if raw is None else _from_bytes(tensor, raw, size)
    if len(values) != size:
        raise _bad(tensor, f"expected {size:,} values as its shape says, got {len(values):,}")
    return values


def _from_json(tensor: InputTensor) -> list[Scalar]:
    if tensor.data is None:
        raise _bad(tensor, "expected `data`, or `binary_data_size` and the bytes, got neither")
    flat = list(_flatten(tensor.data, len(tensor.shape)))
    # exactly these: `true` is a number to Python, but not to a client
    wanted = {type(None), *_KINDS.get(tensor.datatype, (int, float))}
    if not wanted.issuperset(map(type, flat)):
        expected = "texts" if tensor.datatype == "BYTES" else "numbers"
        raise _bad(tensor, f"expected {expected} in `data`, got something else")
    return flat


def _flatten(data: Iterable[Any], depth: int) -> Iterable[Any]:
    for value in data:
        if isinstance(value, list) and depth > 1:
            yield from _flatten(value, depth - 1)
        else:
            yield value


def _from_bytes(tensor: InputTensor, raw: bytes, size: int) -> list[Scalar]:
    if tensor.datatype == "BYTES":
        # one surplus value is enough to know that there are too many
        return list(islice(_texts(tensor, raw), size + 1))
    kind = TYPES[tensor.datatype]
    if len(raw) > (size + 1) * kind.itemsize:
        raise _bad(
            tensor, f"expected {size:,} values of {kind.itemsize} bytes, got {len(raw):,} bytes"
        )
    if len(raw) % kind.itemsize:
        raise _bad(tensor, f"expected values of {kind.itemsize} bytes, got {len(raw):,} bytes")
    # an integer may be a code with more digits than a float keeps
    return [None if value != value else value for value in np.frombuffer(raw, kind).tolist()]


def _texts(tensor: InputTensor, raw: bytes) -> Iterable[str]:
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else math.inf
        if end > len(raw):
            raise _bad(
                tensor, "expected texts, each behind its length in 4 bytes, got another length"
            )
        at = int(end)
        try:
            yield raw[start:at].decode()
        except UnicodeDecodeError:
            raise _bad(tensor, "expected texts in UTF-8, got other bytes") from None


def binary(datatype: str, values: Sequence[Any]) -> bytes:
    """Values as the protocol's raw bytes.

    >>> binary("FP64", [0.5]), binary("BYTES", ["no"])
    (b'\\x00\\x00\\x00\\x00\\x00\\x00\\xe0?', b'\\x02\\x00\\x00\\x00no')
    """
    if datatype != "BYTES":
        return np.array(
            [math.nan if value is None else value for value in values], dtype=TYPES[datatype]
        ).tobytes()
    texts = [str(value).encode() for value in values]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def _bad(tensor: InputTensor, what: str) -> BadPayment:
    return BadPayment(f"input `{tensor.name}`: {what}.")
