"""Everything that this house keeps of somebody, after `shroff forget`: no file holds them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from commands import answer
from serve.service import KEY, Service
from shroff.act import CaseIntake, Desk
from shroff.act.follow import ledger_name
from shroff.client import Client
from shroff.control import Keys, reading_keyring
from shroff.evaluate.cost import ACTIONS
from shroff.ledger import Ledger
from shroff.monitor import replay_decision
from shroff.package import load
from shroff.store import FeatureStore
from store.world import filled, limits

Pay = Callable[..., dict[str, Any]]
ADA = "card-of-ada"
NOTE = "she was abroad that week"
OTHERS = ("p1", "p2", "p4", "p5")


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, unpacked where its format packs."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()
            if path.suffix == ".parquet":
                yield path.name, pl.read_parquet(path).write_ndjson().encode()
            elif path.suffix == ".zip":
                with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
                    yield from ((name, archive.read(name)) for name in archive.namelist())


def holding(folder: Path) -> set[str]:
    """The files below a folder in which her card or what was said of her is."""
    words = (ADA.encode(), NOTE.encode())
    return {name for name, content in contents(folder) if any(word in content for word in words)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHROFF_PERSONAL_KEY", KEY.hex())
    return tmp_path / "home"


def test_no_file_of_the_house_has_anything_of_them(
    sealed_folder: Path, home: Path, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, exports = f"sqlite:///{home / 'control.db'}", home.parent / "exports"
    exports.mkdir()
    home.mkdir()
    shop = Keys(control).create("shop", ["decide", "label"])
    monkeypatch.setenv("SHROFF_API_KEY", Keys(control).create("dpo", ["forget"]))
    store = filled(FeatureStore(home / "store"))
    store.table("limits").write(limits([(ADA, 1, 1, 5.0)]), batch="ada")

    def told(*words: str | Path) -> dict[str, Any]:
        return answer(*words, home=home)

    with Service(sealed_folder, home, keys=True) as running:
        with Client(running.url, key=shop) as client:
            for n in range(6):
                card = ADA if n % 3 == 0 else f"c{n}"
                client.decide(pay(payment_id=f"p{n}", card_id=card, amount=60.0 + n))
            client.label("p0", True)
        desk = Desk(control)
        ledger = Ledger(running.ledger, keyring=reading_keyring(control))
        bundle = load(sealed_folder)
        intake = CaseIntake(control, str(ledger_name(ledger)), bundle, actions=ACTIONS)
        intake.take(ledger.entries())
        (case,) = (one for one in desk.cases() if one.subject == ADA)
        desk.note(case.id, "bob", note=NOTE)
        # the check can fail: only the ledger's records are sealed before anybody is forgotten
        assert {"control.db-wal", "control.db"} & holding(home)
        assert any(name.endswith(".parquet") for name in holding(home))

        done = told("forget", ADA, "--url", running.url)
        assert done["records"] == {"payment": 2, "label": 1}
        told("cases", "pack", str(case.id), "--out", exports / "case.zip")
        told("ledger", "backup", exports / "ledger.db")
        # the logs before the databases are written over are among the files
        assert (home / "ledger.db-wal").exists()
        assert holding(home) | holding(exports) == set()
    assert holding(home) == set()
    assert told("ledger", "verify")["holds"]
    again = Ledger(running.ledger, keyring=reading_keyring(control))
    for one in OTHERS:
        assert replay_decision(one, again, lambda _: bundle).holds
