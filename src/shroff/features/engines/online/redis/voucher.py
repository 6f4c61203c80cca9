"""How far the ledger of a space's states is known to reach: a ledger that does not is not
theirs.
"""

from __future__ import annotations

import re
from typing import Final

from shroff.errors import StateGarbled
from shroff.features.engines.online.redis.link import Link

_FORM: Final = re.compile(rb"(\d{1,18}) ((?:[0-9a-f]{2})*)")
_UNKNOWN_RECORD: Final = (-1, b"")


class Voucher:
    """What the processes of a space keep beside their states: the number of a record and its chain
    value.
    """

    def __init__(self, link: Link, space: bytes) -> None:
        self._link = link
        self._key = space + b"ledger"

    def vouch(self, record: int, chain: bytes) -> None:
        """The ledger has this record.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self._link.call([("SET", self._key, b"%d %s" % (record, chain.hex().encode()))])

    def vouched(self) -> tuple[int, bytes]:
        """What was vouched for last: (0, nothing) where nothing was, and -1 where the key holds
        something else.

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
