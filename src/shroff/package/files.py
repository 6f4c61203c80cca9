"""The files of a bundle: plain files, read whole within bounds, and checked by the manifest.

The maker of a bundle chose every byte of it. So nothing in it names a path: files have fixed names,
versions have one form, and what is stored are the bytes that were checked, not a later copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from shroff.collect.extent import Extent
from shroff.collect.json_text import UNREADABLE, require_keys_once
from shroff.collect.sources import written_whole
from shroff.embed.learned import MAX_BYTES
from shroff.errors import BadFile, BadPayment, BundleError, one_line
from shroff.plain import read_plain

MANIFEST: Final = "manifest.json"
VECTORS: Final = tuple(f"vectors-{number}.arrow" for number in range(1, 5))
"""The files of vectors that features may read."""
_MB_BYTES: Final = 1 << 20
_MAX_JSON_BYTES: Final = 32 * _MB_BYTES
MAX_FILE_BYTES: Final[Mapping[str, int]] = {
    MANIFEST: _MB_BYTES,
    "model.onnx": 512 * _MB_BYTES,
    "schema.json": _MAX_JSON_BYTES,
    "features.json": _MB_BYTES,
    "inputs.json": _MAX_JSON_BYTES,
    "policy.json": _MAX_JSON_BYTES,
    "thresholds.json": _MAX_JSON_BYTES,
    "reference.json": 4 * _MB_BYTES,
    "metrics.json": _MAX_JSON_BYTES,
    **dict.fromkeys(VECTORS, MAX_BYTES),
}
"""Every file that a bundle may have, and the most bytes it may hold."""

T = TypeVar("T")
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_INVISIBLE_CHARACTERS: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
Name = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=rf"^[^{_INVISIBLE_CHARACTERS}]*\Z")
]


class BundleManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a bundle."""

    format: int
    name: Name
    created: Annotated[str, Meta(pattern=r"^[0-9]{8}T[0-9]{6}Z\Z")]
    fingerprint: Digest
    currency: str | None
    versions: dict[str, str]
    files: dict[str, Digest]
    numbers: tuple[str, ...] = ()
    history: Extent | None = None


@dataclass(frozen=True)
class Files:
    """A bundle's bytes: its manifest as `written`, and the `content` of each listed file."""

    folder: Path
    """Where they are, for messages."""
    manifest: BundleManifest
    written: bytes
    content: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, and so of all files."""
        return hashlib.sha256(self.written).hexdigest()

    @property
    def content_digest(self) -> str:
        """SHA-256 of the manifest without its time: equal for bundles of equal content."""
        return hashlib.sha256(
            msgspec.json.encode(msgspec.structs.replace(self.manifest, created=""))
        ).hexdigest()

    def model(self) -> bytes:
        """The ONNX model.

        Raises:
            BundleError: there is none.
        """
        return self._content("model.onnx")

    def decode(self, name: str, kind: type[T]) -> T:
        """A file's JSON.

        Raises:
            BundleError: the file is missing, or no such JSON.
        """
        return _decode(self._content(name), kind, self.folder / name)

    def write(self, folder: Path) -> None:
        """Write them into an empty folder, for their owner only; the manifest last.

        Raises:
            BundleError: one is larger than any that can be read again.
            BadFile: one cannot be written.
        """
        for name, content in {**self.content, MANIFEST: self.written}.items():
            if len(content) > MAX_FILE_BYTES[name]:
                raise BundleError(
                    f"expected at most {MAX_FILE_BYTES[name]:,} bytes in `{name}`, got "
                    f"{len(content):,}."
                )
            with written_whole(folder / name, private=True) as file:
                file.write(content)

    def _content(self, name: str) -> bytes:
        if name not in self.content:
            raise BundleError(f"{self.folder}: expected a bundle with a file `{name}`, found none.")
        return self.content[name]


def read_files(folder: Path, expected: int) -> Files:
    """The files of a bundle of the format `expected`, and no others that are in its folder.

    Raises:
        BundleError: there is no bundle, or one of another format, or a file is missing, altered,
            too large or no regular file.
    """
    if folder.is_file():
        raise BundleError(
            f"{folder}: expected the folder of a bundle, as `shroff train --bundle` writes it, got "
            "a file."
        )
    written = _read(folder, MANIFEST)
    found = _decode(written, dict[str, Any], folder / MANIFEST).get("format")
    if found != expected:
        got = found if type(found) is int else "another value"
        raise BundleError(
            f"{folder}: expected a bundle of format {expected}, got {got}; train it again."
        )
    manifest = _decode(written, BundleManifest, folder / MANIFEST)
    if not manifest.files.keys() <= MAX_FILE_BYTES.keys() - {MANIFEST}:
        names = ", ".join(f"`{name}`" for name in MAX_FILE_BYTES if name != MANIFEST)
        raise BundleError(f"{folder / MANIFEST}: expected no other files than {names}, got one.")
    content = {name: _checked(folder, name, digest) for name, digest in manifest.files.items()}
    return Files(folder, manifest, written, content)


def _decode(content: bytes, kind: type[T], where: Path) -> T:
    """JSON in which no object has a key twice.

    Raises:
        BundleError: it is none, or of another type.
    """
    try:
        decoded = msgspec.json.decode(content, type=kind)
        require_keys_once(content)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"{where}: it is not as this release writes it ({one_line(error)}); train it again."
        ) from None
    except UNREADABLE:
        raise BundleError(f"{where}: expected JSON; the file is damaged.") from None
    except BadPayment as error:
        raise BundleError(f"{where}: {error}") from None
    return decoded


def _checked(folder: Path, name: str, digest: str) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise BundleError(
            f"{folder}: `{name}` is not the file the bundle was made with (SHA-256 differs)."
        )
    return content


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_plain(folder / name, MAX_FILE_BYTES[name])
    except FileNotFoundError:
        raise BundleError(
            f"{folder}: expected a bundle with a file `{name}`, found none."
        ) from None
    except BadFile as error:
        raise BundleError(str(error)) from None
