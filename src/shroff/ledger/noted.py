"""A ledger's last record, noted elsewhere: a rewritten ledger or an older copy differs from it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self

from shroff.errors import BrokenChain, ConfigurationError

_NOTED_FORM: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{12,64})", re.ASCII)


class Noted(NamedTuple):
    """A record's number and chain value, in hexadecimal, at least its first 12 digits."""

    seq: int
    chain: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a head as printed.

        >>> Noted.read("200:9f86d081884c")
        Noted(seq=200, chain='9f86d081884c')

        Raises:
            ConfigurationError: it is none.
        """
        found = _NOTED_FORM.fullmatch(text.strip().lower())
        if found is None:
            raise ConfigurationError(
                "expected the head of a ledger as `shroff ledger head` prints it, "
                "the number of a record, `:` and 12 to 64 hexadecimal digits, got another text."
            )
        return cls(int(found[1]), found[2])

    def require_reached(self, last: int) -> None:
        """Raise `BrokenChain` if a ledger ends before this record."""
        if last < self.seq:
            raise BrokenChain(
                f"expected a ledger that goes on from record {self.seq}, which was noted, got one "
                "that ends with "
                f"record {last}: its end was cut off, or an older copy was put in its place."
            )

    def require_same(self, seq: int, chain: bytes) -> None:
        """Raise `BrokenChain` if a ledger has another record of this number."""
        if seq == self.seq and not chain.hex().startswith(self.chain):
            raise BrokenChain(
                f"expected record {seq} with the chain value that was noted, got another: "
                "this is another ledger, or it was written anew."
            )
