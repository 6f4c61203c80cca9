"""Reference tables replaced while the service runs: by whom and why, noticed within seconds, told
again by a replay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commands import answer
from patience import until
from serve.audit import body, payments, read_ledger
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from serve.service import Service
from shroff import ReferenceTable, lookup
from shroff.client import Client
from shroff.collect.tables import LookupTable
from shroff.control import LiveTables, StoredTables, in_force
from shroff.errors import BadFile, ConfigurationError, NotFound
from shroff.ledger import Ledger
from shroff.monitor import replay_decision
from shroff.package import load, save

Pay = Callable[..., dict[str, Any]]
Shroff = Callable[..., dict[str, Any]]


def risk(value: float, name: str = "mcc", column: str = "mcc_risk") -> ReferenceTable:
    return ReferenceTable.of(name, [{"mcc": "5411", column: value}], key="mcc", numeric=[column])


OWN = risk(0.1)
TABLED = msgspec.structs.replace(SCHEMA, tables=[OWN], lookups=[lookup("mcc_risk", on="mcc")])


@pytest.fixture
def bundle(model: bytes, tmp_path: Path) -> Path:
    save(make_bundle(model, schema=TABLED.with_keys(VELOCITY.key_columns)), tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def shroff(tmp_path: Path) -> Shroff:
    """Runs `shroff tables …` over the control database of a service at home in `tmp_path`."""
    return partial(answer, "tables", home=tmp_path)


def written(folder: Path, text: str) -> str:
    (folder / "new.csv").write_text(text)
    return str(folder / "new.csv")


def marks(tables: Iterable[LookupTable]) -> list[str]:
    return [table.mark for table in tables]


def check_kept(store: StoredTables) -> None:
    """The last replacement of each name holds, for bundles whose columns it has; all are kept."""
    live, places = LiveTables(store), risk(7, name="places")
    made = [
        store.replace(risk(1), by="ada", note="May", name="mcc"),
        store.replace(places, by="bo", name="places"),
        store.replace(risk(2), by="ada", name="mcc"),
    ]
    assert [one.record for one in made] == store.records()
    live.refresh()
    assert marks(live.now([OWN, risk(5, name="places")])) == marks([risk(2), places])
    assert marks(live.now([OWN])) == [risk(2).mark]
    # one without the bundle's columns does not apply to it
    assert live.now([risk(3, column="other")]) == (risk(3, column="other"),)
    store.replace(None, by="ada", name="mcc")
    live.refresh()
    live.refresh()
    assert marks(live.now([OWN, risk(5, name="places")])) == marks([OWN, places])
    assert in_force({one.name: store.table(one) for one in store.latest()}, [OWN]) == (OWN,)


def test_the_last_replacement_of_each_name_holds(tmp_path: Path) -> None:
    store = StoredTables(f"sqlite:///{tmp_path / 'control.db'}")
    assert store.latest() == []
    check_kept(store)
    with pytest.raises(ConfigurationError, match="500 characters"):
        store.replace(OWN, by="ada", note="x" * 501, name="mcc")


def check_kept_once(store: StoredTables, count: Callable[[str], int]) -> None:
    """A table that is put again is no copy, and is the value that a service has already."""
    live = LiveTables(store)
    for value in (1, 2, 1):
        store.replace(risk(value), by="ada", name="mcc")
    live.refresh()
    first = live.tables["mcc"]
    store.replace(risk(1), by="bo", note="again", name="mcc")
    live.refresh()
    assert live.tables["mcc"] is first
    assert count("SELECT count(*) FROM shroff_table_content") == 2
    assert [one.made_by for one in store.records()] == ["ada", "ada", "ada", "bo"]


def test_a_table_that_is_put_again_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path = StoredTables(f"sqlite:///{tmp_path / 'control.db'}"), tmp_path / "control.db"

    def count(query: str) -> int:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute(query).fetchone()[0])

    check_kept_once(store, count)
    # the history reads no table
    monkeypatch.setattr(store, "_decode", None)
    assert [one.rows for one in store.records()] == [1] * 4


def test_what_an_earlier_release_kept_is_marked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "control.db"
    store = StoredTables(f"sqlite:///{path}")
    store.replace(None, by="ada", name="mcc")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO shroff_tables (content, made_by, made_at, name) VALUES (?, 'b', 7, 'mcc')",
            [msgspec.json.encode(risk(3)).decode()],
        )
        connection.commit()
    assert store.table(store.latest()[0]) == risk(3)
    reset, kept = store.records()
    assert (reset.mark, reset.rows, kept.mark, kept.rows) == (None, None, risk(3).mark, 1)
    monkeypatch.setattr(store, "_decode", None)
    assert store.records() == [reset, kept]


def test_postgresql_keeps_them_too(postgres_server: str) -> None:
    check_kept(StoredTables(postgres_server))


def test_tables_are_replaced_while_the_service_runs(
    bundle: Path, tmp_path: Path, pay: Pay, shroff: Shroff
) -> None:
    shown = shroff("show", "--bundle", str(bundle))["tables"]
    assert shown == [
        {
            "name": "mcc",
            "mark": OWN.mark,
            "rows": 1,
            "key": "mcc",
            "columns": "mcc_risk",
            "replaced": False,
        }
    ]
    sent = iter(range(100_000))

    def found(service: Service, client: Client) -> Any:
        """The risk of groceries to the service now."""
        client.decide(pay(payment_id=f"p{next(sent)}", mcc="5411", card_id="c9"))
        return body(payments(read_ledger(service.ledger))[-1])["payment"]["values"]["mcc_risk"]

    with Service(bundle, tmp_path) as service, Client(service.url) as client:
        assert found(service, client) == 0.1
        file = written(tmp_path, "mcc,mcc_risk,more\n5411,0.5,x\n")
        made = shroff("replace", "mcc", file, "--note", "May", "--bundle", str(bundle))
        assert (made["id"], made["name"], made["note"], made["rows"]) == (1, "mcc", "May", 1)
        until(lambda: found(service, client) == 0.5)
        (now,) = shroff("show", "--bundle", str(bundle))["tables"]
        assert (now["mark"], now["replaced"]) == (made["mark"], True)
        shroff("reset", "mcc", "--bundle", str(bundle))
        until(lambda: found(service, client) == 0.1)
    assert [one["mark"] for one in shroff("history")["replacements"]] == [made["mark"], None]
    records = payments(read_ledger(service.ledger))
    assert {tuple(body(one)["payment"]["tables"]) for one in records} == {
        (OWN.mark,),
        (made["mark"],),
    }
    # each decision is made again by the tables of then
    store, used = StoredTables(f"sqlite:///{tmp_path / 'control.db'}"), load(bundle)
    then = next(one.payment_id for one in records if made["mark"] in body(one)["payment"]["tables"])
    for payment_id in ("p0", then):
        ledger = Ledger(service.ledger)
        assert replay_decision(payment_id, ledger, lambda version: used, tables=store.marked).holds
    with pytest.raises(NotFound, match="nor were ever put in place"):
        replay_decision(then, Ledger(service.ledger), lambda version: used)
    # a service that starts anew begins with what was put in place
    shroff("replace", "mcc", written(tmp_path, "mcc,mcc_risk\n5411,2\n"), "--bundle", str(bundle))
    with Service(bundle, tmp_path) as service, Client(service.url) as client:
        assert found(service, client) == 2.0


@pytest.mark.parametrize(
    ("words", "text", "error", "sentence"),
    [
        (("replace", "mc"), "mcc,mcc_risk\n1,2\n", NotFound, "no table `mc`: did you mean `mcc`"),
        (
            ("replace", "mcc"),
            "mcc,risk\n1,2\n",
            BadFile,
            "expected a column `mcc_risk`, found none",
        ),
        (("reset", "bins"), "", NotFound, "no table `bins`; there are mcc"),
    ],
)
def test_what_is_no_such_table_is_refused(
    bundle: Path,
    tmp_path: Path,
    shroff: Shroff,
    words: tuple[str, ...],
    text: str,
    error: type[Exception],
    sentence: str,
) -> None:
    file = [written(tmp_path, text)] if text else []
    with pytest.raises(error, match=sentence):
        shroff(*words, *file, "--bundle", str(bundle))


def test_a_table_without_a_column_that_is_looked_up_is_refused(
    model: bytes, tmp_path: Path, shroff: Shroff
) -> None:
    table = ReferenceTable.of("mcc", [{"mcc": "5411", "family": "food"}], key="mcc")
    schema = msgspec.structs.replace(SCHEMA, tables=[table], lookups=[lookup("family", on="mcc")])
    save(make_bundle(model, schema=schema.with_keys(VELOCITY.key_columns)), tmp_path / "bundle")
    with pytest.raises(BadFile, match="the columns that the table `mcc` has, `family`"):
        shroff(
            "replace",
            "mcc",
            written(tmp_path, "mcc,other\n1,2\n"),
            "--bundle",
            str(tmp_path / "bundle"),
        )


def test_a_model_that_looks_nothing_up_has_no_tables(
    model: bytes, tmp_path: Path, shroff: Shroff
) -> None:
    save(make_bundle(model), tmp_path / "plain")
    with pytest.raises(ConfigurationError, match="looks nothing up"):
        shroff("show", "--bundle", str(tmp_path / "plain"))
