"""Hostile messages of Kafka: `shroff consume` against a real broker, with good payments among
garbage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from confluent_kafka import Message, Producer

from benchmarks.fuzz import documents
from benchmarks.fuzz.draft import Draft
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.watch import CANARY, Seen, Watch
from kafka.bus import Bus, Consuming
from patience import PATIENCE
from serve.fixtures import fitted_model, make_bundle
from servers import kafka
from shroff.package import save

_TIME: Final = datetime.now(UTC).isoformat()
_READ: Final = ("payments", "results", "labels")
_WRITTEN: Final = ("decisions", "rejected")
_GOOD: Final = 20
"""Good payments among the garbage of a kind."""
_PATIENCE: Final = 120.0
_IDS: Final[tuple[object, ...]] = ("nobody", CANARY, "", "x" * 9_000, None, 5, [], "\x00", "\u202e")


class Sent(NamedTuple):
    """A message, and the topic it is written to."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def values(draft: Draft) -> Sent:
    """Payments that are none, by every document there is."""
    make = draft.one(*documents.KINDS.values())
    return Sent("payments", make(draft))


def framings(draft: Draft) -> Sent:
    """Values in the framing of a registry, of other serialisations, of nothing."""
    good, number = draft.body(), draft.random.randbytes(4)
    value = draft.one(
        None,
        b"",
        b"\x00" + number,
        b"\x00" + number + good,
        b"\x00" + number + draft.noise(200),
        b"\x01" + good,
        good[:1] + b"\x00" * 16 + good[1:],
        b"Obj\x01" + draft.noise(300),
        b"\xac\xed\x00\x05" + draft.noise(300),
        b"\x80\x04\x95" + draft.noise(300),
        b"PAR1" + draft.noise(300),
        json.dumps(good.decode()).encode(),
        json.dumps({"schema": {}, "payload": draft.payment()}).encode(),
        b"x" * 900_000,
    )
    return Sent("payments", value)


def envelopes(draft: Draft) -> Sent:
    """Good payments with keys and headers that are none."""
    key = draft.one(None, b"", b"\xff", b"k" * 50_000, CANARY.encode(), draft.noise(300))
    trace = draft.one(
        b"",
        b"00-",
        b"\xff" * 300,
        None,
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
        CANARY.encode(),
    )
    name = draft.one("traceparent", "tracestate", "x", "shroff-reason", "content-type", "é")
    return Sent("payments", draft.body(), key, ((name, trace),) * draft.one(0, 1, 2, 500))


def again(draft: Draft) -> Sent:
    """Payments whose id came before, with the same payload and with another one."""
    return Sent(
        "payments",
        draft.body(payment_id=f"again-{draft.number % 5}", items=draft.one(1, 2), created_at=_TIME),
    )


def events(draft: Draft) -> Sent:
    """Results and labels of payments that nobody knows, and ones that are none."""
    topic = draft.one("results", "labels")
    value = draft.one(True, False, None, 5, "failed", "x" * 9_000, [], {}, CANARY)
    at = draft.one(None, 5, *documents.TIMES)
    whole: dict[str, Any] = {"payment_id": draft.one(*_IDS), "fraud": value, "result": value}
    whole |= {"event_id": value, "source": value, "at": at}
    chosen = draft.random.sample(list(whole), draft.random.randint(0, 6))
    sent = json.dumps({name: whole[name] for name in chosen}).encode()
    return Sent(topic, draft.one(sent, sent, documents.bytes_(draft), None))


KINDS: Final[dict[str, Callable[[Draft], Sent]]] = {
    "message value": values,
    "message framing": framings,
    "message envelope": envelopes,
    "message again": again,
    "result and label": events,
}


class _Topics:
    """The topics of one consumer, and how much was written to each that is read."""

    def __init__(self, address: str) -> None:
        self.bus = Bus(address)
        self.names = {name: self.bus.topic(name) for name in (*_READ, *_WRITTEN)}
        self._written = dict.fromkeys(_READ, 0)
        self._producer = Producer(
            {"bootstrap.servers": address, "message.max.bytes": 2_000_000, "log_level": 2}
        )

    def words(self) -> tuple[str, ...]:
        """The options of a consumer."""
        given = {"--from": "payments", "--to": "decisions"}
        given |= {f"--{name}": name for name in ("results", "labels", "rejected")}
        words = (word for option, name in given.items() for word in (option, self.names[name]))
        return (*words, "--group", self.bus.group, "--patience", "0")

    def write(self, messages: Iterable[Sent]) -> None:
        """Write messages, and wait until the broker has them."""
        for topic, value, key, headers in messages:
            self._producer.produce(self.names[topic], value, key, headers=list(headers))
            self._producer.poll(0)
            self._written[topic] += 1
        self._producer.flush(PATIENCE)

    def done(self) -> bool:
        """Whether everything that was written is done with."""
        return all(
            self.bus.committed(self.names[name]) >= count for name, count in self._written.items()
        )

    def read(self, name: str) -> list[Message[Any, Any]]:
        """Everything in a topic."""
        return self.bus.read(self.names[name])


def fuzz_messages(home: Path, *, cases: int, seed: int) -> Iterator[Outcome]:
    """Write so many messages, divided among the kinds; after one that failed, to another
    consumer.
    """
    home.mkdir(parents=True)
    save(make_bundle(fitted_model()), home / "bundle")
    rest = list(KINDS)
    with kafka() as port:
        while rest:
            topics = _Topics(f"127.0.0.1:{port}")
            place = home / f"from-{rest[0].replace(' ', '-')}"
            with Consuming(home / "bundle", place, topics.bus.address, topics.words()) as consumer:
                # what it takes to start says nothing of what it is given
                topics.write([Sent("payments", Draft(Random(0), "", "start", 0).body())])
                _wait(topics, consumer)
                watch, failed = Watch(consumer.process.pid, consumer.log), False
                while rest and not failed:
                    kind = rest.pop(0)
                    with watch.over(kind) as seen:
                        _give(topics, consumer, kind, cases // len(KINDS), seed, seen)
                    failed = bool(seen.failures)
                    yield seen.outcome()


def _wait(topics: _Topics, consumer: Consuming) -> None:
    deadline = time.monotonic() + _PATIENCE
    while consumer.process.poll() is None and time.monotonic() < deadline and not topics.done():
        time.sleep(0.1)


def _give(
    topics: _Topics, consumer: Consuming, kind: str, count: int, seed: int, seen: Seen
) -> None:
    before = len(topics.read("rejected"))
    sent, good = list[Sent](), dict[bytes, float]()
    for number in range(count):
        draft = Draft(Random(f"{seed} {kind} {number}"), "", kind, number)
        sent.append(KINDS[kind](draft))
        if number % max(1, count // _GOOD) == 0:
            name = f"good-{kind}-{number}"
            good[name.encode()] = time.time() * 1_000
            sent.append(Sent("payments", draft.body(payment_id=name)))
    topics.write(sent)
    seen.cases = count
    _wait(topics, consumer)
    if consumer.process.poll() is not None:
        log = consumer.log.read_text().splitlines()[-1:]
        seen.failures[f"the consumer ended with {consumer.process.returncode}: {log}"] += 1
        return
    if not topics.done():
        seen.failures["the consumer hangs: what was written is not done"] += 1
    answered = {message.key(): message.timestamp()[1] for message in topics.read("decisions")}
    waited = [(answered.get(name, inf) - moment) / 1_000 for name, moment in good.items()]
    seen.failures.update(["a good payment has no decision"] * waited.count(inf))
    seen.delay = max(one for one in (0.0, *waited) if one < inf)
    for message in topics.read("rejected")[before:]:
        said = dict(message.headers() or [])
        if said.get("shroff-reason") == b"internal":
            seen.failures["a message was rejected as a defect"] += 1
        if CANARY.encode() in (said.get("shroff-error") or b""):
            seen.failures["a rejection says what was sent"] += 1
