"""Small logs: `train` ends, or refuses with a split that ends, or says that the log cannot train a
detector.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Project, Schema
from shroff.detect import Blend, BoostedTrees, Detector, LogisticRegression, Mahalanobis
from shroff.errors import UnsuitableSplit
from shroff.evaluate import fit_split, parse_split
from shroff.experiment import Run
from shroff.pipeline import train_models

START = datetime(2024, 3, 1, 20, tzinfo=UTC)
HOURS = (1, 10, 36, 72, 8 * 24, 15 * 24, 60 * 24)
CARD = Entity("card", "card")
ADVICE = re.compile(r"allows the split `([^`]+)`")
FINAL = "this log cannot train and judge a detector"


def log(hours: float, frauds: int, *, together: bool = False, rows: int = 300) -> pl.DataFrame:
    """Payments spread over `hours`; frauds spread among them, or the earliest payments."""
    rng = np.random.default_rng(frauds)
    fraud = np.zeros(rows, dtype=np.bool_)
    fraud[np.arange(frauds) if together else np.linspace(0, rows - 1, frauds).astype(int)] = True
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(rows)],
            "time": pl.Series(
                [START + timedelta(hours=hours * n / rows) for n in range(rows)],
                dtype=pl.Datetime("us", "UTC"),
            ),
            "amount": (rng.lognormal(3, 1, rows) * 100).astype(np.int64) + 1 + 20_000 * fraud,
            "fraud": fraud,
            "card": rng.choice([f"c{n}" for n in range(9)], rows),
        }
    )


def project(*detectors: Detector, cards: bool) -> Project:
    schema = Schema(
        id="id", time="time", amount="amount", label="fraud", keys=["card"] if cards else []
    )
    features = [FeatureGroup("g", [CARD.count("1h")])] if cards else []
    split = "time:70/30,known_cards=drop" if cards else "time:70/30"
    return Project(
        schema=schema, features=features, inputs=["amount"], detectors=detectors, split=split
    )


def follow(given: Project, frame: pl.DataFrame) -> Run | str:
    """The outcome of `train` after following its advice once: a run, or its last refusal."""
    try:
        return train_models(given, frame)
    except UnsuitableSplit as error:
        advice = ADVICE.search(str(error))
        if advice is None:
            return str(error)
        return train_models(given, frame, split=advice[1])


@pytest.mark.parametrize("hours", HOURS)
@pytest.mark.parametrize(
    ("frauds", "cards"), [(0, False), (1, False), (2, True), (3, False), (5, True), (50, True)]
)
def test_advice_that_is_followed_once_ends(hours: int, frauds: int, cards: bool) -> None:
    found = follow(project(LogisticRegression(), cards=cards), log(hours, frauds))
    if isinstance(found, str):
        assert found.startswith(FINAL)
        assert frauds < 3
    else:
        assert found.best.test.frauds >= 1
        assert "random_split" not in [finding.check for finding in found.findings]


def test_labels_of_one_kind_are_named_as_what_is_wrong() -> None:
    """Chargebacks alone leave all genuine payments without a label."""
    for frauds, told in (
        (300, "a payment without a chargeback needs a label too"),
        (0, "see that the column of labels is the one that says fraud"),
    ):
        found = follow(project(LogisticRegression(), cards=False), log(15 * 24, frauds))
        assert isinstance(found, str)
        assert found.startswith(FINAL)
        assert told in found


def test_detectors_that_cross_fit_within_learn_from_few_frauds_too() -> None:
    blend = Blend([LogisticRegression(), Mahalanobis()])
    detectors = (BoostedTrees(n_trees=5), blend)
    run = follow(project(*detectors, cards=False), log(48, 6))
    assert isinstance(run, Run)
    assert run.dataset.y[run.rows.train].sum() >= blend.least_frauds + 1 == 3
    tuned = train_models(
        project(LogisticRegression(), cards=False), log(48, 5), split="time:70/30,delay=0", tune=1
    )
    assert tuned.best.tuning is not None
    assert (tuned.best.tuning.folds, tuned.best.tuning.in_time) == (3, False)


@given(
    hours=st.floats(0.01, 60 * 24),
    frauds=st.integers(0, 60),
    rows=st.integers(0, 60),
    together=st.booleans(),
    asked=st.sampled_from(
        [
            "time:70/30",
            "time:90/10,delay=30",
            "random:70/30",
            "time:2024-03-02/3/0/1",
            "time:50/50,known_cards=drop",
        ]
    ),
    least=st.integers(2, 4),
)
@settings(deadline=None, max_examples=300)
def test_a_refused_split_names_one_that_fits_or_none_does(
    hours: float, frauds: int, rows: int, together: bool, asked: str, least: int
) -> None:
    frame = log(hours, min(frauds, rows), together=together, rows=rows)
    time, y = frame["time"].dt.replace_time_zone(None).to_numpy(), frame["fraud"].to_numpy()
    card = frame["card"].to_numpy()
    try:
        _, parts = fit_split(parse_split(asked), time, y, card, least=least)
    except UnsuitableSplit as refused:
        sentence = str(refused)
        advice = ADVICE.search(sentence)
        if advice is None:
            assert sentence.startswith(FINAL)
            assert not _any_day_parts(time, y, least)
            return
        _, parts = fit_split(parse_split(advice[1]), time, y, least=least)
    assert min(y[parts.train].sum(), (~y[parts.train]).sum()) >= least
    assert min(y[parts.test].sum(), (~y[parts.test]).sum()) >= 1


def _any_day_parts(time: np.ndarray, y: np.ndarray, least: int) -> bool:
    """Whether some midnight leaves `least` of both kinds before it and one of both after."""
    day = time.astype("datetime64[D]")
    return any(
        min(y[day < cut].sum(), (~y[day < cut]).sum()) >= least
        and y[day >= cut].any()
        and (~y[day >= cut]).any()
        for cut in np.unique(day)
    )


def test_one_sentence_says_the_way_out_and_what_few_frauds_are_worth() -> None:
    """Two days with five frauds: the advice of a refusal must not be refused in turn."""
    frame, given = log(36, 5), project(LogisticRegression(), cards=False)
    with pytest.raises(UnsuitableSplit) as refused:
        train_models(given, frame)
    assert str(refused.value).endswith(
        "got 3; this log (2024-03-01 to 2024-03-03, 300 labelled payments, 5 frauds on 3 of 3 "
        "days) allows the split `time:70/30,delay=0`, with 4 frauds to learn from and 1 to be "
        "judged by; a recall measured on 1 fraud is uncertain by 45 points either way; labels are "
        "taken to be known at once, because no days are left in which they could arrive"
    )
    said: list[str] = []
    run = train_models(given, frame, split="time:70/30,delay=0", say=said.append)
    assert said == [run.outlook]
    assert "is uncertain by 45 points" in run.outlook
    few = next(finding for finding in run.findings if finding.check == "few_frauds")
    assert (few.severity, "got 4 and 1" in few.sentence) == ("warning", True)
    random = train_models(given, frame, split="random:70/30")
    assert any("use `time:70/30,delay=0`" in finding.sentence for finding in random.findings)


def test_one_wrong_year_is_named() -> None:
    time = np.datetime64("2024-01-01", "us") + np.arange(60) * np.timedelta64(1, "D")
    time[-1] = np.datetime64("2099-01-01")
    y = np.arange(60) % 5 == 0
    with pytest.raises(UnsuitableSplit, match="between 2024-02-28 and 2099-01-01: is a date wrong"):
        fit_split(parse_split("time:70/30"), time, y)
