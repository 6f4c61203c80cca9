"""An installation to look around in: six months, lived into a folder once, and a user."""

from __future__ import annotations

import shutil
from pathlib import Path
from secrets import choice
from typing import Final, NamedTuple

import msgspec

from shroff.clock import system_time
from shroff.control.users import Users
from shroff.demo.months import DemoMonths, live_months
from shroff.errors import ConfigurationError, NotFound
from shroff.pipeline import Progress, silent
from shroff.settings import Settings

USER: Final = "demo"
_MARK: Final = "months.json"
_HOUR_US: Final = 3_600_000_000
_SYLLABLES: Final = ("ba", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo")


class _Mark(msgspec.Struct):
    """What was lived into a folder, and whether to its end."""

    months: DemoMonths
    finished: bool


class DemoInstallation(NamedTuple):
    """The settings of the folder, what was lived, and the password of `USER` from now on."""

    settings: Settings
    months: DemoMonths
    password: str


def open_months(
    folder: Path, *, months: DemoMonths | None = None, progress: Progress = silent
) -> DemoInstallation:
    """The months of a folder; they are lived first if it is empty, until the last full hour.

    Args:
        months: others, where none are there yet.

    Raises:
        ConfigurationError: something else is in the folder.
    """
    settings = Settings(home=folder.resolve())
    mark = _mark(folder)
    if mark is None or not mark.finished:
        months = months or DemoMonths(system_time() // _HOUR_US * _HOUR_US)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(folder, _Mark(months, finished=False))
        live_months(settings, months, progress=progress)
        mark = _Mark(months, finished=True)
        _write(folder, mark)
    return DemoInstallation(settings, mark.months, _password(settings))


def _password(settings: Settings) -> str:
    """Give the demo's user, an administrator, a new password."""
    users, password = Users(settings.control), "".join(choice(_SYLLABLES) for _ in range(8))
    try:
        users.named(USER)
    except NotFound:
        users.add(USER, "admin", password=password)
    else:
        users.set_password(USER, password)
    return password


def _mark(folder: Path) -> _Mark | None:
    """What was lived into a folder; None where it is empty."""
    file = folder / _MARK
    if file.is_file():
        return msgspec.json.decode(file.read_bytes(), type=_Mark)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(
            f"expected an empty folder for the demo, or one that it has made before, got {folder}."
        )
    return None


def _write(folder: Path, mark: _Mark) -> None:
    (folder / _MARK).write_bytes(msgspec.json.encode(mark))
