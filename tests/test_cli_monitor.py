"""`shroff monitor`: the verdict of a bundle on a log and on the ledger, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from monitor.receivers import WebhookReceiver, serving
from monitor.test_following import paid
from serve.fixtures import fitted_model, make_bundle
from shroff.cli import app
from shroff.collect.times import DAY_US
from shroff.control.models import Models
from shroff.evaluate.reference import PROBABILITY, TrainingReference
from shroff.ledger import Ledger, StoredEntry
from shroff.package import load, save
from shroff.settings import Settings

DAYS, CARDS = 30, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learned from amounts up to 100, and two logs of the time after it."""
    folder, chance = tmp_path_factory.mktemp("monitor"), np.random.default_rng(0)
    size = DAYS * CARDS
    day, card = np.divmod(np.arange(size), CARDS)
    amount = chance.integers(1, 100, size)
    learned = pl.DataFrame({"amount": amount.astype(float), PROBABILITY: [0.5] * size})
    cards = pl.Series("card", card).cast(pl.String)
    reference = TrainingReference.of(learned.select("amount"), day * DAY_US, cards)
    metrics = {"split": "time:2024-01-01/20/2/8", "detectors": {}}
    made = make_bundle(fitted_model(), reference=reference, metrics=metrics)
    save(made, folder / "bundle")
    save(make_bundle(fitted_model(), metrics=metrics), folder / "old")
    for name, factor in (("usual", 1), ("tripled", 3)):
        pl.DataFrame(
            {
                "payment_id": [f"p{row}" for row in range(size)],
                "created_at": [f"2024-02-{1 + n % 28:02}T09:{n // 28:02}:00Z" for n in day],
                "amount": chance.permutation(amount) * factor,
                "currency": "EUR",
                "is_fraud": (chance.random(size) < 0.02).astype(int),
                "labelled_at": [f"2024-02-{1 + n % 28:02}T10:00:00Z" for n in day],
                "result": "authorised",
                "result_at": [f"2024-02-{1 + n % 28:02}T09:30:00Z" for n in day],
                "mcc": "5411",
                "request_country": "DK",
                "account_country": "DK",
                "items": 1,
                "email": "ada@example.org",
                "card_id": [f"c{number}" for number in card],
                "host_id": "h1",
                "merchant_id": "m1",
            }
        ).write_csv(folder / f"{name}.csv")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["monitor", *map(str, words)])


def test_payments_as_in_training_hold(folder: Path) -> None:
    done = run(folder / "bundle", "--data", folder / "usual.csv", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["holds"]
    assert found["payments"] == DAYS * CARDS
    assert [month["month"] for month in found["months"]] == ["2024-02"]
    assert 60 < found["months"][0]["known_frauds"] < 180


def test_a_drift_is_exit_code_1_and_a_sentence(folder: Path) -> None:
    done = run(folder / "bundle", "--data", folder / "tripled.csv")
    assert done.exit_code == 1, done.output
    assert "Drift: 1 of 1 columns has moved" in done.output
    assert "`amount` was at most" in done.output
    assert "2024-02" in done.output


def test_an_alarm_is_written_and_told_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, prom = tmp_path / "page.html", tmp_path / "shroff.prom"
    words = (folder / "bundle", "--data", folder / "tripled.csv", "--by", "amount", "--alerts")
    with serving(WebhookReceiver()) as server:
        monkeypatch.setenv("SHROFF_ALERT_WEBHOOK", server.url)
        monkeypatch.setenv("SHROFF_ALERT_SECRET", "sixteen characters")
        done = run(*words, "--html", page, "--prometheus", prom)
        assert done.exit_code == 1, done.output
        assert run(*words).exit_code == 1
        told = [json.loads(one.body) for one in server.posted]
    assert [(one["type"], one["subject"]) for one in told] == [
        ("shroff.alarm.began", "drift/amount")
    ]
    assert "<code>amount</code> was at most" in page.read_text()
    assert 'shroff_monitor_findings{kind="drift",severity="alarm"} 1.0' in prom.read_text()
    listed = CliRunner().invoke(app, ["alerts", "list"])
    assert "`amount` was at most" in " ".join(listed.output.split())


def test_only_the_model_in_production_has_alarms(folder: Path, tmp_path: Path) -> None:
    words = (folder / "bundle", "--data", folder / "tripled.csv", "--alerts")
    assert run(*words).exit_code == 1, "none is in production"
    other = make_bundle(fitted_model(), name="another")
    save(other, tmp_path / "other")
    Models(Settings.read().models).publish(tmp_path / "other", by="ada")
    refused = run(*words)
    assert "expected --alerts with the model in production" in str(refused.exception)


def test_what_cannot_be_examined_together_is_a_sentence(folder: Path) -> None:
    asked = (folder / "bundle", "--data", folder / "usual.csv")
    for words, why in (
        (("--parity", "3"), "expected --parity without --data"),
        (("--schemes", "merchant"), "expected --schemes without --data"),
        (("--p99", "30"), "expected --service URL"),
        (("--by", "amonut"), "did you mean `amount`?"),
    ):
        assert why in str(run(*asked, *words).exception)
    assert "expected a duration such as" in run(*asked, "--every", "often").output


def test_a_second_look_goes_on_where_the_first_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, begun, looks = load(folder / "bundle").version, list[int](), 0

    class Watched(Ledger):
        def entries(self, *, since: int | None = None, after: int = 0) -> Iterator[StoredEntry]:
            begun.append(after)
            return super().entries(since=since, after=after)

    def write(numbers: range) -> None:
        with Ledger(Settings.read().ledger) as ledger:
            for number in numbers:
                ledger.write_now(replace(paid(number, version, "c"), subject=None))

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KeyboardInterrupt
        write(range(3, 5))

    monkeypatch.setattr("shroff.ledger.Ledger", Watched)
    monkeypatch.setattr(import_module("shroff.cli.monitor"), "time", SimpleNamespace(sleep=sleep))
    write(range(3))
    printed = run(folder / "bundle", "--every", "1h", "--json").stdout
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(printed)
    second, _ = decoder.raw_decode(printed[end:].lstrip())
    assert (first["payments"], second["payments"]) == (3, 5)
    assert begun == [0, 3]


def test_what_cannot_be_monitored_is_a_sentence(folder: Path) -> None:
    assert "keeps what training saw" in str(run(folder / "old").exception)
    assert "none is published" in str(run().exception)
