"""`/metrics` of a running service, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from patience import until
from serve.fixtures import make_bundle
from serve.service import KEY, Service
from shroff.control import Keys
from shroff.control.models import Models
from shroff.ledger import Ledger
from shroff.package import save
from shroff.scoring.scorer import Scorer
from shroff.serve.metrics import registry
from shroff.telemetry.meter import STAGES
from telemetry.scraped import Scrape

Pay = Callable[..., dict[str, Any]]


@pytest.fixture
def quiet(bundle_folder: Path, tmp_path: Path) -> Any:
    with Service(bundle_folder, tmp_path / "home") as service:
        yield service


def test_every_decision_is_counted_once_and_timed_in_every_stage(quiet: Service, pay: Pay) -> None:
    approved, declined = [pay(card_id=f"c{n}") for n in range(5)], pay(host_id="10.6.6.6")
    decided = [
        quiet.request("POST", "/v1/decisions", json=payment).json()
        for payment in [*approved, declined]
    ]
    quiet.request("POST", "/v1/decisions", json=declined)
    found = Scrape.of(quiet)
    assert found.value("shroff_decisions_total") == 6
    assert found.value("shroff_decisions_total", action="decline", degraded="false") == 1
    assert found.value("shroff_repeated_payments_total") == 1
    assert found.value("shroff_requests_total", route="/v1/decisions", outcome="ok") == 7
    for stage in STAGES:
        assert found.value("shroff_stage_seconds_count", stage=stage) == 6
    spent = {stage: found.value("shroff_stage_seconds_sum", stage=stage) for stage in STAGES}
    assert all(seconds > 0 for seconds in spent.values())
    assert sum(spent.values()) - spent["whole"] == pytest.approx(spent["whole"])
    version = decided[0]["model"]["version"]
    assert found.value("shroff_fraud_probability_count", version=version) == 6
    assert found.value("shroff_fraud_probability_sum") == pytest.approx(
        sum(one["probability"] for one in decided)
    )


def test_buckets_begin_at_half_a_millisecond(quiet: Service) -> None:
    bounds = [
        float(sample.labels["le"])
        for sample in Scrape.of(quiet).families["shroff_stage_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["stage"] == "whole"
    ]
    assert bounds[0] == 0.0005
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")


def test_state_ledger_and_model_are_told(quiet: Service, pay: Pay) -> None:
    for number in range(4):
        quiet.request("POST", "/v1/decisions", json=pay(card_id=f"c{number % 2}"))
    found = Scrape.of(quiet)
    # two cards and a merchant; nothing is known of results and labels yet
    assert found.value("shroff_state_keys") == 3
    assert found.value("shroff_state_events") == 8
    assert found.value("shroff_state_pending_payments") == 4
    # and the start
    assert found.value("shroff_ledger_group_entries_sum") == 5
    assert found.value("shroff_ledger_records") == 5
    assert found.value("shroff_ledger_commit_seconds_count") == found.value(
        "shroff_ledger_group_entries_count"
    )
    assert found.value("shroff_ledger_queue_entries") == 0
    assert found.value("shroff_in_flight_payments") == 0
    assert found.value("shroff_ready") == 1
    assert found.value("shroff_model_info", role="production", name="logistic_regression") == 1


def test_refusals_are_counted_by_kind_and_nothing_a_client_makes_up_becomes_a_name(
    quiet: Service, pay: Pay
) -> None:
    payment = pay()
    quiet.request("POST", "/v1/decisions", content=b"{")
    quiet.request("POST", "/v1/decisions", json=payment)
    quiet.request("POST", "/v1/decisions", json=payment | {"amount": 1})
    quiet.request("GET", "/v1/decisions/p%2Fnone")
    quiet.request("GET", "/made/up/4111111111111111")
    quiet.request("GET", "/v2/models/made-up")
    found = Scrape.of(quiet)
    counted = {
        (sample.labels["route"], sample.labels["outcome"]): sample.value
        for sample in found.families["shroff_requests"].samples
        if sample.name == "shroff_requests_total" and sample.labels["route"] != "/health/ready"
    }
    assert counted == {
        ("/v1/decisions", "bad-payment"): 1,
        ("/v1/decisions", "ok"): 1,
        ("/v1/decisions", "payment-conflict"): 1,
        ("/v1/decisions/{payment_id}", "not-found"): 1,
        ("/v2/models/{name}", "not-found"): 1,
        ("other", "not-found"): 1,
    }
    assert "4111111111111111" not in found.text
    assert found.value("shroff_failures_total") == 0


def test_decisions_without_a_score_are_degraded_and_their_failure_is_counted(
    ledger_url: str, pay: Pay
) -> None:
    async def work() -> Scrape:
        scorer = Scorer(make_bundle(b"no model"), Ledger(ledger_url), key=KEY)
        await asyncio.to_thread(scorer.start)
        await scorer.decide(json.dumps(pay()).encode())
        _, text = await registry(scorer).exposition("")
        scorer.close()
        return Scrape(text.decode())

    found = asyncio.run(work())
    assert found.value("shroff_decisions_total", degraded="true", action="review") == 1
    assert found.value("shroff_failures_total", kind="model") == 1
    assert found.value("shroff_fraud_probability_count") == 0
    assert found.value("shroff_ready") == 0


def test_a_failed_commit_is_counted(quiet: Service, pay: Pay) -> None:
    database = quiet.home / "ledger.db"
    aside = database.rename(quiet.home / "aside.db")
    assert quiet.request("POST", "/v1/decisions", json=pay()).status_code == 503
    aside.rename(database)
    found = Scrape.of(quiet)
    assert found.value("shroff_failures_total", kind="ledger") == 1
    assert found.value("shroff_decisions_total") == 0
    assert found.value("shroff_requests_total", outcome="unavailable", route="/v1/decisions") == 1


def test_only_a_key_that_may_read_gets_them_and_only_valid_keys_are_named(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    keys = Keys(f"sqlite:///{home / 'control.db'}")
    reader, shop = keys.create("prometheus", ["read"]), keys.create("shop", ["decide"])
    expired = keys.create("old-shop", ["decide"], lifetime=1)
    with Service(bundle_folder, home, keys=True) as service:

        def ask(token: str | None) -> int:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            return service.request("GET", "/metrics", headers=headers).status_code

        assert [ask(token) for token in (None, "shroff_made_up", expired, shop)] == [
            401,
            401,
            401,
            403,
        ]
        found = Scrape.of(service, authorization=f"Bearer {reader}")
    refused = {
        (sample.labels["kind"], sample.labels["key"]): sample.value
        for sample in found.families["shroff_key_refusals"].samples
        if sample.name == "shroff_key_refusals_total"
    }
    assert refused == {
        ("none", ""): 1,
        ("unknown", ""): 1,
        ("expired", ""): 1,
        ("scope", "shop"): 1,
    }
    for token in (reader, shop, expired):
        assert token not in found.text
        assert token.split("_")[1] not in found.text


def test_what_is_published_and_how_the_shadow_agrees(
    model: bytes, tmp_path: Path, pay: Pay
) -> None:
    home = tmp_path / "home"
    models = Models(home / "models")
    first, second = tmp_path / "first", tmp_path / "second"
    save(make_bundle(model), first)
    save(make_bundle(model, name="candidate"), second)
    models.publish(first)
    with Service(None, home) as service:
        models.publish(second, role="shadow")
        wait_for(service, "shroff_model_info", 1, role="shadow")
        service.request("POST", "/v1/decisions", json=pay())
        wait_for(service, "shroff_shadow_payments_total", 1)
        found = Scrape.of(service)
        assert (
            found.value(
                "shroff_shadow_payments_total", production_action="approve", shadow_action="approve"
            )
            == 1
        )
        assert found.value("shroff_model_info", role="shadow", name="candidate") == 1
        models.publish(second)
        wait_for(service, "shroff_models_adopted_total", 1)


def test_openmetrics_is_spoken_to_whoever_asks_for_it(quiet: Service, pay: Pay) -> None:
    quiet.request("POST", "/v1/decisions", json=pay())
    answer = quiet.request(
        "GET", "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics(answer.text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} >= {"shroff_requests", "shroff_stage_seconds"}


def wait_for(service: Service, name: str, value: float, **labels: str) -> None:
    until(
        lambda: Scrape.of(service).value(name, **labels) == value,
        said=lambda: json.dumps([name, labels, Scrape.of(service).text]),
    )
