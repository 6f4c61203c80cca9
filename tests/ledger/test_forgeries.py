"""What somebody with the database's password can do to a ledger: each is noticed, and nothing of it
is served.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine

from shroff.errors import BrokenChain, LedgerUnavailable
from shroff.ledger import Entry, Ledger, Outcome
from shroff.ledger.database import HEAD, RECORDS
from shroff.ledger.record import link

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]

_COPY = (
    "INSERT INTO shroff_ledger SELECT {}, 'payment', {}, arrived, time, digest, body, chain "
    "FROM shroff_ledger"
)
_RENAMED = "ALTER TABLE shroff_ledger RENAME TO kept"
_OTHER = "SELECT * FROM kept WHERE seq <> 2"

FORGERIES = {
    "record 0": [_COPY.format("0", "'forged'") + " WHERE seq = 1"],
    "record -5": [_COPY.format("-5", "'forged'") + " WHERE seq = 1"],
    "record 9, behind the last": [_COPY.format("9", "'forged'") + " WHERE seq = 1"],
    "a gap": ["DELETE FROM shroff_ledger WHERE seq = 3"],
    "a gap at the beginning": ["DELETE FROM shroff_ledger WHERE seq = 1"],
    "a gap at the end": ["DELETE FROM shroff_ledger WHERE seq = 5"],
    "everything removed": ["DELETE FROM shroff_ledger"],
    "a changed body": ["UPDATE shroff_ledger SET body = digest WHERE seq = 3"],
    "a changed arrival": ["UPDATE shroff_ledger SET arrived = 7 WHERE seq = 3"],
    "a changed time": ["UPDATE shroff_ledger SET time = 7 WHERE seq = 3"],
    "a changed kind": ["UPDATE shroff_ledger SET kind = 'start' WHERE seq = 3"],
    "a changed id": ["UPDATE shroff_ledger SET payment_id = 'forged' WHERE seq = 3"],
    "a changed digest": ["UPDATE shroff_ledger SET digest = body WHERE seq = 3"],
    "a changed chain": ["UPDATE shroff_ledger SET chain = digest WHERE seq = 3"],
    "two records in each other's place": [
        "UPDATE shroff_ledger SET seq = 99 WHERE seq = 3",
        "UPDATE shroff_ledger SET seq = 3 WHERE seq = 4",
        "UPDATE shroff_ledger SET seq = 4 WHERE seq = 99",
    ],
    "another last record": ["UPDATE shroff_ledger_head SET seq = 4"],
    "the end cut off": [
        "DELETE FROM shroff_ledger WHERE seq > 3",
        "UPDATE shroff_ledger_head SET seq = 3",
    ],
    "a table in another's place": [_RENAMED, f"CREATE TABLE shroff_ledger AS {_OTHER}"],
    "a view in a table's place": [_RENAMED, f"CREATE VIEW shroff_ledger AS {_OTHER}"],
    "a further column": ["ALTER TABLE shroff_ledger ADD COLUMN note text"],
    "an index less": ["DROP INDEX shroff_ledger_payment"],
    "an index that hides": [
        "DROP INDEX shroff_ledger_payment",
        "CREATE UNIQUE INDEX shroff_ledger_payment ON shroff_ledger (payment_id)"
        " WHERE kind = 'payment' AND payment_id <> 'pay-2'",
    ],
    "an index more": ["CREATE INDEX mine ON shroff_ledger (time)"],
}
_TRIGGER = "CREATE TRIGGER mine BEFORE INSERT ON shroff_ledger"
_SPELT = (
    "UPDATE sqlite_master SET sql = replace(sql, '''{}''', '''{}''') WHERE name = "
    "'shroff_ledger_payment'"
)
IN_SQLITE = {
    "a trigger": [_TRIGGER + " BEGIN DELETE FROM shroff_ledger WHERE seq = 1; END"],
    "an index that was filled while it hid": [
        "PRAGMA writable_schema = ON",
        _SPELT.format("payment", "nothing"),
        "REINDEX shroff_ledger_payment",
        _SPELT.format("nothing", "payment"),
    ],
}
_FUNCTION = "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
IN_POSTGRES = {
    "a trigger": [_FUNCTION, f"{_TRIGGER} FOR EACH ROW EXECUTE FUNCTION mine()"],
    "a rule": ["CREATE RULE mine AS ON DELETE TO shroff_ledger DO INSTEAD NOTHING"],
    "a rule of the last record": [
        "CREATE RULE mine AS ON UPDATE TO shroff_ledger_head DO INSTEAD NOTHING"
    ],
    "a policy of row security": ["CREATE POLICY mine ON shroff_ledger USING (seq <> 2)"],
    "a table that inherits": ["CREATE TABLE mine () INHERITS (shroff_ledger)"],
    "a table that a crash empties": ["ALTER TABLE shroff_ledger SET UNLOGGED"],
    "a default": ["ALTER TABLE shroff_ledger ALTER COLUMN time SET DEFAULT 0"],
    "an index that is not valid": [
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
        "'shroff_ledger_payment'::regclass"
    ],
}


@pytest.fixture
def forge(url: str) -> Iterator[Callable[[Sequence[str]], None]]:
    """Runs statements on the ledger's database, as somebody with its password can."""
    if url.startswith("sqlite"):

        def run(statements: Sequence[str]) -> None:
            for statement in statements:
                # one connection each: what SQLite knows of its tables is read anew
                with (
                    closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection,
                    connection,
                ):
                    connection.execute("PRAGMA writable_schema = ON")
                    connection.execute(statement)

        yield run
        return
    engine = create_engine(url)

    def execute(statements: Sequence[str]) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    yield execute
    engine.dispose()


_OF = {"sqlite": FORGERIES | IN_SQLITE, "postgresql": FORGERIES | IN_POSTGRES}


@pytest.mark.parametrize(
    ("url", "name"),
    [(database, name) for database, names in _OF.items() for name in names],
    indirect=["url"],
)
def test_a_forgery_is_noticed(
    url: str, name: str, forge: Callable[[Sequence[str]], None], entry: MakeEntry, written: Write
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(5)])
    Ledger(url).verify()
    if name == "the end cut off":
        # a consistent ledger again, only shorter: `--since` notices what was noted before
        end = "(SELECT chain FROM shroff_ledger WHERE seq = 3)"
        forge([*FORGERIES[name], f"UPDATE shroff_ledger_head SET chain = {end}"])
        assert Ledger(url).verify().seq == 3
        return
    forge(_OF[url.partition(":")[0].partition("+")[0]][name])
    with pytest.raises(BrokenChain, match="the ledger was changed"):
        Ledger(url).verify()


@pytest.mark.parametrize("seq", [0, -5, 9])
def test_what_is_beside_the_chain_is_never_served(
    url: str, seq: int, forge: Callable[[Sequence[str]], None], entry: MakeEntry, written: Write
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(5)])
    kinds = {"payment": "forged", "result": "forged", "label": "forged", "start": "forged"}
    copied = (
        "SELECT {}, '{}', '{}', arrived, time, digest, body, chain FROM shroff_ledger WHERE seq = 1"
    )
    for place, (kind, payment_id) in enumerate(kinds.items()):
        at = seq - place if seq < 1 else seq + place
        forge(["INSERT INTO shroff_ledger " + copied.format(at, kind, payment_id)])
    reader = Ledger(url)
    assert [reader.find("forged", kind) for kind in ("payment", "result", "label")] == [None] * 3
    assert reader.labels("forged") == []
    assert reader.numbers(["forged", "pay-1"]) == {"pay-1": 2}
    assert reader.last_start() is None
    assert [one.seq for one in reader.entries()] == [1, 2, 3, 4, 5]
    assert [one.seq for one in reader.entries(since=0)] == [1, 2, 3, 4, 5]
    reader.close()


def test_a_payment_that_is_there_twice_is_noticed(
    url: str, forge: Callable[[Sequence[str]], None], entry: MakeEntry, written: Write
) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(5)])
        end = ledger.verify()
    again = entry(7, payment_id="pay-2")
    chain = link(end.chain, 6, again)
    forge(["DROP INDEX shroff_ledger_payment"])
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            RECORDS.insert(), {**msgspec.structs.asdict(again), "seq": 6, "chain": chain}
        )
        connection.execute(HEAD.update().values(seq=6, chain=chain))
    engine.dispose()
    with pytest.raises(BrokenChain, match="the index `shroff_ledger_payment` is missing"):
        Ledger(url).verify()


def test_two_last_records_are_noticed(
    url: str, forge: Callable[[Sequence[str]], None], ledger: Ledger
) -> None:
    ledger.close()
    forge(["INSERT INTO shroff_ledger_head SELECT 2, version, seq, chain FROM shroff_ledger_head"])
    with pytest.raises((BrokenChain, LedgerUnavailable)):
        ledger.verify()


def test_other_tables_of_the_database_are_nobody_s_business(
    url: str, forge: Callable[[Sequence[str]], None], ledger: Ledger
) -> None:
    forge(
        [
            "CREATE TABLE mine (name text)",
            "CREATE INDEX mine_too ON mine (name)",
            "CREATE VIEW ours AS SELECT 1",
        ]
    )
    assert ledger.verify().seq == 0


def test_the_tables_are_made_as_they_always_were(file: Path) -> None:
    """Another text of the same tables would make every ledger there is look changed."""
    with Ledger(f"sqlite:///{file}"), closing(sqlite3.connect(file)) as connection:
        made = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    assert [" ".join(sql.split()) for (sql,) in made] == [
        "CREATE INDEX ix_shroff_ledger_arrived ON shroff_ledger (arrived)",
        "CREATE TABLE shroff_ledger ( seq INTEGER NOT NULL, kind TEXT NOT NULL, payment_id TEXT "
        "NOT NULL, arrived BIGINT NOT NULL, time BIGINT NOT NULL, digest BLOB NOT NULL, body "
        "BLOB NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (seq) )",
        "CREATE TABLE shroff_ledger_head ( id INTEGER NOT NULL, version INTEGER NOT NULL, seq "
        "BIGINT NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (id) )",
        "CREATE TABLE shroff_ledger_identity ( id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY "
        "KEY (id) )",
        "CREATE UNIQUE INDEX shroff_ledger_label ON shroff_ledger (payment_id, digest) WHERE kind "
        "= 'label'",
        "CREATE UNIQUE INDEX shroff_ledger_later ON shroff_ledger (payment_id, kind)"
        " WHERE kind <> 'payment' AND kind <> 'label'",
        "CREATE UNIQUE INDEX shroff_ledger_payment ON shroff_ledger (payment_id) WHERE kind = "
        "'payment'",
        "CREATE INDEX shroff_ledger_start ON shroff_ledger (seq) WHERE kind = 'start'",
    ]
