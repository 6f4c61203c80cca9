"""One ledger on every database: SQLite always, PostgreSQL when a server can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from patience import PATIENCE
from servers import postgres_schema
from shroff.ledger import Entry, Kind, Ledger, Outcome


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as schema:
        yield schema


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test that needs the SQLite file itself keeps it."""
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger(url) as opened:
        yield opened


@pytest.fixture
def entry() -> Callable[..., Entry]:
    """Makes an entry from a number."""

    def make(
        number: int, *, kind: Kind = "payment", payment_id: str = "", arrived: int | None = None
    ) -> Entry:
        body = f'{{"amount": {number}}}'.encode()
        seen = 1_000 + number if arrived is None else arrived
        return Entry(kind, payment_id or f"pay-{number}", seen, number, sha256(body).digest(), body)

    return make


@pytest.fixture
def written() -> Callable[[Ledger, Sequence[Entry]], list[Outcome]]:
    """Appends entries and waits for the outcome of each."""

    def write(ledger: Ledger, entries: Sequence[Entry]) -> list[Outcome]:
        told: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()

        def done(index: int, outcome: Outcome) -> None:
            told.put((index, outcome))

        for index, entry in enumerate(entries):
            ledger.append(entry, partial(done, index))
        outcomes = dict(told.get(timeout=PATIENCE) for _ in entries)
        return [outcomes[index] for index in range(len(entries))]

    return write


@pytest.fixture
def held(entry: Callable[..., Entry]) -> Callable[[Ledger], Callable[[], None]]:
    """Keeps the writer busy with a first entry until the returned function is called."""

    def hold(ledger: Ledger) -> Callable[[], None]:
        reached, release = Event(), Event()

        def done(_: Outcome) -> None:
            reached.set()
            release.wait(PATIENCE)

        ledger.append(entry(0), done)
        assert reached.wait(PATIENCE)
        return release.set

    return hold
