"""A policy that decides by cost weighs the same from Kafka as over HTTP, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kafka.bus import Bus, Consuming
from scoring.test_by_cost import BY_COST
from serve.fixtures import make_bundle
from serve.service import Service
from shroff.package import save

Pay = Callable[..., dict[str, Any]]
SAME = ("payment_id", "action", "probability", "rules", "expected_costs")


def test_kafka_and_http_weigh_the_same(bus: Bus, model: bytes, tmp_path: Path, pay: Pay) -> None:
    policy = msgspec.to_builtins(BY_COST)
    save(make_bundle(model, currency="EUR", policy=policy), tmp_path / "bundle")
    source, target = bus.topic("payments"), bus.topic("decisions")
    sent = [pay(amount=5.0 + 9.99 * number, card_id=f"c{number % 3}") for number in range(30)]
    bus.write(source, [(None, msgspec.json.encode(payment)) for payment in sent])
    words = ("--from", source, "--to", target, "--until-end", "--json")
    with Consuming(tmp_path / "bundle", tmp_path / "home", bus.address, words) as consumer:
        assert consumer.result()["decided"] == 30
    by_kafka = [msgspec.json.decode(message.value() or b"") for message in bus.read(target)]
    with Service(tmp_path / "bundle", tmp_path / "other") as service:
        by_http = [
            service.request("POST", "/v1/decisions", json=payment).json() for payment in sent
        ]
    assert [{name: one[name] for name in SAME} for one in by_kafka] == [
        {name: one[name] for name in SAME} for one in by_http
    ]
