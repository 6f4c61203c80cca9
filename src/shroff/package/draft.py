"""Folders that other programs read: there as a whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shroff.errors import BundleError
from shroff.package.bundle import Bundle


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes its name when all is written.

    Raises:
        BundleError: it is there already, or cannot be written.
    """
    require_absent(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield draft
            draft.chmod(0o755)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written: {error.strerror}.") from None


def require_absent(folder: Path) -> None:
    """Raise `BundleError` where something has the name of a new folder."""
    if folder.exists() or folder.is_symlink():
        raise BundleError(f"{folder} is there already: name another folder, or remove it.")


def require_features(bundle: Bundle) -> None:
    """Raise `BundleError` for a model that reads SQL conditions instead of features."""
    if bundle.conditions:
        raise BundleError(
            f"the detector `{bundle.name}` reads SQL conditions, which only Shroff evaluates: "
            "serve its bundle with `shroff serve`."
        )
