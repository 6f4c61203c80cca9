"""Training datasets: what was known of each payment, labels known by a day, parts, versions and
what they hold.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from shroff.errors import ConfigurationError, DataError, NotFound
from shroff.store import Column, FeatureStore, Joined, Labels, Split, TrainingSet
from store.world import BEGIN, LIMITS, PAYMENTS, day, filled, limits, payments

CARDS = TrainingSet(name="cards", of="payments", joined=["velocity", "limits"])
LABELLED = replace(
    CARDS, labels=Labels(column="fraud", group="labels", known_by=day(40), maturity="14d")
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return filled(FeatureStore(tmp_path_factory.mktemp("store")))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return filled(FeatureStore(tmp_path / "store"))


def of(frame: pl.DataFrame, payment: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("id") == payment, named=True)


def test_each_payment_has_what_had_arrived(shared: FeatureStore) -> None:
    data = shared.create(CARDS)
    rows = data.read()

    assert rows["id"].to_list() == payments().sort("at", "id")["id"].to_list()
    assert of(rows, "p9_0")["limit"] == 100.0
    assert of(rows, "p11_0")["limit"] == 100.0  # the one of day 10 came on day 12
    assert of(rows, "p12_0")["limit"] == 200.0
    assert of(rows, "p19_1")["limit"] is None
    assert of(rows, "p20_1")["limit"] == 300.0
    assert of(rows, "p0_0")["count"] == 0.0  # its own features came with it


def test_every_value_has_a_status(shared: FeatureStore) -> None:
    data = shared.create(CARDS)
    status = dict(data.status("limit").iter_rows())
    found = [status[name] for name in ("p0_0", "p19_1", "p20_1", "p5_2", "p5_3")]
    assert found == ["present", "not_yet_known", "present", "null", "never"]
    assert set(data.status("count")["status"]) == {"present"}
    assert data.manifest.statuses == {
        "velocity_status": {"present": 160},
        "limits_status": dict(data.read()["limits_status"].value_counts().iter_rows()),
    }
    with pytest.raises(NotFound, match=r"did you mean `limit`\?"):
        data.status("limits")


def test_labels_are_those_known_by_the_day(shared: FeatureStore) -> None:
    data = shared.create(LABELLED)
    rows = data.read()

    # a fraud of the last days counts, a genuine payment of them may still be reported
    assert rows.filter("fraud")["id"].to_list() == ["p1_0", "p9_1", "p30_2"]
    assert rows.filter(~pl.col("fraud"))["at"].max() < day(40 - 14)  # type: ignore[operator]  # a time
    assert data.manifest.left_out == {
        "no label": 1,
        "the label came after the day": 1,
        "genuine, but younger than the maturity": 14 * 4 - 1,
    }
    assert len(rows) + sum(data.manifest.left_out.values()) == 160


def test_payments_after_the_day_are_left_out(shared: FeatureStore) -> None:
    wanted = replace(
        CARDS, labels=Labels(column="fraud", group="labels", known_by=day(20), maturity="1d")
    )
    data = shared.create(wanted)
    assert data.manifest.left_out["the payment came after the day"] == 20 * 4
    assert data.read()["at"].max() < day(19)  # type: ignore[operator]  # a time


def test_labels_may_be_a_column_of_the_payments(store: FeatureStore) -> None:
    store.group(
        replace(PAYMENTS, name="log", columns={**PAYMENTS.columns, "fraud": Column("boolean")})
    )
    rows = payments(2).with_columns(fraud=pl.Series([True, False, None, False] * 2))
    store.table("log").write(rows, batch="all")
    data = store.create(
        TrainingSet(
            name="own", of="log", labels=Labels(column="fraud", known_by=day(2), maturity="1d")
        )
    )
    assert data.read()["fraud"].to_list() == [True, False, False, True]
    assert data.manifest.left_out == {"no label": 2, "genuine, but younger than the maturity": 2}
    with pytest.raises(ConfigurationError, match="expected `card_id` to be a time"):
        store.create(
            TrainingSet(
                name="own",
                of="log",
                labels=Labels(column="fraud", arrival="card_id", known_by=day(2)),
            )
        )


def test_parts_by_time_keep_a_gap(shared: FeatureStore) -> None:
    split = Split(parts={"train": 60, "test": 40}, gap="2d")
    data = shared.create(replace(LABELLED, name="by_time", split=split))
    train, test = (data.read(part=part) for part in ("train", "test"))

    assert test["at"].min() - train["at"].max() > timedelta(days=2)  # type: ignore[operator]  # times
    rows = data.read()
    between = rows.filter(pl.col("part").is_null())
    assert between["at"].is_between(train["at"].max(), test["at"].min()).all()
    assert len(between) == len(rows) - len(train) - len(test) == 8
    assert data.manifest.parts == {
        "train": {"payments": len(train), "frauds": int(train["fraud"].sum())},
        "test": {"payments": len(test), "frauds": int(test["fraud"].sum())},
    }
    with pytest.raises(NotFound, match="expected a part of train, test"):
        data.read(part="validation")


def test_a_part_without_payments_is_a_sentence(shared: FeatureStore) -> None:
    split = Split(parts={"train": 1, "test": 99}, gap="30d")
    with pytest.raises(DataError, match="expected payments in each part, got none in `train`"):
        shared.create(replace(CARDS, name="empty", split=split))


def test_random_parts_are_those_of_the_seed(shared: FeatureStore) -> None:
    def made(seed: int) -> list[str]:
        split = Split(parts={"a": 3, "b": 1}, by="random", seed=seed)
        return shared.create(replace(CARDS, name="random", split=split)).read()["part"].to_list()

    assert made(1) == made(1) != made(2)
    assert sorted(made(1)).count("a") == 120


def test_a_version_is_immutable_and_the_latest_is_given(store: FeatureStore) -> None:
    first = store.create(CARDS)
    assert store.create(CARDS).version == first.version  # of the same, the same
    store.table("payments").write(payments(1, begin=40), batch="next")
    second = store.create(CARDS)

    assert (second.version, store.latest("cards").version) == (2, 2)
    assert len(second.read()) == len(first.read()) + 4
    assert [one.label for one in store.datasets()] == ["`cards` version 1", "`cards` version 2"]
    assert [one.number for one in second.manifest.lineage] == [
        store.table(one).version().number for one in ("payments", "velocity", "limits")
    ]


def test_a_dataset_can_be_made_as_of_a_moment(store: FeatureStore) -> None:
    before = store.table("payments").version().written
    for name in ("velocity", "limits", "labels"):
        before = max(before, store.table(name).version().written)
    first = store.create(CARDS)
    store.table("payments").write(payments(1, begin=40), batch="next")
    store.create(CARDS)
    assert store.create(CARDS, as_of=before).manifest.content == first.manifest.content


def test_after_many_commits_a_checkpoint_and_vacuum_the_same_is_made_again(
    store: FeatureStore,
) -> None:
    data = store.create(LABELLED)
    table = store.table("limits")
    for number in range(60):
        table.replace(limits([("c0", number, number, float(number)), ("c9", number, number, None)]))
    table.place.open().create_checkpoint()
    gone = store.vacuum("limits", hours=0)

    assert len(gone) == 59
    assert store.verify("cards").rebuilt
    assert store.verify("cards").kept
    assert len(table.read()) == 2
    with pytest.raises(NotFound, match="was vacuumed"):
        table.read(as_of=table.versions()[5].number)
    assert_frame_equal(store.latest("cards").read(), data.read())


def test_a_column_that_is_added_later_changes_no_dataset(store: FeatureStore) -> None:
    store.create(CARDS)
    wider = store.group(replace(LIMITS, columns={**LIMITS.columns, "frozen": Column("boolean")}))
    wider.write(limits([("c9", 0, 0, 1.0)]).with_columns(frozen=True), batch="wider")
    assert store.verify("cards").rebuilt
    assert "frozen" in store.create(CARDS).read().columns


def test_a_changed_dataset_is_noticed(store: FeatureStore) -> None:
    data = store.create(CARDS)
    data.table.replace(data.read().with_columns(limit=pl.lit(1.0)))
    found = store.verify("cards")
    assert (found.kept, found.rebuilt) == (False, True)


def test_what_others_hold_is_not_deleted(store: FeatureStore) -> None:
    data = store.create(CARDS)
    store.pin(data, "bundle-1")
    with pytest.raises(ConfigurationError, match="the bundle bundle-1 was trained on it"):
        store.delete("cards", 1)
    with pytest.raises(ConfigurationError, match="cards@1 was made of it"):
        store.delete("limits", 1)
    store.release(data, "bundle-1")
    store.delete("cards", 1)
    store.delete("limits", 1)

    assert store.datasets() == []
    assert [one.name for one in store.groups()] == ["labels", "payments", "velocity"]
    assert not Path(data.table.place.uri).exists()
    with pytest.raises(NotFound, match="expected a training dataset"):
        store.latest("cards")
    store.group(LIMITS).write(limits([("c0", 0, 0, 1.0)]), batch="all")
    assert store.create(CARDS).version == 2  # a number is given once


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            replace(CARDS, joined=["velocity", Joined("velocity")]),
            "`count` of `velocity` is there already",
        ),
        (
            replace(CARDS, joined=[Joined("limits", on="card")]),
            r"unknown column `card`: did you mean `card_id`\?",
        ),
        (replace(CARDS, joined=[Joined("limits", on="amount")]), "of different kinds"),
        (
            replace(CARDS, joined=[Joined("limits", on=["card_id", "id"])]),
            "expected 1 columns, got 2",
        ),
        (replace(CARDS, name="payments"), "a group and a dataset cannot have one name"),
        (replace(CARDS, labels=Labels(column="amount", known_by=day(9))), "to be true or false"),
        (
            replace(CARDS, labels=Labels(column="limit", group="limits", known_by=day(9))),
            "keyed as the payments are",
        ),
    ],
)
def test_what_does_not_fit_is_refused(shared: FeatureStore, wanted: TrainingSet, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        shared.create(wanted)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (TrainingSet, {"columns": "amount"}, r"TrainingSet\(columns=…\)"),
        (TrainingSet, {"joined": "limits"}, r"TrainingSet\(joined=…\): expected `array`"),
        (TrainingSet, {"times": (BEGIN.replace(tzinfo=None), None)}, "with a time zone"),
        (Split, {"by": "tyme"}, r"Split\(by=…\)"),
        (Split, {"parts": {"a": "x"}}, r"Split\(parts=…\): expected `float`"),
        (Split, {"parts": {"a": float("inf")}}, "expected a positive share"),
        (Split, {"by": "random", "seed": -1}, "expected 0 or more, got -1"),
        (Labels, {"known_by": "today"}, r"Labels\(known_by=…\)"),
        (Labels, {"maturity": "900000d"}, "less than the time"),
    ],
)
def test_a_definition_of_wrong_types_is_refused_before_it_is_kept(
    kind: Any, given: dict[str, object], said: str
) -> None:
    needed: dict[Any, dict[str, object]] = {
        TrainingSet: {"name": "cards", "of": "payments"},
        Split: {"parts": {"a": 1}},
        Labels: {"column": "fraud", "known_by": BEGIN},
    }
    with pytest.raises(ConfigurationError, match=said):
        kind(**needed[kind] | given)


def test_a_group_can_be_joined_twice_under_prefixes(shared: FeatureStore) -> None:
    twice = [Joined("limits", prefix="a_"), Joined("limits", prefix="b_", columns=["limit"])]
    data = shared.create(replace(CARDS, name="twice", joined=twice))
    assert {"a_limit", "a_limits_status", "b_limit", "b_limits_status"} <= set(data.read().columns)
    assert data.status_of("b_limit") == "b_limits_status"


def test_no_payments_is_said_with_the_reasons(shared: FeatureStore) -> None:
    wanted = replace(CARDS, labels=Labels(column="fraud", group="labels", known_by=day(-1)))
    with pytest.raises(DataError, match="got none: 160 the payment came after the day"):
        shared.create(wanted)


def test_corrections_of_payments_are_no_payments_of_their_own(store: FeatureStore) -> None:
    log = replace(PAYMENTS, name="log", arrival="known")
    rows = payments(1).with_columns(known=pl.col("at"))
    later = rows.with_columns(
        known=pl.col("known") + pl.duration(days=1), amount=pl.lit(0, pl.Int64)
    )
    store.group(log).write(rows, batch="first")
    store.table("log").write(later, batch="corrected")
    data = store.create(TrainingSet(name="own", of="log"))
    assert data.read()["amount"].to_list() == rows["amount"].to_list()
    assert data.manifest.left_out == {"a correction of a payment that is there": 4}
