"""Promotions with real bundles: what the gates measure, what moves, and what does not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace as replace_schema

from decide.test_standing import held_out
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from serve.service import KEY
from shroff import Cost
from shroff.clock import system_time
from shroff.collect.payment import Value
from shroff.control.models import Models
from shroff.decide.decider import Assessment, Decider
from shroff.decide.standing import own
from shroff.detect import Calibration
from shroff.errors import BrokenChain, ConfigurationError
from shroff.ledger import Ledger
from shroff.package import Bundle, load, save
from shroff.promotion import (
    Budget,
    Contender,
    Evidence,
    Promotion,
    compare_pairs,
    from_ledger,
    from_log,
    gates,
    promote,
)
from shroff.promotion.gates import better, examined
from shroff.scoring.deployments import Deployments
from shroff.scoring.history import history_of
from shroff.scoring.scorer import Scorer

METRICS = {
    "split": "time:2024-01-01/10/2/60",
    "findings": [],
    "detectors": {"logistic_regression": {"findings": []}},
}
BLIND = Calibration(1.0, -50.0)
"""Approves everything."""
ROOMY = Budget(p99_ms=10_000.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles, and a log of 60 days whose frauds are large."""
    folder, model = tmp_path_factory.mktemp("promotion"), fitted_model()
    usual = {"metrics": METRICS, "held_out": held_out(), "currency": "EUR"}
    wider = replace_schema(SCHEMA, numeric=["items", "points"]).with_keys(VELOCITY.key_columns)
    made: dict[str, dict[str, Any]] = {
        "blind": {"calibration": BLIND},
        "seeing": {},
        "other": {"calibration": Calibration(1.0, -0.4)},
        "wider": {"schema": wider},
    }
    for day, (name, changes) in enumerate(made.items()):
        created = f"2024010{day + 1}T000000Z"
        save(make_bundle(model, **(usual | {"created": created} | changes)), folder / name)
    random = np.random.default_rng(5)
    size = 1_500
    fraud = random.random(size) < 0.15
    first = datetime(2024, 1, 1, tzinfo=UTC)
    at = [first + timedelta(days=60 * share) for share in np.sort(random.random(size)).tolist()]
    pl.DataFrame(
        {
            "payment_id": [f"p{row}" for row in range(size)],
            "created_at": [moment.isoformat() for moment in at],
            "amount": np.where(fraud, 280.0, 40.0).round(2) + random.integers(0, 15, size),
            "currency": "EUR",
            "is_fraud": fraud.astype(int),
            "labelled_at": [(moment + timedelta(days=1)).isoformat() for moment in at],
            "result": "authorised",
            "result_at": [moment.isoformat() for moment in at],
            "mcc": "5411",
            "request_country": "DK",
            "account_country": "DK",
            "items": 1,
            "email": "ada@example.org",
            "card_id": [f"c{row % 700}" for row in range(size)],
            "host_id": "h1",
            "merchant_id": "m1",
        }
    ).write_csv(folder / "log.csv")
    return folder


@pytest.fixture
def models(folder: Path, tmp_path: Path) -> Models:
    """The blind model is in production."""
    kept = Models(tmp_path / "models")
    kept.publish(folder / "blind")
    return kept


def measured(folder: Path) -> Callable[[Contender, Contender | None], Evidence]:
    return lambda candidate, incumbent: from_log(
        candidate,
        incumbent,
        lambda bundle: history_of(bundle, folder / "log.csv", KEY, 0.0),
        source="log.csv",
    )


def complete(bundle: Bundle) -> list[str]:
    return []


def promoted(models: Models, folder: Path, name: str, **options: Any) -> Promotion:
    given: dict[str, Any] = {"by": "ada", "why": "a test", "budget": ROOMY, "missing": complete}
    given |= options
    return promote(models, folder / name, "production", measured(folder), **given)


def found(done: Promotion) -> dict[str, bool]:
    return {one.gate: one.passed for one in done.gates}


def test_a_better_model_comes_to_production_through_all_gates(models: Models, folder: Path) -> None:
    done = promoted(models, folder, "seeing")
    assert found(done) == dict.fromkeys(("doctor", "parity", "latency", "better", "card"), True)
    assert (done.stage, done.refused, done.forced) == ("production", False, False)
    candidate, production = models.pointers.changes[1:]
    assert (candidate.role, production.role) == ("shadow", "production")
    assert (len(candidate.gates), production.gates) == (3, done.gates)
    assert (production.by, production.note) == ("ada", "a test")
    figures: dict[str, Any] = production.gates[3].figures
    assert figures["evidence"] >= figures["needed"] == 20
    assert 0 < figures["cards"] <= figures["different"] <= figures["payments"] < 1_500
    assert production.gates[1].figures["payments"] == 1_500


def test_a_worse_model_stays_a_candidate_unless_it_is_forced(models: Models, folder: Path) -> None:
    models.publish(folder / "seeing")
    before = models.pointers.production
    done = promoted(models, folder, "blind")
    assert (done.stage, done.refused, found(done)["better"]) == ("candidate", True, False)
    assert "loses " in done.gates[3].sentence
    assert models.pointers.production == before
    forced = promoted(models, folder, "blind", force=True, why="the board says so")
    assert (forced.stage, forced.refused, forced.forced) == ("production", False, True)
    last = models.pointers.changes[-1]
    assert (last.forced, last.note, last.gates[3].passed) == (True, "the board says so", False)


def test_what_a_gate_refuses_moves_nowhere(models: Models, folder: Path) -> None:
    before = models.pointers
    slow = promoted(models, folder, "seeing", budget=Budget(p99_ms=1e-6))
    assert (slow.stage, slow.refused, found(slow)["latency"]) == ("research", True, False)
    assert "of a budget of 1e-06 ms" in slow.gates[2].sentence
    after = models.pointers
    assert msgspec.structs.replace(after, changes=before.changes) == before
    (kept,) = after.changes[1:]
    assert (kept.action, kept.role, kept.version) == ("refuse", "production", slow.bundle.version)
    assert (kept.by, kept.note, kept.gates) == ("ada", "a test", slow.gates)
    assert after.as_of(None) == before.as_of(None)
    assert after.concerning(slow.bundle.version) == (kept,)
    assert promoted(models, folder, "seeing").stage == "production", "and it may be tried again"


def test_a_payment_that_waits_for_the_processor_is_not_a_slow_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Decider):
        """Loses the processor while it decides, as on a busy machine."""

        def assess(
            self, payments: Sequence[Mapping[str, Value]], *, explain: bool = True
        ) -> list[Assessment]:
            Event().wait(0.012)
            return super().assess(payments, explain=explain)

    bundle = load(folder / "seeing")
    contender = Contender(bundle, own(bundle))
    seen = measured(folder)(contender, None)
    seen = replace(seen, frame=seen.frame[:115])
    monkeypatch.setattr(gates, "Decider", Interrupted)
    sampled = gates.sample(contender, seen)
    found = gates.fast(sampled, Budget())
    assert found.passed, found.sentence
    assert "ms of processor time at p99 over 104 payments" in found.sentence
    assert not gates.fast(sampled, Budget(p99_ms=0.01)).passed, "work counts"


def test_an_incomplete_card_keeps_a_model_from_production(models: Models, folder: Path) -> None:
    before = models.pointers.production
    lacks = ["`owner` is not declared.", "`limits` is not declared."]
    done = promoted(models, folder, "seeing", missing=lambda bundle: lacks)
    assert (done.stage, done.refused, found(done)["card"]) == ("candidate", True, False)
    assert done.gates[4].sentence == (
        f"its model card is not complete. {lacks[0]} `shroff card` lists all 2 gaps."
    )
    assert models.pointers.production == before
    forced = promoted(models, folder, "seeing", missing=lambda bundle: lacks, force=True)
    assert (forced.stage, forced.forced) == ("production", True)
    refused, moved = models.pointers.changes[-2:]
    assert [one.action for one in (refused, moved)] == ["refuse", "promote"]
    assert (moved.forced, moved.gates[4].passed) == (True, False)


def test_costs_that_differ_between_payments_price_both_models(models: Models, folder: Path) -> None:
    bundle, standing = models.in_production()
    seeing = load(folder / "seeing")
    saved: dict[str, Any] = {}
    for missed in ("amount", "CASE WHEN mcc = '5411' THEN 0.5 * amount END"):
        cost = Cost(review=0.0, missed=missed)
        policy = msgspec.structs.replace(standing.policy, cost=cost)
        incumbent = Contender(bundle, msgspec.structs.replace(standing, policy=policy))
        seen = measured(folder)(Contender(seeing, own(seeing)), incumbent)
        saved[missed] = better(seen, incumbent, Budget(largest=1e6)).figures["saved"]
        held = better(seen, incumbent, Budget())
        assert ("expected the held-out values" in held.sentence) == (missed != "amount")
    by_amount, by_half = saved.values()
    assert by_half > 0
    assert by_amount - by_half == pytest.approx(by_half, rel=0.2), "all but the wrong declines"


def test_payments_whose_cost_is_unknown_count_as_equal(models: Models, folder: Path) -> None:
    seen = measured(folder)(
        Contender(load(folder / "seeing"), own(load(folder / "seeing"))),
        Contender(*models.in_production()),
    ).pairs
    assert seen is not None
    cost = Cost(missed="sometimes")
    lost = np.where(np.arange(len(seen.time)) % 2 == 0, 100.0, np.nan)
    found_half = compare_pairs(replace(seen, given={"missed": lost}), cost, largest=1e4)
    lost[np.isnan(lost)] = 100.0
    found_all = compare_pairs(replace(seen, given={"missed": lost}), cost, largest=1e4)
    assert 0 < found_half.unpriced < found_half.different == found_all.different
    assert 0 < found_half.saved < found_all.saved


def test_an_equal_model_is_not_better(models: Models, folder: Path) -> None:
    models.publish(folder / "seeing")
    done = promoted(models, folder, "other", budget=ROOMY._replace(largest=500.0))
    assert not found(done)["better"]


def test_the_first_model_is_compared_with_none(folder: Path, tmp_path: Path) -> None:
    done = promoted(Models(tmp_path), folder, "blind")
    assert (done.stage, done.gates[3].sentence) == (
        "production",
        "no model is in production to compare with.",
    )
    with pytest.raises(ConfigurationError, match="is in production already"):
        promoted(Models(tmp_path), folder, "blind")


def test_another_schema_is_refused(models: Models, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="numeric gains `points`"):
        promoted(models, folder, "wider")


def test_payments_that_a_model_learned_from_do_not_count(models: Models, folder: Path) -> None:
    late = METRICS | {"split": "time:2025-01-01/10/2/60"}
    save(make_bundle(fitted_model(), metrics=late, held_out=held_out()), folder / "late")
    with pytest.raises(ConfigurationError, match="expected labelled payments from 2025-01-13 on"):
        promoted(models, folder, "late")


@pytest.mark.parametrize(
    ("metrics", "passed", "said"),
    [
        ({"detectors": {}}, False, "records no examination"),
        (METRICS, True, "no failure."),
        (
            METRICS | {"findings": [{"check": "few_frauds", "severity": "warning"}]},
            True,
            "1 finding.",
        ),
        (METRICS | {"findings": [{"check": "leak", "severity": "failure"}]}, False, "got leak"),
        (
            METRICS
            | {"findings": [{"check": "leak", "severity": "failure"}], "accepted": ["leak"]},
            True,
            "leak was accepted",
        ),
    ],
)
def test_the_doctor_s_failures_refuse_unless_accepted(
    metrics: dict[str, Any], passed: bool, said: str
) -> None:
    result = examined(make_bundle(b"", metrics=metrics))
    assert (result.passed, said in result.sentence) == (passed, True)


def test_of_two_promotions_at_once_one_wins(models: Models, folder: Path) -> None:
    both = Barrier(2)

    def waiting(candidate: Contender, incumbent: Contender | None) -> Evidence:
        seen = measured(folder)(candidate, incumbent)
        both.wait(120)
        return seen

    def attempt(name: str) -> str:
        try:
            done = promote(
                models,
                folder / name,
                "production",
                waiting,
                missing=complete,
                by=None,
                why="race",
                budget=ROOMY,
            )
        except ConfigurationError as error:
            return str(error)
        return done.bundle.version

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(attempt, ("seeing", "other")))
    pointers = models.pointers
    assert pointers.production == told[0]
    assert "is in production by now: promote it again" in told[1]
    assert [one.role for one in pointers.changes].count("production") == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from shroff.control.models import Models
from shroff.control import pointers_file as room
from shroff.control.pointers import Measured

models, step = Models(sys.argv[1]), sys.argv[3]
production = models.pointers.production
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
measured = Measured((), production)
if step == "before candidate":
    room.PointersFile.write = die
models.publish(sys.argv[2], role="shadow", measured=measured)
if step == "between":
    die()
if step == "while writing":
    room.msgspec.json.format = die
if step == "before production":
    room.PointersFile.write = die
models.publish(sys.argv[2], measured=measured)
"""


@pytest.mark.parametrize(
    "step", ["before candidate", "between", "while writing", "before production"]
)
def test_a_promotion_that_is_killed_leaves_the_old_model(
    models: Models, folder: Path, step: str
) -> None:
    before = models.pointers
    command = [sys.executable, "-c", KILLED, str(models.folder), str(folder / "seeing"), step]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert models.pointers.production == before.production
    assert promoted(models, folder, "seeing").stage == "production"


def test_a_service_that_runs_follows(models: Models, folder: Path, tmp_path: Path) -> None:
    scorer = Scorer(models.production(), Ledger(f"sqlite:///{tmp_path / 'l.db'}"), key=KEY)
    scorer.start()
    try:
        following = Deployments(models, scorer)
        asyncio.run(following.look())
        done = promoted(models, folder, "seeing")
        asyncio.run(following.look())
        assert scorer.bundle.version == done.bundle.version
        path = models.folder / "pointers.json"
        path.write_text(path.read_text().replace("a test", "no test"))
        asyncio.run(following.look())
        assert "history of models was changed" in str(following.failure)
        assert scorer.bundle.version == done.bundle.version
        with pytest.raises(BrokenChain):
            promoted(models, folder, "other")
    finally:
        scorer.close()


def test_the_ledger_is_evidence_once_labels_are_in(
    models: Models, folder: Path, tmp_path: Path, pay: Callable[..., dict[str, Any]]
) -> None:
    incumbent = Contender(*models.in_production())
    seeing = Models(tmp_path / "other")
    seeing.publish(folder / "seeing")
    candidate = Contender(*seeing.in_production())
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def record() -> None:
        scorer = Scorer(incumbent.bundle, Ledger(url), key=KEY)
        scorer.start()
        for number in range(60):
            sent = pay(card_id=f"c{number}", amount=290.0 if number % 2 else 40.0)
            await scorer.decide(msgspec.json.encode(sent))
            if number % 2:
                await scorer.learn("label", sent["payment_id"], True)
        scorer.close()

    asyncio.run(record())
    entries = list(Ledger(url).entries())
    day = 86_400_000_000
    early = from_ledger(candidate, incumbent, entries, now=system_time() + day)
    assert early.pairs is not None
    assert not better(early, incumbent, Budget()).passed
    late = from_ledger(candidate, incumbent, entries, now=system_time() + 6 * day)
    assert late.pairs is not None
    assert late.pairs.known.all()
    assert late.pairs.fraud.sum() == 30
    assert (late.pairs.incumbent == "approve").all()
    result = better(late, incumbent, Budget())
    assert result.passed, result.sentence
    assert result.figures["frauds"] == 30
    against = replace(late, pairs=replace(late.pairs, challenger=late.pairs.incumbent))
    assert better(against, incumbent, Budget()).figures["cards"] == 0
