"""The models that were published: versioned bundles in a folder, with a pointer to the one that decides.

    versions/VERSION/       a bundle, byte for byte as it was published, never changed
    pointers.json           which version is in production, which in the shadow, and every change there was

A change of pointer is one rename, so whoever reads sees the old pointers or the new ones.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from shroff.collect.sources import written_whole
from shroff.errors import BundleError, ConfigurationError, NotFound
from shroff.package.bundle import Bundle, load

Role = Literal["production", "shadow"]
_POINTERS: Final = "pointers.json"


class Change(msgspec.Struct, frozen=True):
    """A pointer that was moved: when (ISO 8601), which, by what, to which version (None: to none)."""

    at: str
    role: Role
    action: Literal["publish", "rollback", "withdraw"]
    version: str | None


class Pointers(msgspec.Struct, frozen=True):
    """Which versions do what; `earlier` are those that were in production before, the last one first."""

    production: str | None = None
    shadow: str | None = None
    earlier: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def moved(self, role: Role, action: Literal["publish", "rollback", "withdraw"], version: str | None) -> Pointers:
        """The same after a change."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changes = (*self.changes, Change(now, role, action, version))
        if role == "shadow":
            return msgspec.structs.replace(self, shadow=version, changes=changes)
        earlier = self.earlier[1:] if action == "rollback" else self.earlier
        if action == "publish" and self.production is not None:
            earlier = (self.production, *earlier)
        # what decides is not compared with itself
        shadow = None if self.shadow == version else self.shadow
        return Pointers(version, shadow, earlier, changes)


class Models:
    """A folder of published bundles; it is made when the first one is published.

    Several processes may publish at once: they take turns.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __contains__(self, version: str) -> bool:
        return (self._place(version) / "manifest.json").exists()

    @property
    def pointers(self) -> Pointers:
        """The pointers as they are now; none before the first bundle was published.

        Raises:
            BundleError: the file of the pointers is damaged.
        """
        path = self.folder / _POINTERS
        try:
            return msgspec.json.decode(path.read_bytes(), type=Pointers)
        except FileNotFoundError:
            return Pointers()
        except (OSError, msgspec.MsgspecError) as error:
            raise BundleError(
                f"{path}: expected the pointers of published models; the file is damaged ({type(error).__name__})."
            ) from None

    @property
    def versions(self) -> list[str]:
        """All versions that were published, oldest first."""
        return sorted(path.parent.name for path in self.folder.glob("versions/*/manifest.json"))

    def publish(self, bundle: str | Path, *, role: Role = "production") -> Bundle:
        """Keep a bundle as a version and point to it; the bundle that was kept.

        Raises:
            BundleError: it is incomplete or altered.
        """
        loaded = load(bundle)
        with self._turn() as pointers:
            if loaded.version not in self:
                self._keep(Path(bundle), loaded.version)
            kept = load(self._place(loaded.version))
            if getattr(pointers, role) != loaded.version:
                self._point(pointers.moved(role, "publish", loaded.version))
        return kept

    def rollback(self) -> str:
        """Put the version into production that was there before; returns it.

        Raises:
            NotFound: there was none before.
        """
        with self._turn() as pointers:
            if not pointers.earlier:
                raise NotFound(f"{self.folder}: there is no earlier version in production to go back to.")
            load(self._place(pointers.earlier[0]))
            self._point(pointers.moved("production", "rollback", pointers.earlier[0]))
            return pointers.earlier[0]

    def withdraw(self) -> None:
        """Take the shadow away."""
        with self._turn() as pointers:
            if pointers.shadow is not None:
                self._point(pointers.moved("shadow", "withdraw", None))

    def load(self, version: str) -> Bundle:
        """A published bundle.

        Raises:
            NotFound: there is no such version.
            BundleError: it was altered.
        """
        if version not in self:
            raise NotFound(f"{self.folder}: there is no published model of version {version}.")
        return load(self._place(version))

    def production(self) -> Bundle:
        """The bundle in production.

        Raises:
            ConfigurationError: none was published.
        """
        version = self.pointers.production
        if version is None:
            raise ConfigurationError(
                f"{self.folder}: no model is in production yet; `shroff publish BUNDLE` puts one there."
            )
        return self.load(version)

    def _place(self, version: str) -> Path:
        return self.folder / "versions" / version

    def _keep(self, bundle: Path, version: str) -> None:
        place = self._place(version)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{version}."))
        try:
            shutil.copytree(bundle, draft, dirs_exist_ok=True)
            for path in draft.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            draft.rename(place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _point(self, pointers: Pointers) -> None:
        with written_whole(self.folder / _POINTERS) as file:
            file.write(msgspec.json.format(msgspec.json.encode(pointers), indent=1))

    @contextmanager
    def _turn(self) -> Iterator[Pointers]:
        """The pointers, while nobody else can move them."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise ConfigurationError(f"{self.folder}: cannot keep models there: {error.strerror}.") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.pointers
