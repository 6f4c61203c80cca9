"""The fault suite's judge: what is lost, counted twice or told in two ways is found."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from benchmarks.faults import models
from benchmarks.faults.load import Told, payment
from benchmarks.faults.verdict import Verdict, judge

from serve.fixtures import PREPARATION, fitted_model, make_bundle
from serve.service import KEY
from shroff import FeatureGroup, sql
from shroff.errors import BundleError
from shroff.ledger import Ledger
from shroff.ledger.database import RECORDS
from shroff.package import Bundle, load, save
from shroff.package.trial import try_model
from shroff.scoring.scorer import Scorer


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    save(make_bundle(fitted_model()), tmp_path / "bundle")
    return load(tmp_path / "bundle")


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def told(bundle: Bundle, ledger: str) -> Told:
    """What the clients of a service without faults saw."""
    scorer = Scorer(bundle, Ledger(ledger), key=KEY)
    scorer.start()

    async def decide() -> dict[str, bytes]:
        sent = [payment(number, 1.7e9 + number) for number in range(40)]
        return {one["payment_id"]: await scorer.decide(msgspec.json.encode(one)) for one in sent}

    answers = asyncio.run(decide())
    scorer.close()
    return Told(answers=answers)


def verdict(told: Told, bundle: Bundle, ledger: str) -> Verdict:
    return judge("a fault", "nothing", told, bundle, ledger)


def test_what_is_well_holds(told: Told, bundle: Bundle, ledger: str) -> None:
    found = verdict(told, bundle, ledger)
    assert found.holds
    assert (found.answered, found.recorded, found.twice, found.lost) == (40, 40, 0, 0)


def test_an_answer_that_the_ledger_does_not_have_is_lost(
    told: Told, bundle: Bundle, ledger: str
) -> None:
    told.answers |= {"n1": b"{}", "another": b"{}"}
    found = verdict(told, bundle, ledger)
    assert (found.lost, found.holds) == (2, False)


def test_what_is_never_answered_or_in_two_ways_is_wrong(
    told: Told, bundle: Bundle, ledger: str
) -> None:
    told.unanswered.add("n7")
    told.changed.update(("n1", "n2"))
    told.unexpected.append("500 {}")
    assert verdict(told, bundle, ledger).wrong == (
        "unexpected answer: 500 {}",
        "1 never answered",
        "2 answered in two ways",
    )


def test_features_that_count_otherwise_than_the_batch_engine_are_found(
    told: Told, bundle: Bundle, ledger: str
) -> None:
    (group,) = bundle.groups
    features = [
        *group.features[:-2],
        sql("same_country", "request_country <> account_country"),
        group.features[-1],
    ]
    other = replace(
        bundle, groups=(FeatureGroup(group.name, features, version=1, description="Other"),)
    )
    found = verdict(told, other, ledger)
    assert (found.twice, found.holds) == (40, False)


def test_a_changed_ledger_is_told(told: Told, bundle: Bundle, tmp_path: Path, ledger: str) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as connection:
        connection.execute(f"UPDATE {RECORDS.name} SET arrived = arrived + 1 WHERE seq = 20")
    found = verdict(told, bundle, ledger)
    assert "record 20" in found.wrong[0]


def test_the_longest_without_features_is_told_also_where_it_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([10.0, 11.0, 11.0, 14.0, 14.0, 14.5, 14.5, 19.0])
    monkeypatch.setattr("benchmarks.faults.load.time.monotonic", lambda: next(moments))
    told = Told()
    told.mark()
    for answer in (
        b'"degraded":false',
        b'"degraded":true',
        b'"degraded":false',
        b'"degraded":false',
    ):
        told.note(answer)
    assert (told.without, told.degraded) == (3.0, 1)
    told.measure()
    assert told.without == 4.5


@pytest.mark.parametrize(
    ("model", "why"), [(models.endless_model, "loop"), (models.model_without_numbers, "no number")]
)
def test_models_of_the_suite_are_bad_for_the_reason_they_are_made_for(
    model: Callable[[], bytes], why: str
) -> None:
    with pytest.raises(BundleError, match=why):
        try_model(model(), PREPARATION)
