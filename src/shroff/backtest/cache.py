"""Pasts of logs on disk: features and probabilities take minutes, and rules are tried in seconds.

A past is an Arrow file, mapped into memory, whose name is a digest of all that it is made of; what
else is known of it is JSON beside it. Only the owner can read them, and the oldest are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from shroff.backtest.past import Past
from shroff.collect.sources import written_whole

_FORMAT: Final = 2
_KEPT_PASTS: Final = 4


class _Told(msgspec.Struct):
    source: str
    until: int
    left_out: dict[str, int]
    notices: list[str]


def digest_of(*parts: Any) -> str:
    """A digest over values that JSON can hold."""
    return sha256(msgspec.json.encode([_FORMAT, *parts])).hexdigest()


def file_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def kept(folder: Path, name: str, make: Callable[[], Past]) -> Past:
    """The past of this name, made and kept if it is not there yet."""
    frame, told = folder / f"{name}.arrow", folder / f"{name}.json"
    if not (frame.exists() and told.exists()):
        past = make()
        known = _Told(past.source, past.until, dict(past.left_out), list(past.notices))
        with written_whole(told, private=True) as file:
            file.write(msgspec.json.encode(known))
        with written_whole(frame, private=True) as file:
            past.frame.write_ipc(file, compression="uncompressed")
        _tidy(folder)
    found = msgspec.json.decode(told.read_bytes(), type=_Told)
    return Past(
        frame=pl.read_ipc(frame),
        source=found.source,
        until=found.until,
        left_out=found.left_out,
        notices=found.notices,
    )


def clear(folder: Path) -> None:
    """Remove all that is kept, such as when a person is forgotten."""
    for one in (*folder.glob("*.arrow"), *folder.glob("*.json")):
        one.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    newest = sorted(folder.glob("*.arrow"), key=lambda one: one.stat().st_mtime, reverse=True)
    for one in newest[_KEPT_PASTS:]:
        one.unlink(missing_ok=True)
        one.with_suffix(".json").unlink(missing_ok=True)
