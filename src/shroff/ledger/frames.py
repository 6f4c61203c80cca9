"""The format of the spool's file: one frame per write, with length and checksum."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from shroff.ledger.record import Entry

_MAGIC: Final = b"shr\x01"
_FRAME_HEADER: Final = struct.Struct(">4sII")  # magic, length and CRC-32 of what follows


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Entries synced together; `seq` and `chain`: the ledger's last known record."""

    seq: int
    chain: bytes
    entries: list[Entry]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Frame).decode


class SpoolContents(NamedTuple):
    """The contents of a spool's file.

    `torn` bytes at the end begin a frame that a crash cut off. `damaged` bytes are all others
    outside frames: a frame follows them, or they never began one.
    """

    frames: list[Frame]
    torn: int
    damaged: int


def frame(seq: int, chain: bytes, entries: Sequence[Entry]) -> bytes:
    """The bytes of a frame.

    >>> len(frame(0, bytes(32), [])), read(frame(0, bytes(32), []) + b"shr")
    (49, SpoolContents(frames=[Frame(seq=0, chain=b'...', entries=[])], torn=3, damaged=0))
    """
    body = _encode(Frame(seq, chain, list(entries)))
    return _FRAME_HEADER.pack(_MAGIC, len(body), crc32(body)) + body


def read(data: bytes) -> SpoolContents:
    """All whole frames in the bytes of a file; damaged bytes are skipped."""
    frames: list[Frame] = []
    at = good = damaged = 0
    while (at := data.find(_MAGIC, at)) >= 0:
        found = _frame_at(data, at)
        if found is None:
            # a payload can contain these four bytes too
            at += 1
            continue
        damaged += at - good
        whole, good = found
        frames.append(whole)
        at = good
    rest = len(data) - good
    torn = data.startswith(_MAGIC[:rest], good)
    return SpoolContents(frames, rest if torn else 0, damaged if torn else damaged + rest)


def _frame_at(data: bytes, at: int) -> tuple[Frame, int] | None:
    """The frame at an offset, and its end."""
    body = at + _FRAME_HEADER.size
    if body > len(data):
        return None
    _, length, checksum = _FRAME_HEADER.unpack_from(data, at)
    end = body + length
    if end > len(data) or crc32(memoryview(data)[body:end]) != checksum:
        return None
    try:
        return _decode(memoryview(data)[body:end]), end
    except msgspec.MsgspecError:
        return None
