"""Payments from Kafka in several currencies: converted, or rejected with the reason; those behind
them go on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kafka.bus import Bus, Consuming
from serve.audit import body, payments, read_ledger
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from shroff import Rates
from shroff.package import save

Pay = Callable[..., dict[str, Any]]


def test_a_payment_without_a_rate_is_rejected(
    bus: Bus, model: bytes, tmp_path: Path, pay: Pay
) -> None:
    schema = msgspec.structs.replace(SCHEMA, rates=Rates.constant("EUR", {"JPY": "0.00625"}))
    save(
        make_bundle(model, schema=schema.with_keys(VELOCITY.key_columns), currency="EUR"),
        tmp_path / "bundle",
    )
    source, target, rejected = bus.topic("payments"), bus.topic("decisions"), bus.topic("rejected")
    sent = [pay(currency="USD"), pay(currency="JPY", amount=12_800), pay()]
    bus.write(source, [(None, msgspec.json.encode(payment)) for payment in sent])
    words = ("--from", source, "--to", target, "--rejected", rejected, "--until-end", "--json")
    with Consuming(tmp_path / "bundle", tmp_path / "home", bus.address, words) as consumer:
        assert consumer.result()["decided"] == 2
    (dead,) = bus.read(rejected)
    headers = dict(dead.headers() or [])
    assert headers["shroff-reason"] == b"bad-payment"
    assert "exchange rate" in str(headers["shroff-error"])
    counted = [body(entry)["payment"] for entry in payments(read_ledger(consumer.ledger))]
    assert [payment["minor"] for payment in counted] == [8_000, 8_000]
