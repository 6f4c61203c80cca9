"""Somebody is forgotten: no file under the store holds them, and what stays is as it was without
them.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from shroff.errors import NotFound, StoreUnavailable
from shroff.store import Column, FeatureStore, Labels, TrainingSet
from shroff.store.build import build as make
from shroff.store.groups import Groups
from store.world import LIMITS, day, filled, limits, payments

CARDS = TrainingSet(
    name="cards",
    of="payments",
    joined=["velocity", "limits"],
    labels=Labels(column="fraud", group="labels", known_by=day(40), maturity="14d"),
)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return filled(FeatureStore(tmp_path / "store"))


def holding(root: str, text: str) -> list[str]:
    """The files under a root in which a text is: in quotes in the log, or as a value in a Parquet
    file.
    """
    found = []
    quoted = re.compile(rf'"{text}\\*"'.encode())
    for path in Path(root).rglob("*"):
        if path.is_file() and quoted.search(path.read_bytes()):
            found.append(path.name)
        elif path.suffix == ".parquet" and "_delta_log" not in path.parts:
            texts = pl.read_parquet(path).select(pl.selectors.string())
            if texts.select(pl.any_horizontal(pl.all().is_in([text]))).to_series().any():
                found.append(path.name)
    return found


def write_to_each(store: FeatureStore) -> None:
    for group in store.groups():
        table = store.table(group.name)
        table.replace(table.read())


def test_nothing_holds_them_in_any_version(store: FeatureStore) -> None:
    table = store.table("limits")
    table.replace(limits([("c1", 1, 1, 5.0), ("c7", 1, 1, 6.0)]))
    table.write(limits([("c7", 2, 2, 7.0), ("c8", 2, 2, 8.0)]), batch="later")
    data = store.create(CARDS)
    before = {one.number: len(table.read(as_of=one.number)) for one in table.versions()}
    assert holding(store.root, "c1")
    found = store.forget("card_id", "c1")

    assert holding(store.root, "c1") == []
    assert holding(store.root, "p7_1") == []  # a payment of theirs
    assert found.groups == {"labels@1": 40, "limits@1": 2, "payments@1": 40, "velocity@1": 40}
    assert list(found.datasets) == ["cards@1"]
    again = store.table("limits")
    after = {one.number: len(again.read(as_of=one.number)) for one in again.versions()}
    assert after == {number: rows - 1 for number, rows in before.items()}
    assert [(one.batch, one.written) for one in again.versions()] == [
        (one.batch, one.written) for one in table.versions() or again.versions()
    ]
    assert store.verify("cards").kept
    assert store.verify("cards").rebuilt
    rest = data.manifest.rows - found.datasets["cards@1"]
    assert (store.latest("cards").version, store.latest("cards").manifest.rows) == (1, rest)


def test_what_is_held_of_somebody_is_what_would_be_erased(store: FeatureStore) -> None:
    store.create(CARDS)
    found, held = store.forget("card_id", "c1", dry_run=True), store.held("card_id", ["c1"])
    assert {name: len(rows) for name, rows in held.items()} == found.groups | found.datasets
    assert {*held["cards@1"]["card_id"]} == {*held["limits@1"]["card_id"]} == {"c1"}


def test_the_record_names_nobody(store: FeatureStore) -> None:
    store.forget("card_id", "c1")
    assert [(one.column, one.groups["limits@1"]) for one in store.erasures()] == [("card_id", 1)]
    assert holding(store.root, "c1") == []


def test_others_stay_as_they_were(store: FeatureStore) -> None:
    store.create(CARDS)
    expected = store.latest("cards").read().filter(pl.col("card_id") != "c1").drop("count")
    store.forget("card_id", "c1")
    assert store.latest("cards").read().drop("count").equals(expected)


def test_only_counting_changes_nothing(store: FeatureStore) -> None:
    data = store.create(CARDS)
    found = store.forget("card_id", "c1", dry_run=True)
    assert (found.groups["payments@1"], found.at) == (40, None)
    assert store.verify("cards").kept
    assert len(store.table("payments").read()) == 160
    assert store.erasures() == []
    assert data.table.place.exists()


def test_a_batch_that_held_them_is_not_written_again(store: FeatureStore) -> None:
    store.forget("card_id", "c1")
    told = [("c0", 0, 0, 100.0), ("c0", 10, 12, 200.0), ("c1", 0, 20, 300.0), ("c2", 0, 0, None)]
    table = store.table("limits")
    table.write(
        limits([(card, at, loaded, limit) for card, at, loaded, limit in told]), batch="all"
    )
    assert table.read().filter(card_id="c1").is_empty()
    table.write(limits([("c3", 0, 0, 1.0)]), batch="next")
    assert table.version().number == 2


def test_versions_and_columns_go_on_as_they_were(store: FeatureStore) -> None:
    wider = store.group(replace(LIMITS, columns={**LIMITS.columns, "frozen": Column("boolean")}))
    wider.write(
        limits([("c1", 30, 30, 1.0), ("c3", 30, 30, 2.0)]).with_columns(frozen=True), batch="wider"
    )
    wider.replace(limits([("c3", 31, 31, 3.0)]).with_columns(frozen=False))
    store.vacuum("limits", hours=0)
    store.forget("card_id", "c1")
    table = store.table("limits")

    assert [(one.number, one.gone) for one in table.versions()] == [
        (3, False),
        (2, True),
        (1, True),
    ]
    assert table.read()["frozen"].to_list() == [False]
    with pytest.raises(NotFound, match="version 2 was vacuumed"):
        table.read(as_of=2)


def test_stopped_it_goes_on(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after each step that can be seen from outside; done again it is done."""
    data = store.create(CARDS)
    handle = store.table("limits")
    for name in ("reserve", "move", "sweep"):

        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Groups, name, stopped)
        with pytest.raises(KeyboardInterrupt):
            store.forget("card_id", "c1")
        monkeypatch.undo()
        if name == "reserve":
            with pytest.raises(StoreUnavailable, match="without somebody who is forgotten"):
                write_to_each(store)
    found = store.forget("card_id", "c1")

    assert holding(store.root, "c1") == []
    assert found.groups == {}
    assert store.verify("cards").rebuilt
    assert len(store.latest("cards").read()) < len(payments())
    assert not data.table.place.exists()
    with pytest.raises(NotFound):
        handle.write(limits([("c9", 0, 0, 1.0)]), batch="by an old handle")


def test_a_dataset_that_is_made_meanwhile_is_not_kept(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*words: object) -> object:
        built = make(*words)  # type: ignore[arg-type]  # as it was called
        monkeypatch.undo()
        store.forget("card_id", "c1")
        return built

    monkeypatch.setattr("shroff.store.datasets.build", slow)
    with pytest.raises(StoreUnavailable, match="somebody was forgotten meanwhile"):
        store.create(CARDS)
    assert store.datasets() == []
    assert holding(store.root, "c1") == []
    assert store.create(CARDS).version == 1


def test_whole_numbers_are_found_too(store: FeatureStore) -> None:
    group = replace(
        LIMITS,
        name="numbers",
        key="account",
        columns={"account": Column("integer"), "x": Column("text")},
    )
    rows = (
        limits([("c", 0, 0, 1.0), ("c", 1, 1, 1.0)])
        .select("at", "loaded")
        .with_columns(account=pl.Series([7, 77]), x=pl.lit("y"))
    )
    store.group(group).write(rows, batch="all")
    assert store.forget("account", "7").groups == {"numbers@1": 1}
    assert store.table("numbers").read()["account"].to_list() == [77]


def test_an_unknown_column_is_a_sentence(store: FeatureStore) -> None:
    with pytest.raises(NotFound, match="found none `cards`"):
        store.forget("cards", "c1")
    assert store.forget("card_id", "c77").groups == {}
