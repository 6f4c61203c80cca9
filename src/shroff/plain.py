"""Plain files: reading one that somebody else made, no longer than it may be, and putting one where
no device, pipe or link is.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from shroff.errors import BadFile

_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_plain(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The content of a regular file; nothing else is waited for.

    Args:
        follow: whether a symbolic link is followed, as that of a user who names the file.

    Raises:
        FileNotFoundError: there is none.
        BadFile: it is no regular file, holds more than `limit` bytes, cannot be read, or changes
            meanwhile.
    """
    with open_plain(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise BadFile(f"{path}: expected at most {limit:,} bytes, got {size:,}.")
        try:
            content = file.read(size + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(content) != size:
        raise BadFile(f"{path}: changes while it is read; try again when it is written.")
    return content


def open_plain(path: Path, *, follow: bool = False) -> BinaryIO:
    """A regular file, opened to be read; nothing else is waited for.

    Args:
        follow: whether a symbolic link is followed, as that of a user who names the file.

    Raises:
        FileNotFoundError: there is none.
        BadFile: it is no regular file, or cannot be read.
    """
    if "\0" in str(path):
        raise BadFile("expected the name of a file, got one with a NUL.")
    # without waiting: a named pipe opens only when somebody writes to it
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115  # what was opened is what is looked at; the caller closes it
    except FileNotFoundError:
        raise
    except OSError as error:
        with suppress(OSError):
            _require_regular(path, path.stat(follow_symlinks=follow))
        raise _unreadable(path, error) from None
    try:
        _require_regular(path, os.fstat(file.fileno()))
    except BadFile:
        file.close()
        raise
    return file


def _unreadable(path: Path, error: OSError) -> BadFile:
    return BadFile(f"{path}: cannot be read: {error.strerror}.")


def require_replaceable(path: Path) -> None:
    """Raise `BadFile` where there is something that is no regular file, and so must not be replaced
    by one; a symbolic link is not followed.

    Raises:
        OSError: it cannot be looked at.
    """
    with suppress(FileNotFoundError):
        _require_regular(path, path.lstat())


def _require_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise BadFile(f"{path}: expected a regular file, got {kind}.")
