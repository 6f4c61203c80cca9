"""Bad messages are rejected and passed; where nothing is accepted, the consumer stops and commits
none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from kafka.bus import Bus, Consuming
from patience import PATIENCE
from serve.audit import payments, read_ledger
from serve.fixtures import iso
from shroff.errors import OutOfBounds
from shroff.kafka.client import TopicReader
from shroff.kafka.health import BrokerHealth
from shroff.kafka.messages import Message, Partition
from shroff.kafka.quarantine import MAX_REFUSED_MESSAGES, Quarantine

Pay = Callable[..., dict[str, Any]]
Consumes = Callable[..., Consuming]
GARBAGE: list[tuple[str | None, bytes | None]] = [
    (None, b"no payment"),
    (None, b"{}"),
    (None, None),
]


def at(pay: Pay, seconds: float, count: int) -> list[tuple[str | None, bytes | None]]:
    """Good payments, so many seconds from now."""
    return [
        (None, msgspec.json.encode(pay(created_at=iso(time.time() + seconds))))
        for _ in range(count)
    ]


def reasons(bus: Bus, topic: str) -> list[object]:
    return [dict(message.headers() or [])["shroff-reason"] for message in bus.read(topic)]


def test_a_consumer_that_accepts_nothing_stops_and_commits_none_of_it(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    """As where this machine's clock is an hour behind."""
    source, target, rejected = bus.topic("payments"), bus.topic("decisions"), bus.topic("rejected")
    bus.write(source, [*GARBAGE, *at(pay, 3_600, 50), *GARBAGE, *at(pay, 3_600, 200)])
    words = ("--from", source, "--to", target, "--rejected", rejected)
    for _ in range(2):
        # also when it is started again
        with consuming(*words) as consumer:
            assert consumer.process.wait(PATIENCE) == 2
    assert bus.committed(source) == len(GARBAGE)
    assert set(reasons(bus, rejected)) == {b"bad-payment"}
    assert all(message.value() in {value for _, value in GARBAGE} for message in bus.read(rejected))
    assert read_ledger(consumer.ledger) == []
    said = consumer.log.read_text()
    assert (
        f"messages of `{source}` are well-formed, and not one is accepted: expected a time at most "
        "5 minutes" in said
    )
    assert "neither committed nor rejected. Check this machine's clock" in said


def test_the_end_of_a_topic_of_which_nothing_is_accepted_is_a_failure(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    source, garbage, target = bus.topic("payments"), bus.topic("garbage"), bus.topic("decisions")
    bus.write(source, at(pay, 3_600, 5))
    with consuming("--from", source, "--to", target, "--until-end") as consumer:
        assert consumer.process.wait(PATIENCE) == 2
    assert bus.committed(source) == 0
    bus.write(garbage, GARBAGE)
    with consuming("--from", garbage, "--to", target, "--until-end") as other:
        assert other.process.wait(PATIENCE) == 1
    assert "every message was rejected, none was accepted" in other.log.read_text()
    # each of these is bad whatever the others are
    assert bus.committed(garbage) == len(GARBAGE)


def test_single_messages_that_cannot_be_used_are_rejected_and_passed(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    source, target, rejected = bus.topic("payments"), bus.topic("decisions"), bus.topic("rejected")
    nested = b'{"payment_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    large: list[tuple[str | None, bytes | None]] = [(None, b'"' + b"x" * 1_100_000 + b'"')]
    late = at(pay, -3 * 86_400, 1)
    bus.write(source, [*at(pay, 0, 1), *late, *at(pay, 3_600, 1), (None, nested)])
    bus.write(source, large, headers={"traceparent": b"t" * 10_000})
    bus.write(source, at(pay, 0, 1), headers={"traceparent": b"t" * 999_000})
    words = ("--from", source, "--to", target, "--rejected", rejected)
    with consuming(*words, "--until-end") as consumer:
        done = consumer.result()
    assert (done["decided"], done["rejected"]) == (2, {"bad-payment": 3, "too-large": 1})
    assert sorted(map(str, reasons(bus, rejected))) == ["b'bad-payment'"] * 3 + ["b'too-large'"]
    assert bus.committed(source) == 6
    assert len(payments(read_ledger(consumer.ledger))) == 2
    # Kafka's clients send no message as large as that again: it is named by where it was read
    (dead,) = [dict(one.headers() or []) for one in bus.read(rejected) if one.value() is None]
    assert (dead["shroff-reason"], dead["shroff-offset"]) == (b"too-large", b"4")


def test_a_few_good_messages_among_many_bad_ones_are_enough_to_go_on(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    """A refusal is known at once, an acceptance when it is durable."""
    source, target, rejected = bus.topic("payments"), bus.topic("decisions"), bus.topic("rejected")
    blocks = 4 * MAX_REFUSED_MESSAGES // 16
    bus.write(source, [one for _ in range(blocks) for one in (*at(pay, 3_600, 16), *at(pay, 0, 1))])
    with consuming(
        "--from", source, "--to", target, "--rejected", rejected, "--until-end"
    ) as consumer:
        done = consumer.result()
    assert (done["decided"], done["rejected"]) == (blocks, {"bad-payment": blocks * 16})
    assert bus.committed(source) == blocks * 17


def test_what_a_transaction_took_back_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker of the tests tells nobody which transactions were aborted, so only what is asked
    of it is seen.
    """
    made: dict[str, str] = {}
    monkeypatch.setattr(
        "shroff.kafka.client._made", lambda kind, options, **_: made.update(options)
    )
    TopicReader(
        {"bootstrap.servers": "a:1"},
        ["t"],
        group="g",
        released=lambda places: {},
        health=BrokerHealth(),
    )
    assert made["isolation.level"] == "read_committed"


def test_the_log_is_json_where_that_is_asked(bus: Bus, consuming: Consumes, pay: Pay) -> None:
    source, target = bus.topic("payments"), bus.topic("decisions")
    bus.write(source, [*at(pay, 0, 3), *GARBAGE])
    with consuming("--from", source, "--to", target, "--until-end", "--log", "json") as consumer:
        assert consumer.result()["decided"] == 3
    lines = [msgspec.json.decode(line) for line in consumer.log.read_text().splitlines()]
    assert {line["event"] for line in lines} >= {"started", "consuming", "rejected"}
    assert [line["reason"] for line in lines if line["event"] == "rejected"] == ["bad-payment"] * 3


def test_what_kafka_owes_for_long_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    health = BrokerHealth()
    health.failed("TRANSPORT", refused=False, away=False)
    for second in range(100):
        health.waits("given this consumer no partitions", float(second))
    health.waits(None, 100.0)
    for second in range(101, 200):
        # some are taken now and then
        health.waits(None if second % 20 == 0 else "taken no answer", float(second))
    assert [record.getMessage() for record in caplog.records] == [
        "Kafka has given this consumer no partitions for 30 s; the last error of its client: "
        "TRANSPORT."
    ]


def message(offset: int, partition: int = 0, topic: str = "t") -> Message:
    return Message(Partition(topic, partition), offset, None, b"")


def test_messages_are_bad_one_by_one_only_where_others_are_accepted() -> None:
    quarantine, error = Quarantine(), OutOfBounds("expected another time")
    for offset in range(MAX_REFUSED_MESSAGES - 1):
        quarantine.hold(message(offset), error)
    assert [held.offset for held, _ in quarantine.accepted("t")] == list(
        range(MAX_REFUSED_MESSAGES - 1)
    )
    for offset in range(MAX_REFUSED_MESSAGES - 1):
        quarantine.hold(message(offset, offset % 2), error)
    quarantine.hold(message(0, topic="other"), error)
    assert quarantine.failure is None
    quarantine.drop([Partition("t", 1)])
    assert quarantine.count() == {
        Partition("t", 0): MAX_REFUSED_MESSAGES // 2,
        Partition("other", 0): 1,
    }
    assert quarantine.conclude("other") == []
    assert "the last 1 messages of `other`" in str(quarantine.failure)
    assert quarantine.accepted("t") == []


def test_it_is_judged_when_nothing_is_on_its_way_any_more() -> None:
    quarantine, error = Quarantine(), OutOfBounds("expected another time")
    for offset in range(MAX_REFUSED_MESSAGES):
        assert not quarantine.overdue("t")
        quarantine.hold(message(offset), error)
    assert quarantine.overdue("t")
    assert quarantine.failure is None
    assert len(quarantine.accepted("t")) == MAX_REFUSED_MESSAGES
    quarantine.judge("t")
    assert (quarantine.overdue("t"), quarantine.failure) == (False, None)
    for offset in range(MAX_REFUSED_MESSAGES):
        quarantine.hold(message(offset), error)
    quarantine.judge("t")
    assert f"the last {MAX_REFUSED_MESSAGES} messages of `t`" in str(quarantine.failure)


MIB = 2**20
COSTLY: list[bytes] = [
    b'{"payment_id": "' + b"4" * (MIB - 20) + b'"}',
    b'{"created_at": "' + b"1" * (MIB - 20) + b'x"}',
    b'{"items": ' + b"9" * (MIB - 20) + b"}",
    b'{"merchant_id": "' + rb"\u0034" * (MIB // 6 - 10) + b'"}',
    b'{"merchant_id": "' + "٤ ".encode() * (MIB // 3 - 10) + b'"}',
    b'{"x": ' + b"[" * (MIB - 10),
    b"{" + b'"a":1,' * (MIB // 6 - 2) + b'"a":1}',
    b"1" * (MIB + 1),
]


def test_the_costliest_messages_are_rejected_with_a_reason_and_passed(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    source, target, rejected = bus.topic("payments"), bus.topic("decisions"), bus.topic("rejected")
    texts = {"merchant_id": "8 " * 500, "host_id": "4 1-" * 250, "mcc": "٤" * 1_000}
    costly = msgspec.json.encode(pay() | texts)
    good = msgspec.json.encode(pay())
    bus.write(source, [(None, value) for value in (*COSTLY, costly, good)])
    words = ("--from", source, "--to", target, "--rejected", rejected, "--until-end")
    began = time.monotonic()
    with consuming(*words) as consumer:
        assert consumer.process.wait(PATIENCE) == 0
    assert time.monotonic() - began < PATIENCE
    assert reasons(bus, rejected) == [b"bad-payment"] * (len(COSTLY) - 1) + [b"too-large"]
    assert len(bus.read(target)) == 2
