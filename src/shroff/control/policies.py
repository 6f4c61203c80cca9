"""Policies in a folder: an immutable file each, with a hash in its name."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from shroff.collect.json_text import UNREADABLE
from shroff.collect.sources import written_whole
from shroff.decide.standing import Standing
from shroff.errors import BadFile, BundleError, NotFound
from shroff.package.files import MAX_FILE_BYTES
from shroff.plain import read_plain


class Policies:
    """The policies in a folder, by version: its time and the first digits of its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def versions(self) -> list[str]:
        """All versions, oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def keep(self, standing: Standing) -> str:
        """Store a policy unless it is stored already; returns its version."""
        content = standing.content
        digest = _digest(content)
        for path in self._folder.glob(f"*-{digest}.json"):
            if path.read_bytes() == content:
                return path.stem
        version = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest}"
        with written_whole(self._folder / f"{version}.json", private=True) as file:
            file.write(content)
        return version

    def load(self, version: str) -> Standing:
        """The policy of a version.

        Raises:
            NotFound: there is none.
            BundleError: it was altered.
        """
        if version not in self.versions:
            raise NotFound(f"{self._folder}: there is no published policy of version {version}.")
        path = self._folder / f"{version}.json"
        try:
            content = read_plain(path, MAX_FILE_BYTES["policy.json"])
            standing = msgspec.json.decode(content, type=Standing)
        except (OSError, BadFile, *UNREADABLE) as error:
            raise BundleError(
                f"{path}: expected a policy; the file is damaged ({type(error).__name__})."
            ) from None
        if not version.endswith(f"-{_digest(content)}"):
            raise BundleError(f"{path}: it is not the policy that was published (SHA-256 differs).")
        return msgspec.structs.replace(standing, version=version)


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:8]
