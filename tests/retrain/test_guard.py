"""Guardrails: a share past all doubt, and a model that is taken back while its service runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.test_verdict import with_reference
from patience import until
from program import shroff
from serve.fixtures import make_bundle
from serve.service import KEY, Service
from shroff.clock import system_time
from shroff.control.models import Models
from shroff.detect import Calibration
from shroff.errors import ConfigurationError
from shroff.ledger import Ledger
from shroff.monitor.columns import Drift, examine_drift
from shroff.package import save
from shroff.retrain import Guardrails
from shroff.retrain import guard as guarded
from shroff.retrain.guard import share_within

Pay = Callable[..., dict[str, Any]]
HARSH = Calibration(1.0, 50.0)
"""Declines everything."""


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.9))
def test_a_share_is_breached_by_bets_that_stay_valid(counted: list[bool], limit: float) -> None:
    wealth, most, total, squares = 1.0, 1.0, 0.0, 0.0
    for one in counted:
        x = float(one) - limit
        wealth *= 1 + min(max(total / (squares + 0.05**2), 0.0), 0.8) * x
        total, squares, most = total + x, squares + x * x, max(most, wealth)
    found = share_within("declines", np.array(counted, dtype=np.bool_), limit)
    if abs(most - 20) > 1e-6:
        assert found.passed == (most < 20)
    assert found.figures["cards"] == len(counted)


def test_a_model_at_its_limit_is_hardly_ever_taken_back() -> None:
    """Looked at after every card: of 200 at most 5 % are, and 20 gives one chance in a thousand."""
    random = np.random.default_rng(7)
    broken = [
        not share_within("declines", random.random(800) < 0.05, 0.05).passed for _ in range(200)
    ]
    assert sum(broken) <= 20
    beyond = [
        not share_within("declines", random.random(800) < 0.1, 0.05).passed for _ in range(40)
    ]
    assert sum(beyond) >= 35


def test_guardrails_divide_the_chance_of_an_error() -> None:
    counted = np.ones(12, dtype=np.bool_)
    alone, beside = (share_within("alerts", counted, 0.5, parts=parts) for parts in (1, 3))
    assert (alone.figures["needed"], beside.figures["needed"]) == (20.0, 60.0)
    assert 20 < float(str(alone.figures["evidence"])) < 60
    assert (alone.passed, beside.passed) == (False, True)


def test_those_that_are_asked_for_divide_it_drift_too(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, budgets = import_module("shroff.retrain.guard"), list[float]()

    def examined(*asked: Any, now: int, budget: float) -> Drift:
        budgets.append(budget)
        return examine_drift(*asked, now=now, budget=budget)

    monkeypatch.setattr(module, "examine_drift", examined)
    save(with_reference(make_bundle(model)), tmp_path / "mild")
    models, now = Models(tmp_path / "models"), system_time()
    models.publish(tmp_path / "mild")
    alone = Guardrails(drift=True), Guardrails(alerts=0.5, p99_ms=9.0)
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        for limits in (*alone, Guardrails(declines=0.2, alerts=0.5, drift=True)):
            done = guarded(models, lambda _: ledger.records(), limits, now=now)
            needed = [one.figures["needed"] for one in done.found if "needed" in one.figures]
            asked = sum(map(bool, (limits.declines, limits.alerts, limits.drift)))
            assert needed == [20.0 * asked] * (asked - limits.drift)
    assert budgets == [pytest.approx(0.05 / 3), pytest.approx(0.05 / 9)], "of three columns"


def test_a_guardrail_is_declared() -> None:
    with pytest.raises(ConfigurationError, match="expected at least one guardrail"):
        Guardrails()
    with pytest.raises(ConfigurationError, match="expected a share of alerts above 0 and below 1"):
        Guardrails(alerts=1.5)
    for never in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="expected milliseconds above 0"):
            Guardrails(p99_ms=never)


def guard(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return shroff(home, "guard", *words, "--json", kept=home, SHROFF_PERSONAL_KEY=KEY.hex())


def test_a_breach_takes_the_model_back_while_the_service_runs(
    model: bytes, tmp_path: Path, pay: Pay
) -> None:
    """Shadow, production, a breach, and the model before decides again."""
    mild = save(make_bundle(model, created="20240101T000000Z"), tmp_path / "mild")
    harsh = save(
        make_bundle(model, created="20240102T000000Z", calibration=HARSH), tmp_path / "harsh"
    )
    home = tmp_path / "home"
    models = Models(home / "models")
    models.publish(tmp_path / "mild")
    models.publish(tmp_path / "harsh", role="shadow")
    with Service(None, home) as service:

        def decided() -> tuple[str, str]:
            answer = service.request("POST", "/v1/decisions", json=pay(card_id=f"c{count()}"))
            document = answer.json()
            return document["model"]["version"], document["action"]

        count = iter(range(10_000)).__next__
        for _ in range(5):
            assert decided() == (mild.version, "approve")
        well = guard(home, "--declines", "0.2", "--alerts", "0.5")
        assert (well.returncode, json.loads(well.stdout)["holds"]) == (0, True), well.stderr
        models.publish(tmp_path / "harsh", by="ada", note="a season more")
        until(lambda: decided() == (harsh.version, "decline"))
        for _ in range(40):
            decided()
        told = guard(home, "--declines", "0.2", "--latency", "10000", "--parity")
        assert told.returncode == 1, told.stderr
        document = json.loads(told.stdout)
        assert (document["version"], document["rolled_back_to"]) == (harsh.version, mild.version)
        passed = {one["gate"]: one["passed"] for one in document["guardrails"]}
        assert passed == {"declines": False, "latency": True, "parity": True}
        until(lambda: decided()[0] == mild.version)
        assert decided()[1] == "approve"
        last = models.pointers.changes[-1]  # read with its chain
        # what a rollback brought back stays, even where it breaches
        models.publish(tmp_path / "harsh")
        models.publish(tmp_path / "mild")
        models.rollback(by="ada")
        until(lambda: decided() == (harsh.version, "decline"))
        for _ in range(40):
            decided()
        stays = guard(home, "--declines", "0.2")
    document = json.loads(stays.stdout)
    assert (stays.returncode, document["rolled_back_to"]) == (1, None)
    assert models.pointers.production == harsh.version
    assert (last.action, last.version, last.gates[0].passed) == ("rollback", mild.version, False)
    assert str(last.note).startswith("guardrail declines: 100.0% of 4")
    again = guard(home, "--alerts", "0.0001", "--drift")
    assert again.returncode == 2
    assert "expected a bundle that keeps what training saw" in again.stderr
