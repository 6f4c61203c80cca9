"""A ledger says whether the key of personal columns finds whose its records are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from shroff.errors import DataError
from shroff.ledger import Entry, Keyring, Ledger, Outcome
from shroff.ledger.erasure import require_own_keys
from shroff.ledger.keyring import Period
from shroff.ledger.puncturable import PuncturableKeys


@pytest.mark.parametrize("sealed", ["last", "first"])
def test_either_end_of_a_ledger_tells_a_strange_key(
    url: str, sealed: str, written: Callable[[Ledger, Sequence[Entry]], list[Outcome]]
) -> None:
    """The first records may be older than any key, the last written with the strange one."""
    keys = PuncturableKeys.random()
    period = Period(number=1, began=1, subject="card_id", identifying=("card_id",), keys=keys)
    body = msgspec.json.encode({"payment": {"values": {"card_id": "c1"}}})
    plain = [Entry("payment", f"p{n}", n, n, bytes(32), b"{}") for n in range(1, 1_200)]
    at = 2_000 if sealed == "last" else 0
    theirs = Entry("payment", "theirs", at, at, bytes(32), body, subject="c1")
    with Ledger(url, keyring=Keyring(b"k" * 32, [period])) as ledger:
        require_own_keys(ledger)
        written(ledger, [*plain, theirs] if sealed == "last" else [theirs, *plain])
        require_own_keys(ledger)
    with pytest.raises(DataError, match="nobody could be found by it"):
        require_own_keys(Ledger(url, keyring=Keyring(b"s" * 32, [period])))
