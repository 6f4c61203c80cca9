"""The last known record of the ledger, kept with the states: a ledger without it is another one."""

from __future__ import annotations

import re
from typing import Final

from shroff.errors import StateGarbled
from shroff.features.engines.online.redis.link import Link

_FORM: Final = re.compile(rb"(\d{1,18}) ((?:[0-9a-f]{2})*)")
_UNKNOWN_RECORD: Final = (-1, b"")


class LedgerHead:
    """The number and chain value of the last known record of the ledger, kept beside the states."""

    def __init__(self, link: Link, space: bytes) -> None:
        self._link = link
        self._key = space + b"ledger"

    def keep(self, record: int, chain: bytes) -> None:
        """Keep a record that the ledger has.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self._link.call([("SET", self._key, b"%d %s" % (record, chain.hex().encode()))])

    def kept(self) -> tuple[int, bytes]:
        """The record kept last: (0, empty) if there is none, -1 if the key holds something else.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        try:
            kept = self._link.call([("GET", self._key)])[0]
        except StateGarbled:
            return _UNKNOWN_RECORD
        if kept is None:
            return 0, b""
        said = _FORM.fullmatch(kept)
        return (int(said[1]), bytes.fromhex(said[2].decode())) if said else _UNKNOWN_RECORD
