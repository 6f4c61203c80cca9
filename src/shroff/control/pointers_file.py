"""The file of the pointers: replaced by one rename, changed by one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from shroff.collect.sources import written_whole
from shroff.control.pointers import Pointers, read_pointers
from shroff.errors import ConfigurationError
from shroff.private import private_file

_FILE: Final = "pointers.json"


class PointersFile:
    """The pointers of a folder of models, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> Pointers:
        """The pointers now; empty before the first bundle is published.

        Raises:
            BundleError: the file is damaged.
            BrokenChain: its history was changed.
        """
        return read_pointers(self._folder / _FILE)

    def write(self, pointers: Pointers) -> None:
        """Replace them: a reader sees the old or the new ones."""
        with written_whole(self._folder / _FILE, private=True) as file:
            file.write(msgspec.json.format(msgspec.json.encode(pointers), indent=1))

    @contextmanager
    def turn(self) -> Iterator[Pointers]:
        """Lock the pointers against other processes; gives those there are.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        try:
            private_file(self._folder / ".lock")
            lock = (self._folder / ".lock").open("r+")
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder}: cannot keep models there: {error.strerror}."
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()
