"""Prequential folds: each stretch of the test part is judged by what was known before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Cost, Schema
from shroff.detect import LogisticRegression, Rules
from shroff.errors import ConfigurationError, UnsuitableSplit
from shroff.evaluate import LatestSplit, TemporalSplit, average_precision, parse_split, roc_auc
from shroff.experiment import Dataset, train
from shroff.experiment.fits import Fits
from shroff.experiment.prequential import judge, spread
from shroff.features.plan import Plan

SCHEMA = Schema(id="id", time="time", amount="amount", label="fraud", keys=["card"])
N, START = 2_000, datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    random = np.random.default_rng(0)
    fraud = random.random(N) < 0.1
    amount = random.normal(300, 100, N) + 150 * fraud
    times = [START + timedelta(minutes=29 * at) for at in range(N)]
    frame = pl.DataFrame(
        {
            "id": [f"p{at}" for at in range(N)],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "amount": (amount * 100).round().astype(np.int64).clip(1),
            "fraud": fraud,
            "card": [f"c{one}" for one in random.integers(0, 300, N)],
        }
    )
    return Dataset.build(frame, Plan([], SCHEMA), card="card")


@given(st.integers(1, 60), st.integers(0, 9), st.integers(2, 60), st.integers(2, 9))
def test_stretches_cover_the_test_days_once_each_after_its_delay(
    train_days: int, delay: int, test_days: int, folds: int
) -> None:
    split = TemporalSplit(START.date(), train_days, delay, max(test_days, folds), folds=folds)
    assert parse_split(str(split)) == split
    stretches = split.successive
    assert len(stretches) == folds
    day = START.date() + timedelta(days=train_days + delay)
    for one in stretches:
        assert (one.train_days, one.delay_days, one.folds) == (train_days, delay, 0)
        assert one.start + timedelta(days=train_days + delay) == day
        day += timedelta(days=one.test_days)
    assert day == START.date() + timedelta(days=train_days + delay + split.test_days)
    lengths = [one.test_days for one in stretches]
    assert max(lengths) - min(lengths) <= 1


def test_the_split_text_takes_folds() -> None:
    latest = parse_split("time:70/30,delay=3,folds=4")
    assert latest == LatestSplit(0.3, 3, folds=4)
    assert str(latest) == "time:70/30,delay=3,folds=4"
    days = np.array(["2024-01-01", "2024-04-09"], "datetime64[us]")
    assert str(latest.over(days)) == "time:2024-01-01/67/3/30,folds=4"
    for text, words in (
        ("time:70/30,folds=1", "2 or more folds"),
        ("time:2024-01-01/7/7/3,folds=4", "one test day for each of 4 folds, got 3"),
        ("random:70/30,folds=4", "unknown option `folds`"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            parse_split(text)


def test_a_run_judges_each_stretch_by_a_detector_that_learned_anew(
    dataset: Dataset, tmp_path: Path
) -> None:
    split = TemporalSplit(START.date(), 14, 2, 21, folds=3)
    detectors = [LogisticRegression(), Rules(["amount > 450"])]
    fits = Fits(tmp_path)
    steps: list[str] = []
    run = train(dataset, detectors, split, cost=Cost(), k=3, fits=fits, progress=steps.append)
    assert run.split == str(split)
    assert "train rules anew for each of 3 folds" in steps
    amounts, y = dataset.table["amount"].to_numpy(), dataset.y
    for trained in run.trained:
        folds = trained.prequential
        assert [one.fold for one in folds] == [str(one) for one in split.successive]
        assert sum(one.payments for one in folds) == trained.test.n
        assert sum(one.frauds for one in folds) == trained.test.frauds
        both = spread(folds)
        precisions = [one.average_precision for one in folds]
        assert both["mean"]["average_precision"] == pytest.approx(np.mean(precisions))
        assert both["std"]["average_precision"] == pytest.approx(np.std(precisions))
        assert set(both["mean"]) == {"roc_auc", "average_precision", "card_precision_at_k"}
    # by hand: a regression on one input ranks by it, whatever it learned
    for one, stretch in zip(run.trained[0].prequential, split.successive, strict=True):
        rows = stretch.rows(dataset.time, y, dataset.cards)
        assert one.roc_auc == pytest.approx(roc_auc(y[rows.test], amounts[rows.test]))
        assert one.average_precision == pytest.approx(
            average_precision(y[rows.test], amounts[rows.test])
        )
        assert rows.train.max() < rows.test.min()
        between = dataset.time[rows.test].min() - dataset.time[rows.train].max()
        assert between > np.timedelta64(2, "D")
    # what was kept is found again, and belongs to these folds
    again = train(dataset, detectors, split, cost=Cost(), k=3, fits=fits)
    assert [one.prequential for one in again.trained] == [one.prequential for one in run.trained]
    plain = TemporalSplit(START.date(), 14, 2, 21)
    alone = train(dataset, detectors[1:], plain, cost=Cost(), k=3, fits=fits)
    assert alone.trained[0].prequential == ()
    assert alone.trained[0].test == run.trained[1].test


def test_a_later_payment_changes_no_earlier_stretch(dataset: Dataset) -> None:
    split = TemporalSplit(START.date(), 14, 2, 21, folds=3)

    def figures(data: Dataset) -> Sequence[object]:
        y, time, cards = data.y, data.time, data.cards
        return [
            judge(data, LogisticRegression(), one.rows(time, y, cards)) for one in split.successive
        ]

    table = dataset.table.with_columns(
        fraud=pl.when(pl.int_range(N) >= N * 7 // 10).then(~pl.col("fraud")).otherwise("fraud")
    )
    other = Dataset(table, SCHEMA, dataset.kinds, dataset.numeric, dataset.nominal, "card")
    before, after = figures(dataset), figures(other)
    assert before[0] == after[0]
    assert before[2] != after[2]


def test_a_stretch_without_frauds_is_refused_before_the_first_fit(dataset: Dataset) -> None:
    table = dataset.table.with_columns(fraud=pl.col("fraud") & (pl.int_range(N) < N * 7 // 10))
    other = Dataset(table, SCHEMA, dataset.kinds, dataset.numeric, dataset.nominal, "card")
    steps: list[str] = []
    with pytest.raises(UnsuitableSplit, match="got no fraud"):
        train(
            other,
            [LogisticRegression()],
            TemporalSplit(START.date(), 14, 2, 21, folds=3),
            cost=Cost(),
            progress=steps.append,
        )
    assert not steps
