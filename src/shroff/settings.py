"""Infrastructure settings: the only place that reads the environment.

Definitions live in a project's Python file; where things run lives in `SHROFF_…` variables. An unknown
variable fails at start and lists the valid ones, so that a misspelt setting is never silently ignored.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from shroff.errors import ConfigurationError, UnknownSetting, did_you_mean

PREFIX = "SHROFF_"
# read by test suites and benchmarks, never by the product
FOREIGN = ("SHROFF_TEST_", "SHROFF_BENCH_")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where Shroff runs. Every field is set by `SHROFF_` and its upper-case name.

    >>> Settings.read({"SHROFF_HOME": "/var/lib/shroff"}).ledger
    'sqlite:////var/lib/shroff/ledger.db'
    >>> Settings.read({"SHROFF_LEDGR": "x"})
    Traceback (most recent call last):
    ...
    shroff.errors.UnknownSetting: unknown setting `SHROFF_LEDGR`: did you mean `SHROFF_LEDGER`? \
Valid settings: SHROFF_HOME, SHROFF_LEDGER, SHROFF_PERSONAL_KEY.
    """

    home: Path = Path(".shroff")
    """Folder of everything this installation keeps: key, ledger, tables, models."""
    ledger: str = ""
    """Ledger database: `sqlite:///file` or `postgresql+psycopg://…`; default: a file in `home`."""
    personal_key: str = ""
    """Key of the HMAC over personal columns, at least 32 hexadecimal digits; default: made once in `home`."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process.

        Raises:
            UnknownSetting: a `SHROFF_…` variable that is none of ours.
        """
        source = os.environ if environment is None else environment
        valid = {f"{PREFIX}{field.name.upper()}": field.name for field in fields(cls)}
        given = {name: text for name, text in source.items() if name.startswith(PREFIX)}
        for name in given:
            if name not in valid and not name.startswith(FOREIGN):
                hint = did_you_mean(name, valid) or "."
                raise UnknownSetting(f"unknown setting `{name}`{hint} Valid settings: {', '.join(sorted(valid))}.")
        home = Path(given.get("SHROFF_HOME", cls.home))
        ledger = given.get("SHROFF_LEDGER") or f"sqlite:///{home / 'ledger.db'}"
        return cls(home=home, ledger=ledger, personal_key=given.get("SHROFF_PERSONAL_KEY", ""))

    def hmac_key(self) -> bytes:
        """The key of the HMAC over personal columns, made once and kept in `home` when none is set.

        Raises:
            ConfigurationError: the key is not hexadecimal or shorter than 128 bits.
        """
        if self.personal_key:
            return _key(self.personal_key, "SHROFF_PERSONAL_KEY")
        path = self.home / "personal.key"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            # O_EXCL: of two processes that start together one makes the key, the other reads it
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return _key(path.read_text(), str(path))
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
        return _key(path.read_text(), str(path))


def _key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < 16:
        raise ConfigurationError(
            f"expected at least 32 hexadecimal digits in {where}, got {len(text.strip())} characters; "
            "make one with `python -c 'import secrets; print(secrets.token_hex(32))'`."
        )
    return key
