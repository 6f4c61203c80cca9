"""Short texts as the integers that they are in memory.

Arrow keeps a text of up to twelve bytes in sixteen: its length and the text, padded with zeros. So
short texts are equal if two 64-bit numbers are, and need no hash. They are read in place through
Arrow's C stream interface, because NumPy cannot read texts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator
from typing import Final

import numpy as np
import polars as pl

from shroff.features.engines.batch.grouping import Pairs

MAX_INLINE_BYTES: Final = 12
"""The longest text that Arrow keeps inline, in bytes."""

_IN_PLACE: Final = b"vu"
"""Arrow's format string for such texts."""
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Next = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Schema(ctypes.Structure):
    """ArrowSchema, of which only this is read."""

    _fields_ = (
        ("format", ctypes.c_char_p),
        ("unread", ctypes.c_void_p * 6),
        ("release", _Release),
        ("private", ctypes.c_void_p),
    )


class _Array(ctypes.Structure):
    """ArrowArray."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("nulls", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("unread", ctypes.c_int64 * 2),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("more", ctypes.c_void_p * 2),
        ("release", _Release),
        ("private", ctypes.c_void_p),
    )


class _Stream(ctypes.Structure):
    """ArrowArrayStream."""

    _fields_ = (
        ("schema", _Next),
        ("next", _Next),
        ("unread", ctypes.c_void_p),
        ("release", _Release),
        ("private", ctypes.c_void_p),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)


def short(values: pl.Series) -> Generator[Pairs]:
    """The texts as two numbers each, chunk by chunk; ends before a chunk with a longer text.

    A chunk is valid until the next is requested; a null has an undefined number.
    """
    capsule = values.__arrow_c_stream__()
    stream = _Stream.from_address(_pointer(capsule, b"arrow_array_stream"))
    if not _in_place(stream):
        return
    while (array := _next(stream)) is not None:
        try:
            numbers = ctypes.cast(array.buffers[1], ctypes.POINTER(ctypes.c_uint64))
            pairs = np.ctypeslib.as_array(numbers, (array.offset + array.length, 2))[array.offset :]
            if pairs.view(np.uint32)[:, 0].max(initial=0) > MAX_INLINE_BYTES:
                return
            yield pairs
        finally:
            array.release(ctypes.addressof(array))


def _in_place(stream: _Stream) -> bool:
    schema = _Schema()
    if stream.schema(ctypes.addressof(stream), ctypes.addressof(schema)):
        return False
    try:
        return bool(schema.format == _IN_PLACE)
    finally:
        schema.release(ctypes.addressof(schema))


def _next(stream: _Stream) -> _Array | None:
    array = _Array()
    failed = stream.next(ctypes.addressof(stream), ctypes.addressof(array))
    return None if failed or not array.release else array
