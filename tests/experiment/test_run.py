"""Runs: what is learned is learned from training rows only, and the figures are those of the
detector.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from shroff import Cost, Entity, FeatureGroup, Schema
from shroff.detect import BoostedTrees, Calibration, LogisticRegression, Rules
from shroff.errors import ConfigurationError, UnknownColumn
from shroff.evaluate import RandomSplit, TemporalSplit, average_precision, parse_split
from shroff.experiment import Dataset, Run, train
from shroff.experiment.doctor import examine_data
from shroff.experiment.judgement import evaluations, importances
from shroff.experiment.run import SplitPart
from shroff.features.plan import Plan

N = 3000
START = datetime(2024, 1, 1, tzinfo=UTC)
schema = Schema(
    id="id", time="time", amount="amount", label="fraud", nominal=["mcc"], keys=["card"]
)
card = Entity("card", "card")
plan = Plan([FeatureGroup("velocity", [card.count("1d"), card.mean("amount", "7d")])], schema)


def log(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    amount = np.round(rng.lognormal(3, 1, N), 2)
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(N)],
            "time": pl.Series(
                [START + timedelta(minutes=10 * n) for n in range(N)],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "amount": (amount * 100).round().astype(np.int64),
            "fraud": (amount > 80) & (rng.random(N) < 0.8),
            "mcc": rng.choice(["5411", "7995"], N),
            "card": rng.choice([f"c{n}" for n in range(60)], N),
        }
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset.build(log(), plan, card="card")


@pytest.fixture(scope="module")
def run(dataset: Dataset) -> Run:
    detectors = [Rules(["amount > 80"]), LogisticRegression(), BoostedTrees(n_trees=30)]
    return train(dataset, detectors, RandomSplit(seed=1), cost=Cost(), capacity=5, k=3)


def test_the_default_inputs_are_amount_nominals_and_features(dataset: Dataset) -> None:
    assert dataset.numeric == ("amount", "card_count_1d", "card_mean_amount_7d")
    assert dataset.nominal == ("mcc",)
    assert dataset.amount.max() < 10_000  # major units


def test_the_preparation_is_learned_from_training_rows_only(run: Run) -> None:
    amounts = run.dataset.amount
    learned = run.trained[1].preparation.numeric[0]
    assert learned.mean == pytest.approx(amounts[run.rows.train].mean(), rel=1e-12)
    assert learned.mean != pytest.approx(amounts.mean(), rel=1e-6)


def test_figures_are_those_of_the_detector(run: Run) -> None:
    for trained in run.trained[1:]:
        X = trained.preparation.matrix(run.dataset.table[run.rows.test])
        score = trained.detector.score(X)
        assert trained.test.average_precision == pytest.approx(
            average_precision(run.dataset.y[run.rows.test], score)
        )
        assert trained.test.card_precision_at_k is not None
    assert run.trained[0].test.recall > 0.9
    assert run.best.held_out == max(trained.held_out for trained in run.trained)


def test_the_test_part_does_not_touch_what_is_learned(run: Run) -> None:
    scrambled = run.dataset.table.to_dict(as_series=False)
    for row in run.rows.test:
        scrambled["amount"][row] = 1.0
    table = pl.DataFrame(scrambled, schema=run.dataset.table.schema)
    other = Dataset(
        table,
        run.dataset.schema,
        run.dataset.kinds,
        run.dataset.numeric,
        run.dataset.nominal,
        "card",
    )
    again = train(
        other, [LogisticRegression()], RandomSplit(seed=1), cost=Cost(), capacity=5, k=3
    ).trained[0]
    first = run.trained[1]
    assert (again.preparation, again.calibration) == (first.preparation, first.calibration)
    assert (again.held_out, again.thresholds) == (first.held_out, first.thresholds)
    assert again.train == first.train


def test_a_temporal_split_trains_on_the_past(dataset: Dataset) -> None:
    split = TemporalSplit(START.date(), 7, 2, 7)
    run = train(dataset, [LogisticRegression()], split, cost=Cost(), k=3)
    assert dataset.time[run.rows.train].max() < dataset.time[run.rows.test].min()
    assert isinstance(run.best.calibration, Calibration)


def test_every_test_payment_is_judged_unless_known_cards_are_to_be_dropped(
    dataset: Dataset,
) -> None:
    """A project that merely names its cards is judged on all of the test days."""
    split = TemporalSplit(START.date(), 7, 2, 7)
    run = train(dataset, [LogisticRegression()], split, cost=Cost(), k=3)
    day = ((dataset.time - np.datetime64(START.date())) / np.timedelta64(1, "D")).astype(int)
    assert run.best.test.n == ((day >= 9) & (day < 16)).sum()
    assert run.best.test_with_known_cards is None
    assert [part.name for part in run.parts] == ["train", "test", "delay", "after"]


def test_known_cards_that_are_dropped_are_counted_and_both_figures_given(dataset: Dataset) -> None:
    split = TemporalSplit(START.date(), 7, 2, 7)
    whole = train(dataset, [LogisticRegression()], split, cost=Cost(), k=3)
    run = train(
        dataset, [LogisticRegression()], replace(split, known_cards="drop"), cost=Cost(), k=3
    )
    parts = {part.name: part for part in run.parts}
    assert parts["known_cards"].payments == whole.best.test.n - run.best.test.n > 0
    assert parts["known_cards"].frauds == whole.best.test.frauds - run.best.test.frauds
    assert run.best.test_with_known_cards == whole.best.test
    assert sum(part.payments for part in run.parts) == N


def test_payments_without_a_label_are_counted() -> None:
    frame = log().with_columns(
        pl.when(pl.int_range(pl.len()) % 100 > 0).then("fraud").alias("fraud")
    )
    run = train(Dataset.build(frame, plan), [LogisticRegression()], RandomSplit(), cost=Cost())
    assert run.parts[-1] == SplitPart("unlabelled", N // 100, None)
    assert sum(part.payments for part in run.parts) == N


def test_a_fit_that_runs_into_its_limit_is_found(dataset: Dataset) -> None:
    hurried, patient = train(
        dataset, [LogisticRegression(max_iter=1), LogisticRegression()], RandomSplit(), cost=Cost()
    ).trained
    (found,) = (finding for finding in hurried.findings if finding.check == "capped")
    assert (found.severity, "1 steps of lbfgs" in found.sentence) == ("warning", True)
    assert "capped" not in [finding.check for finding in patient.findings]


def test_two_detectors_of_a_kind_are_told_apart(dataset: Dataset) -> None:
    run = train(
        dataset,
        [LogisticRegression(C=1.0), LogisticRegression(C=0.01)],
        RandomSplit(),
        cost=Cost(),
        k=3,
    )
    assert [trained.name for trained in run.trained] == [
        "logistic_regression",
        "logistic_regression-2",
    ]


def test_mistakes_are_told(dataset: Dataset) -> None:
    with pytest.raises(ConfigurationError, match="at least one detector"):
        train(dataset, [], RandomSplit(), cost=Cost())
    with pytest.raises(ConfigurationError, match=r"Cost\(missed='-amount'\): .* a negative amount"):
        train(dataset, [LogisticRegression()], RandomSplit(), cost=Cost(missed="-amount"))
    with pytest.raises(UnknownColumn, match="did you mean `amount`"):
        Dataset.build(log(), plan, inputs=["amout"])
    with pytest.raises(UnknownColumn, match="unknown input `fraud`"):
        Dataset.build(log(), plan, inputs=["fraud"])
    with pytest.raises(ConfigurationError, match="names its label"):
        Dataset.build(log().drop("fraud"), Plan([], Schema(id="id", time="time", amount="amount")))


def test_the_fingerprint_is_of_the_data_not_of_its_order(dataset: Dataset) -> None:
    table = dataset.table.reverse()
    same = Dataset(table, dataset.schema, dataset.kinds, dataset.numeric, dataset.nominal, None)
    assert same.fingerprint() == dataset.fingerprint()
    assert Dataset.build(log(seed=1), plan).fingerprint() != dataset.fingerprint()


def test_tuning_looks_inside_the_training_part_only(dataset: Dataset, tmp_path: Path) -> None:
    split = TemporalSplit(START.date(), 12, 1, 6)
    detectors = [Rules(["amount > 80"]), BoostedTrees(n_trees=20)]
    tuned = train(
        dataset, detectors, split, cost=Cost(), k=3, tune=2, storage=tmp_path / "tuning.db"
    )
    rules, trees = tuned.trained
    assert rules.tuning is None
    assert trees.tuning is not None
    assert trees.tuning.trials == 2
    assert trees.detector.get_params().items() >= trees.tuning.parameters.items()
    # another future, the same search
    table = dataset.table.with_columns(
        pl.when(pl.int_range(pl.len()) > tuned.rows.train.max())
        .then(1.0)
        .otherwise("amount")
        .alias("amount")
    )
    other = Dataset(table, dataset.schema, dataset.kinds, dataset.numeric, dataset.nominal, "card")
    again = train(other, detectors, split, cost=Cost(), k=3, tune=2)
    assert again.trained[1].tuning is not None
    assert again.trained[1].tuning.parameters == trees.tuning.parameters


def test_payments_without_a_card_are_not_one_card(dataset: Dataset) -> None:
    """One fraud without a card must not drop every later payment without one."""
    none = dataset.table["card"].is_in(["c1", "c2"])
    table = dataset.table.with_columns(card=pl.when(~none).then("card"))
    some = replace(dataset, table=table)
    cards = some.cards
    assert cards is not None
    assert np.array_equal(cards < 0, none.to_numpy())
    run = train(
        some,
        [LogisticRegression()],
        TemporalSplit(START.date(), 7, 2, 7, known_cards="drop"),
        cost=Cost(),
        k=3,
    )
    assert not none.to_numpy()[run.rows.known_cards].any()
    assert some.y[none.to_numpy()].any()


def test_a_run_is_evaluated_by_segment_on_its_test_part(run: Run) -> None:
    found = evaluations(run)
    assert list(found) == [trained.name for trained in run.trained]
    for trained in run.trained:
        one = found[trained.name]
        assert sum(one.bins.payments) == trained.test.n
        assert {segment.column for segment in one.segments} == {"mcc", "amount (EUR)", "card"}
        low, high = one.intervals["average_precision"]
        assert low <= trained.test.average_precision <= high
    assert (
        sum(segment.payments for segment in one.segments if segment.column == "mcc")
        == trained.test.n
    )


def test_the_input_that_makes_frauds_is_the_most_important(run: Run) -> None:
    trees = run.trained[-1]
    found = importances(run, trees)
    assert found.keys() == set(trees.preparation.names)
    assert next(iter(found)) == "amount"
    assert found["amount"] > 10 * max(found["mcc"], 0.001)
    assert importances(run, trees) == found
    assert importances(run, run.trained[0]) == {}


def test_rows_stand_for_payments_and_are_repeated_in_learning_alone(dataset: Dataset) -> None:
    """Judged and calibrated rows count for as many as they stand for; repeated ones once."""
    split = TemporalSplit(START.date(), 12, 1, 7)
    plain = train(dataset, [LogisticRegression()], split, cost=Cost(), capacity=5, k=3)
    ones = np.ones(N, dtype=np.int64)
    same = train(
        replace(dataset, stands=ones, repeats=ones),
        [LogisticRegression()],
        split,
        cost=Cost(),
        capacity=5,
        k=3,
    )
    assert same.best.test == plain.best.test
    assert same.best.calibration == plain.best.calibration
    stands = np.where(dataset.y, 4, 1)
    weighted = train(
        replace(dataset, stands=stands), [LogisticRegression()], split, cost=Cost(), k=3
    )
    test = plain.rows.test
    assert weighted.best.test.n == stands[test].sum()
    assert weighted.best.test.frauds == 4 * dataset.y[test].sum()
    assert weighted.rows.once.test.tolist() == test.tolist()
    repeated = train(
        replace(dataset, repeats=stands), [LogisticRegression()], split, cost=Cost(), k=3
    )
    assert repeated.best.test.n == len(test)
    assert repeated.best.detector.score(np.zeros((1, 4), np.float32)) > plain.best.detector.score(
        np.zeros((1, 4), np.float32)
    )


def test_early_labels_are_learned_from_and_never_judged() -> None:
    frame = log().with_columns(
        pl.when(pl.col("fraud")).then(pl.col("time") + timedelta(hours=6)).alias("labelled")
    )
    known = Plan(plan.groups, msgspec.structs.replace(schema, labelled_at="labelled"))
    data = Dataset.build(frame, known, card="card")
    split = TemporalSplit(START.date(), 10, 2, 7, early_labels="learn")
    run = train(data, [LogisticRegression()], split, cost=Cost(), k=3)
    day = ((data.time - np.datetime64(START.date())) / np.timedelta64(1, "D")).astype(int)
    early = run.rows.train[day[run.rows.train] >= 10]
    assert len(early)
    assert data.y[early].all()
    assert parse_split(run.split) == split
    late = data.labelled[early] if data.labelled is not None else np.empty(0)
    assert late.max() < np.datetime64(split.test_from, "us")
    with pytest.raises(ConfigurationError, match=r"set Schema\(labelled_at=…\)"):
        split.rows(data.time, data.y)
    with pytest.raises(ConfigurationError, match='early_labels="drop" or early_labels="learn"'):
        parse_split("time:2024-01-01/10/2/7,early_labels=learned")


@pytest.mark.parametrize("late", [False, True], ids=["never", "late"])
def test_early_labels_that_are_learned_from_are_no_fault_of_the_data(*, late: bool) -> None:
    """Chargebacks of young payments come before anybody knows that the others were genuine, or all
    of them do.
    """
    split = TemporalSplit(START.date(), 6, 7, 7, early_labels="learn")
    young = (pl.col("time") - START).dt.total_days().is_between(6, 12) & ~pl.col("fraud")
    hours = pl.when(young).then(900).otherwise(6)
    frame = log().with_columns(
        pl.when(~young | late).then("fraud").alias("fraud"),
        (pl.col("time") + pl.duration(hours=hours)).alias("labelled"),
    )
    known = Plan(plan.groups, msgspec.structs.replace(schema, labelled_at="labelled"))
    data = Dataset.build(frame, known, card="card")
    rows = split.rows(data.time, data.y, None, data.labelled)

    def faults(told: TemporalSplit) -> set[str]:
        found = examine_data(data, frame, known, told, rows)
        return {one.check for one in found} & {"prevalence", "uneven_labels"}

    assert faults(split) == set()
    assert faults(replace(split, early_labels="drop")) == {
        "prevalence" if late else "uneven_labels"
    }
