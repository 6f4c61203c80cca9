"""`shroff consume` against a real broker: killed, cut off, stopped; nothing lost, nothing counted
twice.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec

from kafka.bus import Bus, Consuming, Gateway
from patience import PATIENCE
from serve.audit import assert_equal_to_batch, assert_replays, body, payments, read_ledger
from servers import kafka, or_skip, postgres_schema, redis
from shroff.control import Lists
from shroff.monitor import ledger_parity
from shroff.package import Bundle

Pay = Callable[..., dict[str, Any]]
Consumes = Callable[..., Consuming]


def encode(payment: dict[str, Any]) -> bytes:
    return msgspec.json.encode(payment)


def some(pay: Pay, count: int) -> list[tuple[str, bytes]]:
    """Payments of a few cards, keyed by card."""
    return [
        (
            f"c{n % 7}",
            encode(
                pay(
                    payment_id=f"n{n}",
                    card_id=f"c{n % 7}",
                    host_id=f"h{n % 11}",
                    amount=20.0 + n % 90,
                )
            ),
        )
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


def test_a_kill_loses_nothing_and_counts_nothing_twice(
    bus: Bus, consuming: Consumes, bundle: Bundle, pay: Pay
) -> None:
    source, target, rejected = (
        bus.topic("payments", 3),
        bus.topic("decisions", 2),
        bus.topic("rejected"),
    )
    good = some(pay, 3_000)
    again = good[::10]
    conflicts = [(key, value.replace(b'"items":1', b'"items":2')) for key, value in good[5::300]]
    garbage: list[tuple[str | None, bytes | None]] = [
        (None, b"\xff\x00 4111111111111111"),
        ("c1", None),
        ("c2", b"[]"),
    ]
    mixed: list[tuple[str | None, bytes | None]] = [
        *good[:1_500],
        *garbage,
        *good[1_500:],
        *again,
        *conflicts,
    ]
    bus.write(source, mixed)
    words = ("--from", source, "--to", target, "--rejected", rejected)
    with consuming(*words, "--in-flight", "20") as first:
        first.wait_until(lambda: len(bus.read(target)) > 100)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(PATIENCE)
    with consuming(*words, "--until-end") as second:
        done = second.result()
    entries = read_ledger(second.ledger)
    assert len(entries) == 3_000
    assert {entry.payment_id for entry in entries} == {f"n{n}" for n in range(3_000)}
    stored = {
        entry.payment_id: {msgspec.json.encode(body(entry)["answer"])}
        for entry in payments(entries)
    }
    assert answers(bus, target) == stored
    assert_equal_to_batch(bundle, entries)
    assert_replays(bundle, entries)
    assert 0 < done["decided"] <= 3_300
    assert done["rejected"].keys() <= {"bad-payment", "payment-conflict"}
    dead = bus.read(rejected)
    reasons = {
        (message.value(), dict(message.headers() or [])["shroff-reason"]) for message in dead
    }
    assert reasons == {
        *((value, b"bad-payment") for _, value in garbage),
        *((value, b"payment-conflict") for _, value in conflicts),
    }
    assert bus.committed(source, partitions=3) == len(mixed)
    assert second.log.read_text() == ""


def test_results_and_labels_come_from_topics_of_their_own(
    bus: Bus, consuming: Consumes, bundle: Bundle, pay: Pay
) -> None:
    topics = {
        name: bus.topic(name) for name in ("payments", "decisions", "results", "labels", "rejected")
    }
    # they are there before their payments are
    bus.write(
        topics["results"],
        [(None, b'{"payment_id": "n%d", "result": "failed"}' % n) for n in range(0, 40, 2)],
    )
    bus.write(
        topics["labels"],
        [(None, b'{"payment_id": "n%d", "fraud": true, "source": "bank"}' % n) for n in (3, 5)],
    )
    bad = [
        (b'{"payment_id": "n0", "result": "authorised"}', b"event-conflict"),
        (b'{"payment_id": "nobody", "result": "failed"}', b"not-found"),
        (b'{"payment_id": "n0", "fraud": true}', b"bad-payment"),
        (b'{"payment_id": "n1", "result": "failed", "at": "noon"}', b"bad-payment"),
        (b"4111111111111111", b"bad-payment"),
    ]
    bus.write(topics["results"], [(None, value) for value, _ in bad])
    trace = {
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "other": b"x",
    }
    bus.write(topics["payments"], some(pay, 40), headers=trace)
    words = [
        "--from",
        topics["payments"],
        "--to",
        topics["decisions"],
        "--rejected",
        topics["rejected"],
    ]
    with consuming(
        *words, "--results", topics["results"], "--labels", topics["labels"], "--until-end"
    ) as consumer:
        done = consumer.result()
    assert (done["decided"], done["results"], done["labels"]) == (40, 20, 2)
    dead = [
        (message.value(), dict(message.headers() or [])) for message in bus.read(topics["rejected"])
    ]
    assert sorted((value, headers["shroff-reason"]) for value, headers in dead) == sorted(bad)
    assert {headers["shroff-topic"] for _, headers in dead} == {topics["results"].encode()}
    assert {headers["shroff-offset"] for _, headers in dead} == {b"20", b"21", b"22", b"23", b"24"}
    assert not any("4111" in str(headers) for _, headers in dead)
    for message in bus.read(topics["decisions"]):
        assert message.headers() == [("traceparent", trace["traceparent"])]
    entries = read_ledger(consumer.ledger)
    later = sorted((entry.kind, entry.payment_id) for entry in entries if entry.kind != "payment")
    assert later == sorted(
        [*(("result", f"n{n}") for n in range(0, 40, 2)), ("label", "n3"), ("label", "n5")]
    )
    assert_equal_to_batch(bundle, entries)


def test_labels_change_in_the_order_of_their_topic_and_are_recorded_once(
    bus: Bus, consuming: Consumes, bundle: Bundle, pay: Pay
) -> None:
    topics = {name: bus.topic(name) for name in ("payments", "decisions", "labels", "rejected")}
    said = [(n % 4, (n // 4) % 2 == 0) for n in range(20)]
    # they wait for their payments, which come last
    texts = [
        b'{"payment_id": "n%d", "fraud": %b}' % (n, b"true" if fraud else b"false")
        for n, fraud in said
    ]
    bus.write(topics["labels"], [("k", text) for text in texts])
    bus.write(topics["payments"], some(pay, 40))
    words = [
        "--from",
        topics["payments"],
        "--to",
        topics["decisions"],
        "--rejected",
        topics["rejected"],
    ]
    words += ["--labels", topics["labels"], "--label-source", "bank", "--until-end"]
    for group in ("one", "two"):
        with consuming(*words, "--group", group) as consumer:
            done = consumer.result()
        assert (done["labels"], done["rejected"]) == (20, {})
    entries = read_ledger(consumer.ledger)
    for number in range(4):
        mine = [
            body(entry)
            for entry in entries
            if (entry.kind, entry.payment_id) == ("label", f"n{number}")
        ]
        assert [one["value"] for one in mine] == [True, False, True, False, True]
        assert {one["source"] for one in mine} == {"bank"}
    assert_equal_to_batch(bundle, entries)


def test_it_stops_when_told_and_goes_on_where_it_was(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    source, target = bus.topic("payments"), bus.topic("decisions")
    sent = some(pay, 300)
    words = ("--from", source, "--to", target)
    bus.write(source, [*sent[:200], (None, b"no payment")])
    with consuming(*words) as first:
        first.wait_until(lambda: len(bus.read(target)) >= 100)
        done = first.stop()
    counted = bus.committed(source)
    assert done["decided"] + sum(done["rejected"].values()) == counted
    assert len(bus.read(target)) == done["decided"]
    bus.write(source, sent[200:])
    Lists(f"sqlite:///{first.home / 'control.db'}").edit("blocked", "h7", "add", by="analyst")
    with consuming(*words, "--until-end") as second:
        rest = second.result()
    assert (
        done["decided"] + rest["decided"]
        == len(bus.read(target))
        == len(answers(bus, target))
        == 300
    )
    blocked = {
        name for name, found in answers(bus, target).items() if b"blocked_host" in min(found)
    }
    assert blocked == {f"n{n}" for n in range(done["decided"], 300) if n % 11 == 7}
    assert f"rejected {source}, partition 0, offset 200: bad-payment\n" in second.log.read_text()


def test_a_ledger_that_goes_away_is_waited_for(
    bus: Bus, consuming: Consumes, bundle: Bundle, pay: Pay
) -> None:
    source, target = bus.topic("payments"), bus.topic("decisions")
    sent = some(pay, 400)
    bus.write(source, sent[:100])
    with consuming("--from", source, "--to", target) as consumer:
        file, aside = consumer.home / "ledger.db", consumer.home / "aside.db"
        consumer.wait_until(lambda: len(bus.read(target)) == 100)
        file.rename(aside)
        bus.write(source, sent[100:])
        consumer.wait_until(lambda: "put the file back" in consumer.log.read_text())
        assert len(bus.read(target)) == 100
        aside.rename(file)
        consumer.wait_until(lambda: len(bus.read(target)) >= 400)
        done = consumer.stop()
    assert (done["decided"], done["rejected"]) == (400, {})
    entries = read_ledger(consumer.ledger)
    assert [entry.payment_id for entry in entries] == [f"n{n}" for n in range(400)]
    assert_equal_to_batch(bundle, entries)
    assert bus.committed(source) == 400


def test_a_broker_that_goes_away_is_waited_for(
    consuming: Consumes, bundle: Bundle, pay: Pay
) -> None:
    gateway = Gateway()
    with ExitStack() as stack:
        gateway.target = stack.enter_context(
            or_skip(kafka(advertised=gateway.port), "Kafka broker")
        )
        gateway.open()
        stack.callback(gateway.close)
        bus = Bus(f"127.0.0.1:{gateway.port}")
        source, target = bus.topic("payments"), bus.topic("decisions")
        bus.write(source, some(pay, 3_000))
        words = ("--from", source, "--to", target, "--group", bus.group)
        with consuming(*words, "--in-flight", "20", address=bus.address) as consumer:

            def told() -> tuple[int, int]:
                """How often the broker was missed, and answered again."""
                log = consumer.log.read_text()
                return log.count("Kafka does not answer"), log.count("Kafka answers again")

            def away_and_back(meanwhile: Callable[[], bool] = lambda: True) -> None:
                # a busy broker may have been missed before: one that is missed now is not told of
                # again
                times = 0

                def answers() -> bool:
                    nonlocal times
                    times, back = told()
                    return times == back

                consumer.wait_until(answers)
                gateway.close()
                consumer.wait_until(lambda: told()[0] > times)
                gateway.open()
                consumer.wait_until(meanwhile)
                consumer.wait_until(lambda: told()[1] > times)

            consumer.wait_until(lambda: len(bus.read(target)) > 100)
            away_and_back(lambda: bus.committed(source) == 3_000)
            # once more, where there is nothing to read or to write that could tell
            away_and_back()
            done = consumer.stop()
        assert done["decided"] >= 3_000
        entries = read_ledger(consumer.ledger)
        assert [entry.payment_id for entry in entries] == [f"n{n}" for n in range(3_000)]
        stored = {
            entry.payment_id: {msgspec.json.encode(body(entry)["answer"])} for entry in entries
        }
        assert answers(bus, target) == stored
        assert_equal_to_batch(bundle, entries)


def test_two_consumers_need_a_ledger_for_two(bus: Bus, consuming: Consumes) -> None:
    words = ("--from", bus.topic("payments"), "--to", bus.topic("decisions"))
    with consuming(*words) as first:
        first.wait_until((first.home / "ledger.db").exists)
        with consuming(*words, home="other", ledger=first.ledger) as second:
            assert second.process.wait(PATIENCE) == 2
        assert (
            "another process writes it, and a SQLite ledger has one writer"
            in second.log.read_text()
        )
        assert second.log.read_text().count("\n") == 1
        assert first.stop()["decided"] == 0


def test_what_is_missing_is_one_sentence(bus: Bus, consuming: Consumes) -> None:
    source, target = bus.topic("payments"), bus.topic("decisions")
    with consuming("--from", source[:-1], "--to", target) as missing:
        assert missing.process.wait(PATIENCE) == 2
    assert (
        missing.log.read_text()
        == f"shroff: Kafka has no topic `{source[:-1]}`: did you mean `{source}`?\n"
    )


def test_partitions_are_handed_over_with_nothing_lost_and_one_state_for_both(
    bus: Bus, consuming: Consumes, bundle: Bundle, postgres_server: str, pay: Pay
) -> None:
    source, target = bus.topic("payments", 4), bus.topic("decisions")
    own = [bus.topic("rejected-by-first"), bus.topic("rejected-by-second")]
    words = ("--from", source, "--to", target, "--in-flight", "50", "--rejected")
    sent = some(pay, 3_000)

    def second_reads() -> bool:
        bus.write(source, [(f"c{n}", b"no payment") for n in range(7)])
        return len(bus.read(own[1])) > 0

    def all_done() -> bool:
        return len(answers(bus, target)) == 3_000

    bus.write(source, sent[:1_500])
    with ExitStack() as stack:
        ledger = stack.enter_context(postgres_schema(postgres_server))
        shared = {"ledger": ledger, "state": stack.enter_context(or_skip(redis(), "Redis server"))}
        first = stack.enter_context(consuming(*words, own[0], **shared))
        first.wait_until(lambda: bus.committed(source, partitions=4) >= 100)
        with consuming(*words, own[1], home="other", **shared) as second:
            second.wait_until(second_reads)
            bus.write(source, sent[1_500:2_500])
            one = first.stop()
            bus.write(source, sent[2_500:])
            second.wait_until(all_done)
            other = second.stop()
        entries = read_ledger(ledger)
    assert one["decided"] > 0 < other["decided"]
    assert one["rejected"].keys() == other["rejected"].keys() == {"bad-payment"}
    assert len(entries) == 3_000
    assert ledger_parity(bundle, entries).holds
    assert all(len(each) == 1 for each in answers(bus, target).values())
    assert first.log.read_text() == "the state was filled from the ledger up to record 0.\n"
    assert second.log.read_text() == ""
