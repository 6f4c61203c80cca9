"""Files and folders with customers' data or keys: for their owner only, whatever the umask."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make a folder that is missing, and the folders above it, for their owner only; one that is
    there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def private_file(file: Path) -> None:
    """Make an empty file that is missing, in its folder, for its owner only; one that is there
    stays as it is.

    SQLite gives the files that it writes beside a database the mode of the database.

    Raises:
        OSError: it cannot be made.
    """
    private_folder(file.parent)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
