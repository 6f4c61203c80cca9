"""Files and folders with customers' data or keys: for their owner only, whatever the umask."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MARK_TEXT: Final = (
    "Shroff keeps this file beside a database of its own, so that it makes no empty one where the "
    "database was moved away. Remove it to begin with an empty one.\n"
)


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


def mark_of(file: Path) -> Path:
    """The file beside a database that says that the database was made."""
    return file.with_name(f"{file.name}.made")


def mark_made(file: Path) -> None:
    """Remember, for other processes too, that a database was made; where nothing can be written,
    nobody does.
    """
    mark = mark_of(file)
    if not mark.exists():
        with suppress(OSError):
            private_file(mark)
            mark.write_text(_MARK_TEXT)


def is_gone(file: Path, *, made: bool = False) -> bool:
    """Whether a database that was made is missing, or an empty file in its place.

    Args:
        made: it is known to have been made, whatever is beside it.
    """
    # asked first: another thread may be making it
    if not made and not mark_of(file).exists():
        return False
    try:
        return not file.stat().st_size
    except FileNotFoundError:
        return True
    except OSError:
        return False  # opening it reports the fault better
