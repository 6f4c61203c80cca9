"""A service goes on from a snapshot of its state as if it had never stopped; one that does not fit
is left, with a sentence, for history and ledger.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from patience import until
from serve.asking import decide, run
from serve.audit import assert_equal_to_batch, payments, read_ledger
from serve.service import KEY
from shroff.collect import clean
from shroff.errors import BadFile
from shroff.ledger import Ledger
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer
from shroff.serve import server
from shroff.settings import Settings
from shroff.state import Snapshots, rebuild, remove_snapshots

Pay = Callable[..., dict[str, Any]]
NUMBERS = count()


class Place:
    """Where a service keeps its ledger and snapshots."""

    def __init__(self, folder: Path, bundle: Bundle, pay: Pay) -> None:
        self.folder, self.bundle, self.pay = folder, bundle, pay
        self.url = f"sqlite:///{folder / 'ledger.db'}"
        self.kept = folder / "snapshots"

    def start(self, *, key: bytes = KEY, **options: Any) -> Scorer:
        snapshots = Snapshots(self.kept, key, seconds=0)
        given: dict[str, Any] = {
            "bundle": self.bundle,
            "key": KEY,
            "snapshots": snapshots,
        } | options
        scorer = Scorer(ledger=Ledger(self.url), **given)
        scorer.start()
        return scorer

    def file(self) -> Path:
        (found,) = self.kept.glob("*.state")
        return found

    async def traffic(self, scorer: Scorer, many: int) -> None:
        """Payments of a few cards at once, with results and labels, some changed later."""

        async def one(number: int) -> None:
            made = self.pay(
                payment_id=f"s{number}",
                card_id=f"c{number % 7}",
                host_id=f"h{number % 5}",
                amount=float(10 + number),
            )
            await decide(scorer, made)
            if number % 2:
                await scorer.learn("result", f"s{number}", "failed" if number % 3 else "authorised")
            if number % 3 == 0:
                await scorer.learn("label", f"s{number}", number % 2 == 0)
                await scorer.learn("label", f"s{number}", number % 2 == 1)

        await asyncio.gather(*[one(next(NUMBERS)) for _ in range(many)])


@pytest.fixture
def place(tmp_path: Path, bundle: Bundle, pay: Pay) -> Place:
    return Place(tmp_path, bundle, pay)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The sentences about snapshots since it was called last."""

    def sentences() -> list[str]:
        found = [text for text in caplog.messages if "snapshot" in text]
        caplog.clear()
        return found

    caplog.set_level(logging.WARNING)
    return sentences


def test_a_start_reads_the_records_after_the_snapshot(
    place: Place, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # as a ledger that is too long to verify whole
    monkeypatch.setattr("shroff.scoring.check._MAX_WHOLE_RECORDS", 0)
    scorer = place.start()
    run(place.traffic(scorer, 40))
    assert scorer.ledger.commits.end is not None
    end = scorer.ledger.commits.end.seq
    scorer.close()
    seen: list[int] = []
    replay = rebuild.replay

    def noted(engine: Any, entries: Any, **options: Any) -> Any:
        entries = list(entries)
        seen.extend(entry.seq for entry in entries)
        return replay(engine, entries, **options)

    monkeypatch.setattr(rebuild, "replay", noted)
    again = place.start()
    assert (seen, again.started and again.started.records) == ([], end)
    assert again.started is not None
    assert again.started.checked.after == end
    run(place.traffic(again, 20))
    again.close()
    assert said() == []
    entries = read_ledger(place.url)
    assert len(payments(entries)) == 60
    assert_equal_to_batch(place.bundle, entries)


def test_a_snapshot_is_taken_while_payments_go_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shroff.scoring.saving.PORTION_KEYS", 1)
    scorer = place.start()

    async def work() -> None:
        await place.traffic(scorer, 30)
        saving = asyncio.create_task(scorer.save_state())
        while not saving.done():
            await place.traffic(scorer, 3)
        await place.traffic(scorer, 10)

    run(work())
    # as if it were killed: nothing is written at its end
    scorer.ledger.close()
    taken = place.file().read_bytes()
    saved = Snapshots(place.kept, KEY, seconds=0).read(place.file().stem)
    assert saved is not None
    with saved:
        # payments came between the first portion and the last
        assert saved.header.first + 3 < saved.end.head.seq
    again = place.start()
    run(place.traffic(again, 20))
    again.close()
    assert taken != place.file().read_bytes()
    assert_equal_to_batch(place.bundle, read_ledger(place.url))


def damaged(place: Place) -> dict[str, Any]:
    data = bytearray(place.file().read_bytes())
    data[len(data) // 2] ^= 1
    place.file().write_bytes(data)
    return {}


def cut(place: Place) -> dict[str, Any]:
    place.file().write_bytes(place.file().read_bytes()[:-100])
    return {}


def stretched(place: Place) -> dict[str, Any]:
    """A terabyte of nothing behind it, which would take minutes to read."""
    os.truncate(place.file(), 1 << 40)
    return {}


def emptied(place: Place) -> dict[str, Any]:
    place.file().write_bytes(b"")
    return {}


def a_pipe(place: Place) -> dict[str, Any]:
    """Whoever opens it waits until somebody writes to it."""
    file = place.file()
    file.unlink()
    os.mkfifo(file)
    return {}


def another_key(place: Place) -> dict[str, Any]:
    return {"key": bytes(32)}


def another_lateness(place: Place) -> dict[str, Any]:
    return {"lateness": "2d"}


def a_history(place: Place) -> dict[str, Any]:
    raw = pl.DataFrame([place.pay(card_id="c1") for _ in range(3)]).with_columns(
        pl.lit(None, pl.String).alias(name) for name in place.bundle.schema.later
    )
    table = clean(raw, place.bundle.schema, key=KEY).frame
    return {"history": lambda: table}


def an_older_ledger(place: Place) -> dict[str, Any]:
    """The file of the ledger is put back as it was before the last payments."""
    (place.folder / "ledger.db").write_bytes((place.folder / "copy.db").read_bytes())
    return {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (damaged, "it is damaged, or of another installation"),
        (cut, "it is damaged, or of another installation"),
        (stretched, "it is damaged, or of another installation"),
        (emptied, "it is damaged, or of another installation"),
        (a_pipe, "{file}: expected a regular file, got a named pipe"),
        (another_key, "it is damaged, or of another installation"),
        (another_lateness, "it is of other features or another lateness, or ahead of the clock"),
        (a_history, "it began with another history"),
        (an_older_ledger, "the ledger does not have its last record"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_left(
    place: Place,
    said: Callable[[], list[str]],
    change: Callable[[Place], dict[str, Any]],
    why: str,
) -> None:
    scorer = place.start()
    run(place.traffic(scorer, 6))
    scorer.close()
    (place.folder / "copy.db").write_bytes((place.folder / "ledger.db").read_bytes())
    scorer = place.start()
    run(place.traffic(scorer, 2))
    scorer.close()
    assert said() == []
    why, options = why.format(file=place.file()), change(place)
    again = place.start(**options)
    assert said() == [
        f"the snapshot of the state is not used: {why}. The state is rebuilt from history and the "
        "whole ledger."
    ]
    assert again.state.engine.pending == len(payments(read_ledger(place.url))) + (
        3 if "history" in options else 0
    )
    assert list(place.kept.glob("*")) == []
    again.close()


def test_a_table_that_is_as_it_was_is_not_read_again(
    bundle_folder: Path, tmp_path: Path, pay: Pay, caplog: pytest.LogCaptureFixture
) -> None:
    later = {"result": None, "result_at": None, "is_fraud": None, "labelled_at": None}
    rows = [pay(payment_id=f"h{n}", amount=float(n - 1)) | later for n in range(3)]
    table = tmp_path / "history.csv"
    pl.DataFrame(rows).write_csv(table)
    url = f"sqlite:///{tmp_path}/home/ledger.db"
    settings = Settings(home=tmp_path / "home", ledger=url, personal_key=KEY.hex())
    service = server.Service(bundle=bundle_folder, settings=settings, warm=table, max_bad=0.5)

    def start() -> tuple[int, bool, int]:
        """How often the table was read, whether the snapshot was used, and what the state knows."""
        caplog.clear()
        scorer, _ = service.scorer()
        scorer.start()
        known = scorer.state.engine.pending
        scorer.close()
        text = caplog.text
        return text.count("left out 1"), "goes on from its snapshot" in text, known

    caplog.set_level(logging.INFO)
    assert start() == (1, False, 2)
    assert start() == (0, True, 2)
    table.write_bytes(table.read_bytes())
    assert start() == (0, True, 2)
    # the same rows in other bytes are read once; so it is after an upgrade
    pl.DataFrame(rows).write_csv(table, quote_style="always")
    assert start() == (1, True, 2)
    assert start() == (0, True, 2)
    pl.DataFrame([*rows, pay(payment_id="h3") | later]).write_csv(table)
    # to compare it, and to count it
    assert start() == (2, False, 3)
    assert start() == (0, True, 3)
    table.write_text("no table")
    with pytest.raises(BadFile, match=r"history\.csv"):
        server.serve(service, port=0)


@pytest.mark.parametrize("place", [{"snapshot": "0s"}, {"state": "redis://127.0.0.1:1"}])
def test_a_table_is_read_at_once_and_not_hashed_where_no_snapshot_could_spare_that(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any]
) -> None:
    def hashed(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(server, "source_of", hashed)
    settings = Settings(home=tmp_path, personal_key=KEY.hex(), **place)
    # as of a service that had its state in memory
    settings.snapshots.mkdir(parents=True)
    (settings.snapshots / "old.state").touch()
    table = tmp_path / "history.csv"
    table.write_text("no table")
    with pytest.raises(BadFile, match=r"history\.csv"):
        server.Service(bundle=bundle_folder, settings=settings, warm=table).scorer()


def test_who_is_forgotten_is_in_no_snapshot(place: Place, said: Callable[[], list[str]]) -> None:
    scorer = place.start()
    run(place.traffic(scorer, 3))
    scorer.close()
    gone = place.start()
    gone._states._destroyed = lambda: "1-0"
    run(gone.keep_state())
    assert list(place.kept.glob("*")) == []
    gone.close()
    again = place.start()
    assert said()[-1].startswith("the snapshot of the state is not used: people were forgotten")
    again.close()
    assert place.file().exists()
    remove_snapshots(place.kept)
    assert list(place.kept.glob("*")) == []


WRITER = """
import sys
from pathlib import Path
from shroff.features.engines.online.snapshot import Origin, Portion
from shroff.ledger import Head
from shroff.state import Mark, Snapshots
from shroff.state.snapshots import End, Header

origin = Origin(definitions="d", lateness=1, watermark=1)
header = Header(
    origin=origin, ledger="l", destroyed="", currency=None, mark=Mark(0, 0), first=0
)
snapshots = Snapshots(Path(sys.argv[1]), bytes(32), seconds=0)
for number in range(1_000_000):
    with snapshots.begin(header) as writer:
        for _ in range(20):
            writer.add(number, Portion(lines=[("key", [bytes(9_999)])]))
        writer.finish(End(head=Head(number, bytes(32)), arrived=number, newest=number))
"""


def test_a_writer_that_is_killed_leaves_the_last_whole_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, bytes(32), seconds=0)
    part, whole = tmp_path / "l.state.part", tmp_path / "l.state"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) as process:
            until(lambda: whole.exists() and part.exists())
            os.kill(process.pid, signal.SIGKILL)
        found = snapshots.read("l")
        assert found is not None
        assert not part.exists(), "it may hold people who are forgotten later"
        with found:
            # its name may go meanwhile
            whole.unlink()
            assert [mark for mark, _ in found.portions()] == [found.end.head.seq] * 20
