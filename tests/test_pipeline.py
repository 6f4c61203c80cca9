"""From a clean table to a bundle: a log in several currencies trains a model of one, or none that
reads amounts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import pytest

from package.test_trial import loop, model
from shroff import Cost, Entity, FeatureGroup, Policy, Project, Rates, Rule, Schema
from shroff.collect import clean
from shroff.decide.decider import Decider
from shroff.decide.standing import fit, own
from shroff.detect import LogisticRegression, Rules
from shroff.errors import BadFile, BundleError, ConfigurationError, MixedCurrencies
from shroff.experiment.judgement import evaluations
from shroff.package import load
from shroff.pipeline import collect_table, history_notices, package, summary, train_models

ROWS = 1_200
card = Entity("card", "card")
SCHEMA = Schema(
    id="id",
    time="time",
    amount="amount",
    currency="currency",
    label="fraud",
    nominal=["mcc"],
    keys=["card"],
)
RATES = Rates.constant("EUR", {"JPY": "0.00625"})


def log(*, yen: bool) -> pl.DataFrame:
    """The same payments, half of them in yen where asked: whole multiples of 10 cents, so that both
    sides are exact.
    """
    rng = np.random.default_rng(0)
    euros = np.round(rng.lognormal(3, 1, ROWS), 1)
    fraud = (euros > 60) & (rng.random(ROWS) < 0.7)
    second = np.arange(ROWS) % 2 == 0 if yen else np.zeros(ROWS, bool)
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(ROWS)],
            "time": [f"2024-03-{1 + n // 60:02}T{n % 24:02}:{n % 60:02}Z" for n in range(ROWS)],
            "amount": np.where(second, np.round(euros * 160), euros),
            "currency": np.where(second, "JPY", "EUR"),
            "fraud": fraud.astype(int),
            "mcc": rng.choice(["5411", "7995"], ROWS),
            "card": rng.choice([f"c{n}" for n in range(40)], ROWS),
        }
    )


def project(schema: Schema = SCHEMA, **changes: Any) -> Project:
    usual: dict[str, Any] = {
        "features": [FeatureGroup("velocity", [card.count("1d"), card.total("amount", "1d")])],
        "detectors": [LogisticRegression()],
        "policy": Policy(cost=Cost(review=4.0, missed="amount")),
    }
    return Project(schema=schema, **(usual | changes))


def cleaned(raw: pl.DataFrame, of: Project) -> pl.DataFrame:
    return clean(raw, of.plan.schema, key=b"k" * 32).frame


BLIND: dict[str, Any] = {
    "features": [FeatureGroup("velocity", [card.count("1d")])],
    "inputs": ["mcc", "card_count_1d"],
    "policy": Policy(cost=Cost(missed=50.0)),
}
"""What reads no amount."""


def test_payments_in_two_currencies_train_what_they_train_in_one(tmp_path: Path) -> None:
    rated = msgspec.structs.replace(SCHEMA, rates=RATES)
    bundles = []
    for yen in (False, True):
        made = project(rated)
        run = train_models(made, cleaned(log(yen=yen), made))
        bundles.append(
            package(made, run, tmp_path / str(yen), accept=["no_lift", "calibration"]).bundle
        )
        assert summary(run)["currencies"] == ({"JPY": 600, "EUR": 600} if yen else {"EUR": 1_200})
        assert summary(run)["currency"] == "EUR"
    one, two = bundles
    assert one.model == two.model
    assert one.policy == two.policy
    assert one.currency == two.currency == "EUR"
    assert load(tmp_path / "True").schema.rates == RATES


@pytest.mark.parametrize(
    ("changes", "reader"),
    [
        ({}, "the cost of a missed fraud"),
        ({"policy": BLIND["policy"]}, "the feature `card_total_amount_1d`"),
        ({**BLIND, "inputs": None}, "the input `amount`"),
        (
            {
                **BLIND,
                "policy": Policy(rules=[Rule("large", "amount > 5")], cost=Cost(missed=50.0)),
            },
            "the rule `large`",
        ),
        (
            {**BLIND, "detectors": [Rules(["card_count_1d > 3", "amount > 5"])]},
            "the detector `rules`",
        ),
    ],
    ids=["cost", "feature", "input", "rule", "detector"],
)
def test_without_rates_a_log_in_two_currencies_is_refused(
    changes: dict[str, Any], reader: str
) -> None:
    made = project(**changes)
    mixed = cleaned(log(yen=True), made)
    with pytest.raises(MixedCurrencies, match=f"{reader}.* 2 currencies .*Schema\\(rates="):
        train_models(made, mixed)


def test_what_reads_no_amount_is_trained(tmp_path: Path) -> None:
    made = project(**BLIND)
    run = train_models(made, cleaned(log(yen=True), made))
    packaged = package(made, run, tmp_path / "bundle", accept=["no_lift", "calibration"])
    assert packaged.bundle.currency is None


def test_a_bundle_knows_the_currency_it_was_trained_in(tmp_path: Path) -> None:
    made = project()
    run = train_models(made, cleaned(log(yen=False).with_columns(currency=pl.lit("840")), made))
    assert (
        package(made, run, tmp_path / "bundle", accept=["no_lift", "calibration"]).bundle.currency
        == "USD"
    )
    assert load(tmp_path / "bundle").currency == "USD"


def test_a_bundle_knows_the_card_that_its_project_declares(tmp_path: Path) -> None:
    made = project(card="mcc")
    run, accept = train_models(made, cleaned(log(yen=False), made)), ["no_lift", "calibration"]
    bundle = package(made, run, tmp_path / "bundle", accept=accept).bundle
    assert (bundle.card_column, load(tmp_path / "bundle").card_column) == ("mcc", "mcc")
    silent = {name: one for name, one in bundle.metrics.items() if name != "card"}
    assert replace(bundle, metrics=silent).card_column == "card", "the key of the entity `card`"
    gone = {**silent, "card": "gone"}
    assert replace(bundle, metrics=gone, groups=()).card_column is None


def test_a_bundle_knows_which_columns_hold_long_numbers(tmp_path: Path) -> None:
    made = project()
    digits = np.random.default_rng(4).integers(10**15, 10**16, ROWS).astype(str)
    run = train_models(made, cleaned(log(yen=False).with_columns(id=pl.Series(digits)), made))
    package(made, run, tmp_path / "bundle", accept=["no_lift", "calibration"])
    assert load(tmp_path / "bundle").numbers == ("id",)


def test_no_model_learns_from_amounts_as_they_were_paid() -> None:
    made = project(msgspec.structs.replace(SCHEMA, rates=RATES), inputs=["original_amount"])
    with pytest.raises(ConfigurationError, match="learn from `amount`"):
        train_models(made, cleaned(log(yen=True), made))


def test_thresholds_that_a_policy_gives_are_those_shown_and_their_cost(tmp_path: Path) -> None:
    made = project(policy=Policy(cost=Cost(review=4.0), review_at=0.2, decline_at=0.2))
    run = train_models(made, cleaned(log(yen=False), made))
    shown = summary(run)["detectors"]["logistic_regression"]["thresholds"]
    assert (shown["review_at"], shown["decline_at"], shown["review_band"]) == (0.2, 0.2, False)
    assert (shown["reviews_per_day"], shown["declines_per_day"] > 0) == (0.0, True)
    given = run.best.kept.at(0.2, 0.2, Cost(review=4.0))
    assert shown["cost_per_day"] == given.total_cost / run.best.kept.days


def test_what_could_not_be_published_is_not_packaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, accept = project(), ["no_lift", "calibration"]
    run = train_models(made, cleaned(log(yen=False), made))
    listed = replace(made, policy=Policy(lists={"blocked": ["4111111111111111"]}))
    with pytest.raises(ConfigurationError, match="no card number in the list `blocked`"):
        package(listed, run, tmp_path / "bundle", accept=accept)
    endless = onnx.load_model_from_string(model(loop()))
    monkeypatch.setattr(type(run.best.detector), "to_onnx", lambda self: endless)
    with pytest.raises(BundleError, match="has a loop"):
        package(made, run, tmp_path / "bundle", accept=accept)
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_not_overwritten_in_silence(tmp_path: Path) -> None:
    made = project()
    run = train_models(made, cleaned(log(yen=False), made))
    accept = ["no_lift", "calibration"]
    first = package(made, run, tmp_path / "bundle", accept=accept).bundle
    with pytest.raises(BundleError, match=r"holds a bundle already; .*--overwrite"):
        package(made, run, tmp_path / "bundle", accept=accept)
    assert load(tmp_path / "bundle").digest == first.digest
    package(made, run, tmp_path / "bundle", accept=accept, overwrite=True)
    (tmp_path / "other").mkdir()
    with pytest.raises(BundleError, match="is no bundle"):
        package(made, run, tmp_path / "other", accept=accept, overwrite=True)


@pytest.mark.parametrize(
    "cost",
    [
        Cost(review=0.5),
        Cost(review=0.5, missed="0.5 * amount", declined="1 + 0.02 * amount", miss_rate=0.1),
    ],
)
def test_a_bundle_decides_by_the_costs_that_training_showed(tmp_path: Path, cost: Cost) -> None:
    made = project(policy=Policy(cost=cost, reviews_per_day=3, decide_by="cost"))
    run = train_models(made, cleaned(log(yen=False), made))
    shown = summary(run)["detectors"]["logistic_regression"]
    by_cost = shown["by_cost"]
    assert by_cost["in_force"]
    assert by_cost["review_price"] > 0
    assert by_cost["kept_days"] >= 0.9
    assert by_cost["reviews_per_day"] > 0
    assert shown["thresholds"]["cost_per_day"] <= shown["thresholds"]["cost_per_day_if_approved"]
    bundle = package(made, run, tmp_path / "b", accept=["no_lift", "calibration"]).bundle
    standing = own(load(tmp_path / "b"))
    assert standing.policy.review_price == by_cost["review_price"]
    assert standing.chosen == ("review_at", "decline_at", "review_price")
    again = fit(standing.given, bundle)
    assert again.policy == standing.policy, "published as it is, it is the same"
    judged = evaluations(run)["logistic_regression"]
    approved, _, cheapest = judged.decisions
    assert (approved.reviews, approved.declines) == (0.0, 0.0)
    assert cheapest.reviews > 0
    decider, rows = Decider(bundle), run.rows.test
    found = [
        one.verdict.action
        for one in decider.assess(run.dataset.table[rows].to_dicts(), explain=False)
    ]
    time = run.dataset.time[rows]
    days = float((time.max() - time.min()) / np.timedelta64(1, "D"))
    assert found.count("review") / days == pytest.approx(cheapest.reviews)
    assert found.count("decline") / days == pytest.approx(cheapest.declines)
    assert judged.alerts_per_day == pytest.approx(cheapest.reviews + cheapest.declines)


@pytest.mark.parametrize(("window", "told"), [("1d", False), ("12d", True)])
def test_a_log_that_is_shorter_than_windows_look_back_is_told(window: str, told: bool) -> None:
    """Of 13 days to learn from, a day and twelve days are of the beginning of the log."""
    schema = msgspec.structs.replace(SCHEMA, currency=None)
    group = FeatureGroup("velocity", card.count(window))
    project = Project(schema=schema, features=[group], detectors=[LogisticRegression()])
    frame = clean(log(yen=False), schema, key=b"k" * 32).frame
    run = train_models(project, frame, split="time:2024-03-01/13/0/7")
    found = history_notices(run, project.plan.horizon)
    assert bool(found) is told
    if told:
        assert found[0].startswith(
            "720 of 780 payments learned from are of the first 12 days of the log, as far as "
        )


def test_labels_of_a_table_of_their_own_need_no_columns_in_the_log(tmp_path: Path) -> None:
    schema = msgspec.structs.replace(SCHEMA, currency=None, labelled_at="said_at")
    project = Project(schema=schema, features=[FeatureGroup("velocity", card.count("1d"))])
    log(yen=False).drop("fraud").write_csv(path := tmp_path / "log.csv")
    said = tmp_path / "labels.csv"
    said.write_text("id,fraud,said_at\np3,1,2024-03-30T10:00:00Z\np5,0,2024-03-30T10:00:00Z\n")
    found = collect_table(project, path, key=b"k" * 32, labels=said).frame
    known = found.filter(pl.col("fraud").is_not_null()).select("id", "fraud").rows()
    assert (len(found), known) == (ROWS, [("p3", True), ("p5", False)])
    schema = msgspec.structs.replace(schema, label_sources=["bank"])
    ranked = Project(schema=schema, features=[FeatureGroup("velocity", card.count("1d"))])
    said.write_text(
        "id,fraud,said_at,source\np3,1,2024-03-30T10:00:00Z,bank\np5,0,2024-03-30T10:00:00Z,bnak\n"
    )
    (told,) = collect_table(ranked, path, key=b"k" * 32, labels=said).notices(schema)
    assert "1 of 2 labels are of no source that Schema(label_sources=…) lists" in told
    # a mistyped year: the label stands, and nobody could have had it yet
    said.write_text("id,fraud,said_at\np3,1,2042-03-30T10:00:00Z\np5,0,2024-03-30T10:00:00Z\n")
    (told,) = collect_table(project, path, key=b"k" * 32, labels=said).notices(project.schema)
    assert "1 of 2 labels arrive later than this machine's clock, the last at 2042-03-30" in told
    with pytest.raises(BadFile, match=r"column `fraud` \(label\), found none.* joined with"):
        collect_table(project, path, key=b"k" * 32)
