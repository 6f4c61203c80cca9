"""`shroff forget`, as it is typed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl
import pytest

from commands import answer, run
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from shroff.act import CaseIntake, Desk
from shroff.cli.proposals import person, proposals
from shroff.collect.personal import tokenizer
from shroff.collect.tables import ReferenceTable
from shroff.control import Lists, StoredTables, reading_keyring
from shroff.control.changes import ListChange
from shroff.errors import ConfigurationError, DataError, LedgerUnavailable, NotFound
from shroff.ledger import Ledger
from shroff.package import Bundle, load, save
from shroff.scoring import Scorer
from shroff.serve.server import Service
from shroff.settings import Settings
from shroff.store import Column, Group, open_store


def decided(model: bytes, folder: Path, *, subject: str) -> tuple[Bundle, Scorer]:
    """A bundle whose payments have a subject, and what has decided three of them."""
    schema = SCHEMA.with_keys(VELOCITY.key_columns)
    made = make_bundle(model, schema=msgspec.structs.replace(schema, subject=subject))
    save(made, folder / "bundle")
    service = Service(bundle=folder / "bundle", settings=Settings.read(), keys=False)
    scorer, _ = service.scorer()
    scorer.start()

    async def decide() -> None:
        for number, email in enumerate(["ada@example.org", "bob@example.org", None]):
            payment = {
                "payment_id": f"p{number}",
                "created_at": "2026-11-29T12:00:00Z",
                "amount": 80.0,
                "currency": "EUR",
                "card_id": f"c{number}",
                "merchant_id": "m1",
                "email": email,
            }
            await scorer.decide(msgspec.json.encode(payment))

    asyncio.run(decide())
    return load(folder / "bundle"), scorer


def test_forget_says_what_it_did_and_what_it_needs(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SHROFF_HOME", str(home))
    with pytest.raises(ConfigurationError, match="a SUBJECT, or an age"):
        run("forget")
    with pytest.raises(ConfigurationError, match=r"nothing in the ledger is sealed: name"):
        run("forget", "ada")
    # a personal column: the command gets the raw value and the ledger has its token
    _, scorer = decided(model, tmp_path, subject="email")
    found = answer("forget", "ada@example.org", "--dry-run")
    assert (found["records"], found["forgotten"]) == ({"payment": 1}, False)
    with pytest.raises(LedgerUnavailable, match="another process writes it"):
        run("forget", "ada@example.org")
    scorer.close()
    assert answer("ledger", "verify")["records"] == 4
    assert "no record of a forgetting" in run("ledger", "forgettings")
    theirs = tmp_path / "ada.jsonl"
    told = answer("ledger", "subject", "ada@example.org", "--out", theirs)
    assert (told["records"], told["held_in"]) == ({"payment": 1}, {"ledger": 1})
    (kept,) = map(json.loads, theirs.read_text().splitlines())
    assert (kept["payment_id"], kept["body"]["payment"]["values"]["card_id"]) == ("p0", "c0")
    assert (theirs.stat().st_mode & 0o777, kept["body"]["action"]) == (0o600, "approve")
    with monkeypatch.context() as another:
        another.setenv("SHROFF_PERSONAL_KEY", "ab" * 16)
        for words in (
            ("forget", "ada@example.org"),
            ("ledger", "subject", "ada", "--out", tmp_path / "o"),
        ):
            with pytest.raises(DataError, match="nobody could be found by it"):
                run(*words)
        settings = Settings.read()
        stranger, _ = Service(bundle=tmp_path / "bundle", settings=settings, keys=False).scorer()
        with pytest.raises(DataError, match=r"Put `personal\.key` back"):
            stranger.start()
    token = tokenizer(Settings.read().hmac_key())("ada@example.org")
    run("publish", tmp_path / "bundle")
    several = ListChange(name="blocked", value="bob", action="add", more=("ada@example.org",))
    drafted = proposals().propose_edit(several, by=person())
    proposals().withdraw(drafted.id, by=person())
    assert answer("forget", "ada@example.org", "--dry-run")["lists"] == ["blocked"]
    assert answer("forget", "eve@example.org", "--dry-run")["lists"] == []
    Lists(Settings.read().control).edit("blocked", token, "add", by="ada")
    said = run("forget", "ada@example.org")
    assert "Edits of lists, made or proposed, have this value, and stay: blocked." in said
    assert "1 record of the kind payment can no longer be read." in said
    assert "backups of the control database" in said
    assert answer("ledger", "verify")["records"] == 6
    with pytest.raises(NotFound, match="nothing of anybody with this value"):
        run("ledger", "subject", "bert@example.org", "--out", tmp_path / "gone.jsonl")
    assert not (tmp_path / "gone.jsonl").exists()
    kept = answer("ledger", "subject", "ada@example.org", "--out", tmp_path / "kept.jsonl")
    assert (kept["records"], kept["held_in"]) == ({}, {"lists": 1, "proposals": 1})
    with monkeypatch.context() as away:
        away.setenv("SHROFF_LEDGER", f"sqlite:///{tmp_path}/away.db")
        with pytest.raises(LedgerUnavailable, match=r"away\.db: there is no such file"):
            run("ledger", "subject", "ada@example.org", "--out", tmp_path / "gone.jsonl")
    (told,) = answer("ledger", "forgettings")["forgettings"]
    assert (told["record"], told["records"], told["traces"]) == (6, {"payment": 1}, True)
    assert "1 payment" in run("ledger", "forgettings")
    assert answer("forget", "ada@example.org")["records"] == {}
    assert "Nobody with this value is in the ledger." in run("forget", "nobody")
    # by age: months that are over, which the forgetting ended for all that was before it
    assert answer("forget", "--older-than", "1d")["periods"] == []
    counted = run("forget", "--older-than", "1d", "--dry-run")
    assert "The keys of 0 periods could no longer be used." in counted
    with pytest.raises(ConfigurationError, match="none that a payment can have"):
        run("forget", "\udcff")


def test_all_that_is_held_of_a_subject_is_written_once_and_over_no_file(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))
    bundle, scorer = decided(model, tmp_path, subject="card_id")
    scorer.close()
    settings = Settings.read()
    ledger = Ledger(settings.ledger, keyring=reading_keyring(settings.control))
    action: Literal["approve"] = "approve"
    first, *others = (one for one in ledger.entries() if one.kind == "payment")
    for column, entries in (("card_id", [first]), ("merchant_id", others)):
        intake = CaseIntake(settings.control, column, bundle, by=column, actions=(action,))
        intake.take(entries)
    desk = Desk(settings.control)
    (mine,) = desk.cases(subject="c0")
    desk.note(mine.id, "eva", note="called, says it was her")
    token = tokenizer(settings.hmac_key())
    lists = Lists(settings.control)
    for value in ("c0", token("ada@example.org"), "c1"):
        lists.edit("blocked", value, "add", by="eva")
    risks = [{"card": "c0", "risk": 1.0}, {"card": "c1", "risk": 2.0}]
    table = ReferenceTable.of("cards", risks, key="card", numeric=["risk"])
    StoredTables(settings.control).replace(table, by="eva", name="cards")
    limits = Group(
        name="limits", key="card_id", time="at", columns={"limit": Column("number", unit="EUR")}
    )
    at = datetime(2026, 5, 4, tzinfo=UTC)
    rows = pl.DataFrame({"card_id": ["c0", "c1"], "at": [at, at], "limit": [500.0, 9.0]})
    open_store().group(limits).write(rows, batch="1")
    answered = answer("ledger", "subject", "c0", "--out", tmp_path / "c0.jsonl")
    assert answered["held_in"] == {"ledger": 1, "cases": 1, "lists": 2, "tables": 1, "store": 1}
    assert any("backups" in place for place in answered["not_searched"])
    held = [json.loads(line) for line in (tmp_path / "c0.jsonl").read_text().splitlines()]
    _, case, first_edit, second_edit, risk, limit = held
    assert [one["payment_id"] for one in case["payments"]] == ["p0"]
    assert case["steps"][-1]["note"] == "called, says it was her"
    assert [first_edit["value"], second_edit["value"]] == ["c0", token("ada@example.org")]
    assert (risk["row"], limit["row"]["limit"]) == ({"card": "c0", "risk": 1.0}, 500.0)
    with pytest.raises(ConfigurationError, match=r"a new file for `--out`, got .* there already"):
        run("ledger", "subject", "c1", "--out", tmp_path / "c0.jsonl")
    assert "Not searched: bundles" in run("ledger", "subject", "c1", "--out", tmp_path / "c1")
    held = [json.loads(line) for line in (tmp_path / "c1").read_text().splitlines()]
    (shared,) = (one for one in held if one["held_in"] == "cases")
    assert shared["case"]["subject"] == "m1"
    assert [one["payment_id"] for one in shared["payments"]] == ["p1"]
