"""Records of a ledger as cases are made from them, without a service, and a clock."""

from __future__ import annotations

from typing import Any

import msgspec

from shroff.act import CaseIntake
from shroff.ledger import StoredEntry
from shroff.package import Bundle


class Moment:
    """A clock that tests set."""

    now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


class Records:
    """Numbers records of a ledger."""

    def __init__(self) -> None:
        self.seq = 0

    def entry(self, kind: Any, payment_id: str, body: dict[str, Any]) -> StoredEntry:
        self.seq += 1
        content = msgspec.json.encode(body)
        return StoredEntry(
            kind,
            payment_id,
            self.seq,
            self.seq,
            bytes(32),
            content,
            seq=self.seq,
            chain=bytes(32),
        )

    def paid(
        self,
        payment_id: str,
        card: str | None,
        amount: float,
        probability: float,
        action: str,
        *,
        host: str | None = None,
    ) -> StoredEntry:
        values = {"card_id": card, "amount": amount, "host_id": host}
        body = {"payment": {"values": values}, "probability": probability, "action": action}
        return self.entry("payment", payment_id, body)

    def label(self, payment_id: str, fraud: bool) -> StoredEntry:
        return self.entry("label", payment_id, {"value": fraud})

    def result(self, payment_id: str, result: str) -> StoredEntry:
        return self.entry("result", payment_id, {"value": result})


def open_cases(url: str, bundle: Bundle, number: int) -> None:
    """Open cases of one payment each, the later the more they are worth."""
    records = Records()
    entries = [records.paid(f"p{n}", f"c{n}", 10.0 + n, 0.5, "review") for n in range(number)]
    CaseIntake(url, "ledger", bundle).take(entries)
