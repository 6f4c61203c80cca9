"""Snapshots of a state in memory: a start reads the last one and only the records after it.

A file holds a header, portions of the state, each with the last record that it knows, and an end;
behind them an HMAC over all of it. It is written beside the last one and takes its place whole: a
writer that is killed leaves none.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar

import msgspec

from shroff.collect.extent import Extent
from shroff.errors import BadFile
from shroff.features.engines.online.snapshot import Origin, Portion
from shroff.ledger import Head
from shroff.plain import open_plain
from shroff.private import private_folder
from shroff.state.mark import Mark

_SUFFIX: Final = ".state"
_LENGTH_BYTES: Final = 8
_TAG_BYTES: Final = 32
_BLOCK_BYTES: Final = 1 << 20
_MAX_END_BYTES: Final = 1 << 16
_OTHER_BYTES: Final = "it is damaged, or of another installation"

T = TypeVar("T")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is of.

    `ledger` is the name of the ledger, `destroyed` that of the subjects' keys that were gone, and
    `mark` what the state was built from at first. `first` is the last record that the first portion
    knows.
    """

    origin: Origin
    ledger: str
    destroyed: str
    currency: str | None
    mark: Mark
    first: int


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last record that the last portion knows, and the latest arrival and event time (µs)."""

    head: Head
    arrived: int
    newest: int


class Saved:
    """A snapshot in a file, whole and of this installation; a context manager.

    The file stays open, so that what was verified is what is read, also if its name is gone.
    """

    def __init__(self, file: BinaryIO, header: Header, end: End) -> None:
        self._file = file
        self.header = header
        self.end = end

    @property
    def history(self) -> Extent | None:
        """The table that the state began with."""
        return self.header.mark.history

    def portions(self) -> Iterator[tuple[int, Portion]]:
        """The portions of the state, each after the last record that it knows."""
        decode = msgspec.msgpack.Decoder(tuple[int, Portion]).decode
        self._file.seek(0)
        _frame(self._file)
        while frame := _frame(self._file):
            yield decode(frame)

    def close(self) -> None:
        """Read no more of it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Snapshots:
    """The snapshots in a folder, one for each ledger.

    Args:
        key: of the HMAC: a file that was written with another one is not read.
        seconds: between two snapshots of a service; 0: none is written or read.
    """

    def __init__(self, folder: Path, key: bytes, *, seconds: float) -> None:
        self._folder = folder
        self._key = hmac.digest(key, b"snapshots of the state", "sha256")
        self.seconds = seconds

    @property
    def empty(self) -> bool:
        """Whether there is none, of no ledger."""
        return next(self._folder.glob(f"*{_SUFFIX}"), None) is None

    def begin(self, header: Header) -> SnapshotWriter:
        """A snapshot that is about to be written.

        Raises:
            OSError: the folder cannot be written.
        """
        private_folder(self._folder)
        return SnapshotWriter(self._path(header.ledger), self._key, header)

    def read(self, ledger: str) -> Saved | None:
        """The snapshot of the state over a ledger; None if there is none.

        What a killed writer left is removed: it may hold people who are forgotten later.

        Raises:
            BadFile: it is damaged, no regular file, or was written by another installation or an
                older version.
        """
        path = self._path(ledger)
        with suppress(OSError):
            _part_of(path).unlink(missing_ok=True)
        try:
            file = open_plain(path)
        except FileNotFoundError:
            return None
        with ExitStack() as unused:
            unused.enter_context(file)
            try:
                # before gigabytes are hashed: a file that was cut off or stretched has no such end
                end = _end(file)
                self._require_authentic(file)
                saved = Saved(
                    file,
                    msgspec.msgpack.decode(_frame(file), type=Header),
                    msgspec.msgpack.decode(end, type=End),
                )
            except OSError as error:
                raise BadFile(f"it cannot be read: {error.strerror}") from None
            except msgspec.MsgspecError:
                raise BadFile("it is of another version") from None
            unused.pop_all()
            return saved

    def remove(self, ledger: str) -> None:
        """Remove the snapshot of the state over a ledger, if there is one."""
        with suppress(OSError):
            self._path(ledger).unlink(missing_ok=True)

    def _path(self, ledger: str) -> Path:
        return self._folder / f"{ledger}{_SUFFIX}"

    def _require_authentic(self, file: BinaryIO) -> None:
        """Raise `BadFile` unless the HMAC of a file is right, which is then at its beginning."""
        file.seek(0)
        left = os.fstat(file.fileno()).st_size - _TAG_BYTES
        seen = hmac.new(self._key, digestmod="sha256")
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            seen.update(block)
            left -= len(block)
        if not hmac.compare_digest(seen.digest(), file.read()):
            raise BadFile(_OTHER_BYTES)
        file.seek(0)


def remove_snapshots(folder: Path) -> None:
    """Remove all snapshots in a folder, and what killed writers left.

    Raises:
        OSError: one cannot be removed.
    """
    for path in [*folder.glob(f"*{_SUFFIX}"), *folder.glob(f"*{_SUFFIX}.part")]:
        path.unlink(missing_ok=True)


class SnapshotWriter:
    """Writes a snapshot; a context manager that leaves the last one as it is unless `finish` was
    called.
    """

    def __init__(self, path: Path, key: bytes, header: Header) -> None:
        self._path = path
        # one process writes a ledger, and so its snapshot: what a killed one left is overwritten
        self._part = _part_of(path)
        self._file = os.fdopen(
            os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
        )
        self._seen = hmac.new(key, digestmod="sha256")
        self._encode = msgspec.msgpack.Encoder().encode
        self._put(self._encode(header))

    def add(self, mark: int, portion: Portion) -> None:
        """Add a portion, which knows the records up to `mark`.

        Raises:
            OSError: it cannot be written.
        """
        self._put(self._encode((mark, portion)))

    def finish(self, end: End) -> None:
        """Put the snapshot in the place of the last one, once all of it is on disk.

        Raises:
            OSError: it cannot be written.
        """
        self._put(b"")
        frame = self._encode(end)
        self._write(frame + len(frame).to_bytes(_LENGTH_BYTES))
        self._file.write(self._seen.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _put(self, frame: bytes) -> None:
        self._write(len(frame).to_bytes(_LENGTH_BYTES))
        self._write(frame)

    def _write(self, data: bytes) -> None:
        self._seen.update(data)
        self._file.write(data)


def _part_of(path: Path) -> Path:
    """The file in which a snapshot is written until it is whole."""
    return path.with_name(f"{path.name}.part")


def _end(file: BinaryIO) -> bytes:
    """The frame at the end of a file, which is not known to be authentic yet.

    Raises:
        BadFile: it ends otherwise than a snapshot does.
    """
    before = os.fstat(file.fileno()).st_size - _TAG_BYTES - _LENGTH_BYTES
    if before < 0:
        raise BadFile(_OTHER_BYTES)
    file.seek(before)
    length = int.from_bytes(file.read(_LENGTH_BYTES))
    if not 0 < length <= min(before, _MAX_END_BYTES):
        raise BadFile(_OTHER_BYTES)
    file.seek(before - length)
    return file.read(length)


def _frame(file: BinaryIO) -> bytes:
    return file.read(int.from_bytes(file.read(_LENGTH_BYTES)))
