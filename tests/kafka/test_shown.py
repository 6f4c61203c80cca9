"""What `shroff consume` shows over HTTP, and what it follows, against a real broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from kafka.bus import Bus, Consuming
from patience import PATIENCE
from serve.fixtures import POLICY, make_bundle
from serve.test_readiness import locked
from servers import free_port
from shroff import Rule
from shroff.control import Keys
from shroff.control.models import Models
from shroff.detect import Calibration
from shroff.package import save
from telemetry.scraped import Scrape
from web import TRUST

Pay = Callable[..., dict[str, Any]]
Consumes = Callable[..., Consuming]
CONSUMED = "shroff_consumed_messages_total"


def some(pay: Pay, numbers: range) -> list[tuple[str, bytes]]:
    return [
        (f"c{n % 7}", msgspec.json.encode(pay(payment_id=f"n{n}", card_id=f"c{n % 7}")))
        for n in numbers
    ]


def test_figures_tell_what_is_done_and_what_waits(
    bus: Bus, consuming: Consumes, pay: Pay, tmp_path: Path
) -> None:
    source, target, port = bus.topic("payments", 2), bus.topic("decisions"), free_port()
    bus.write(source, [*some(pay, range(60)), (None, b"no payment")])
    keys = Keys(f"sqlite:///{tmp_path / 'home' / 'control.db'}")
    headers = {"authorization": f"Bearer {keys.create('prometheus', ['read'])}"}
    words = ("--from", source, "--to", target, "--metrics-port", str(port))
    with (
        consuming(*words) as consumer,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=TRUST) as client,
    ):

        def scrape() -> Scrape:
            try:
                return Scrape(client.get("/metrics", headers=headers).text)
            except httpx.TransportError:
                return Scrape("")

        def done() -> bool:
            found = scrape()
            lag = found.families.get("shroff_consumer_lag_messages")
            all_told = lag is not None and len(lag.samples) == 2
            return (
                all_told
                and found.value("shroff_consumer_lag_messages") == 0
                and found.value(CONSUMED) == 61
            )

        consumer.wait_until(done)
        found = scrape()
        assert (
            found.value(CONSUMED, outcome="decided") == found.value("shroff_decisions_total") == 60
        )
        assert found.value(CONSUMED, outcome="bad-payment") == 1
        assert client.get("/health/ready").json()["status"] == "ready"
        assert client.get("/health/live").json() == {"status": "live"}
        assert client.get("/metrics").status_code == 401
        assert client.get("/v1/models").status_code == 404
        assert client.post("/metrics").status_code == 405
        assert consumer.stop()["decided"] == 60


def test_nothing_waits_where_only_the_end_of_a_transaction_is_left(
    bus: Bus, consuming: Consumes, pay: Pay
) -> None:
    source, target, port = bus.topic("payments"), bus.topic("decisions"), free_port()
    bus.transact(source, [value for _, value in some(pay, range(5))])
    bus.transact(source, [value for _, value in some(pay, range(5, 9))])
    bus.transact(source, [b"given up"], commit=False)
    end = bus.end(source)
    assert end > 10, "the broker writes no markers"
    words = ("--from", source, "--to", target, "--metrics-port", str(port), "--without-keys")
    with (
        consuming(*words) as consumer,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=TRUST) as client,
    ):

        def lag() -> float | None:
            try:
                found = Scrape(client.get("/metrics").text)
            except httpx.TransportError:
                return None
            told = found.families.get("shroff_consumer_lag_messages")
            done = found.value(CONSUMED) >= 9 and told is not None and len(told.samples) == 1
            return found.value("shroff_consumer_lag_messages") if done else None

        consumer.wait_until(lambda: lag() == 0)
        consumer.wait_until(lambda: bus.committed(source) == end)
        for path in ("/metrics", "/health/ready", "/health/live", "/nowhere"):
            whole, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (whole.status_code, b"")
        assert client.get("/health/ready/").json()["status"] == "ready"
        bus.write(source, some(pay, range(9, 12)))
        consumer.wait_until(lambda: len(bus.read(target)) == 12)
        assert consumer.stop()["decided"] == 12
    assert bus.committed(source) == end + 3


def test_a_ledger_that_cannot_be_written_is_told_there_too(
    bus: Bus, consuming: Consumes, pay: Pay, tmp_path: Path
) -> None:
    source, target, port = bus.topic("payments"), bus.topic("decisions"), free_port()
    words = ("--from", source, "--to", target, "--metrics-port", str(port), "--without-keys")
    with consuming(*words) as consumer:

        def ready() -> int:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health/ready", verify=TRUST).status_code
            except httpx.TransportError:
                return 0

        consumer.wait_until(lambda: ready() == 200)
        with locked(tmp_path / "home" / "ledger.db"):
            bus.write(source, some(pay, range(3)))
            consumer.wait_until(lambda: ready() == 503)
        consumer.wait_until(lambda: ready() == 200)
        consumer.wait_until(lambda: len(bus.read(target)) == 3)
        consumer.stop()


def test_a_port_that_is_taken_is_one_sentence(bus: Bus, consuming: Consumes) -> None:
    words = ("--from", bus.topic("payments"), "--to", bus.topic("decisions"), "--without-keys")
    port = str(free_port())
    with consuming(*words, "--metrics-port", port) as first:
        first.wait_until(lambda: reached(port))
        with consuming(*words, "--metrics-port", port, home="other") as second:
            assert second.process.wait(PATIENCE) == 2
        assert (
            second.log.read_text()
            .splitlines()[-1]
            .endswith("choose another with `--metrics-port`.")
        )
        first.stop()


def reached(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", verify=TRUST).status_code == 200
    except httpx.TransportError:
        return False


def test_what_is_published_decides_from_then_on(
    bus: Bus, consuming: Consumes, pay: Pay, tmp_path: Path, model: bytes
) -> None:
    source, target = bus.topic("payments"), bus.topic("decisions")
    models = Models(tmp_path / "home" / "models")

    def publish(intercept: float, role: Any = "production") -> str:
        folder = tmp_path / f"bundle{intercept}"
        save(make_bundle(model, calibration=Calibration(1.0, intercept)), folder)
        return models.publish(folder, role=role).version

    def versions() -> list[str]:
        answers = [msgspec.json.decode(message.value() or b"") for message in bus.read(target)]
        return [answer["model"]["version"] for answer in answers]

    first, port = publish(-0.5), free_port()
    words = ("--from", source, "--to", target, "--metrics-port", str(port), "--without-keys")
    with consuming(*words, published=True) as consumer:

        def value(name: str, **labels: str) -> float:
            try:
                return Scrape(
                    httpx.get(f"http://127.0.0.1:{port}/metrics", verify=TRUST).text
                ).value(name, **labels)
            except httpx.TransportError:
                return 0.0

        bus.write(source, some(pay, range(50)))
        consumer.wait_until(lambda: versions() == [first] * 50)
        second = publish(-0.9)
        consumer.wait_until(lambda: value("shroff_models_adopted_total") == 1)
        shadow = publish(-1.5, role="shadow")
        consumer.wait_until(lambda: value("shroff_model_info", role="shadow", version=shadow) == 1)
        bus.write(source, some(pay, range(50, 90)))
        consumer.wait_until(lambda: versions() == [first] * 50 + [second] * 40)
        consumer.wait_until(lambda: value("shroff_shadow_payments_total", version=shadow) == 40)
        policy = msgspec.structs.replace(
            POLICY, rules=[Rule("all", "mcc = '5411'", action="review")]
        )
        published = models.publish_policy(policy).version
        consumer.wait_until(
            lambda: value("shroff_policy_info", role="production", version=published) == 1
        )
        bus.write(source, some(pay, range(90, 100)))
        consumer.wait_until(lambda: len(versions()) == 100)
        answers = [msgspec.json.decode(message.value() or b"") for message in bus.read(target)]
        assert [answer["policy"] for answer in answers] == [first] * 50 + [second] * 40 + [
            published
        ] * 10
        assert [answer["rules"] for answer in answers[90:]] == [["all"]] * 10
        assert consumer.stop()["decided"] == 100


def test_without_a_bundle_something_must_be_published(bus: Bus, consuming: Consumes) -> None:
    with consuming(
        "--from", bus.topic("payments"), "--to", bus.topic("decisions"), published=True
    ) as consumer:
        assert consumer.process.wait(PATIENCE) == 2
    assert "shroff publish" in consumer.log.read_text()
