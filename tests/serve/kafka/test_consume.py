"""`shroff consume` against a real broker: killed, cut off, stopped; nothing lost, nothing counted twice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import msgspec

from serve.audit import assert_equal_to_batch, assert_replays, body, payments, read_ledger
from serve.kafka.bus import Bus, Consuming
from shroff.package import Bundle

Pay = Callable[..., dict[str, Any]]
Consumes = Callable[..., Consuming]


def encode(payment: dict[str, Any]) -> bytes:
    return msgspec.json.encode(payment)


def some(pay: Pay, count: int) -> list[tuple[str, bytes]]:
    """Payments of a few cards, keyed by card."""
    return [
        (f"c{n % 7}", encode(pay(payment_id=f"n{n}", card_id=f"c{n % 7}", host_id=f"h{n % 11}", amount=20.0 + n % 90)))
        for n in range(count)
    ]


def answers(bus: Bus, topic: str) -> dict[str, set[bytes]]:
    """All that was answered, by payment id."""
    found: dict[str, set[bytes]] = {}
    for message in bus.read(topic):
        key, value = message.key(), message.value()
        assert key is not None
        assert value is not None
        found.setdefault(key.decode(), set()).add(value)
    return found


def test_a_kill_loses_nothing_and_counts_nothing_twice(bus: Bus, consuming: Consumes, bundle: Bundle, pay: Pay) -> None:
    source, target, rejected = bus.topic("payments", 3), bus.topic("decisions", 2), bus.topic("rejected")
    good = some(pay, 3_000)
    again = good[::10]
    conflicts = [(key, value.replace(b'"items":1', b'"items":2')) for key, value in good[5::300]]
    garbage: list[tuple[str | None, bytes | None]] = [(None, b"\xff\x00 4111111111111111"), ("c1", None), ("c2", b"[]")]
    mixed: list[tuple[str | None, bytes | None]] = [*good[:1_500], *garbage, *good[1_500:], *again, *conflicts]
    bus.write(source, mixed)
    words = ("--from", source, "--to", target, "--rejected", rejected)
    with consuming(*words, "--in-flight", "20") as first:
        first.wait_until(lambda: len(bus.read(target)) > 100)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
    with consuming(*words, "--until-end") as second:
        done = second.result()
    entries = read_ledger(second.ledger)
    assert len(entries) == 3_000
    assert {entry.payment_id for entry in entries} == {f"n{n}" for n in range(3_000)}
    stored = {entry.payment_id: {msgspec.json.encode(body(entry)["answer"])} for entry in payments(entries)}
    assert answers(bus, target) == stored
    assert_equal_to_batch(bundle, entries)
    assert_replays(bundle, entries)
    assert 0 < done["decided"] <= 3_300
    assert done["rejected"].keys() <= {"bad-payment", "payment-conflict"}
    dead = bus.read(rejected)
    reasons = {(message.value(), dict(message.headers() or [])["shroff-reason"]) for message in dead}
    assert reasons == {
        *((value, b"bad-payment") for _, value in garbage),
        *((value, b"payment-conflict") for _, value in conflicts),
    }
    assert bus.committed(source, partitions=3) == len(mixed)
    assert second.log.read_text() == ""
