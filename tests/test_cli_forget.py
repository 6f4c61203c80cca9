"""`shroff forget`, as it is typed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from commands import answer, run
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from shroff.collect.personal import tokenizer
from shroff.control import Lists
from shroff.errors import ConfigurationError, DataError, LedgerUnavailable, NotFound
from shroff.package import save
from shroff.serve.server import Service
from shroff.settings import Settings


def test_forget_says_what_it_did_and_what_it_needs(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SHROFF_HOME", str(home))
    with pytest.raises(ConfigurationError, match="a SUBJECT, or an age"):
        run("forget")
    with pytest.raises(ConfigurationError, match=r"nothing in the ledger is sealed: name"):
        run("forget", "ada")
    schema = SCHEMA.with_keys(VELOCITY.key_columns)
    # a personal column: the command gets the raw value and the ledger has its token
    made = make_bundle(model, schema=msgspec.structs.replace(schema, subject="email"))
    save(made, tmp_path / "bundle")
    service = Service(bundle=tmp_path / "bundle", settings=Settings.read(), keys=False)
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
    found = answer("forget", "ada@example.org", "--dry-run")
    assert (found["records"], found["forgotten"]) == ({"payment": 1}, False)
    with pytest.raises(LedgerUnavailable, match="another process writes it"):
        run("forget", "ada@example.org")
    scorer.close()
    assert answer("ledger", "verify")["records"] == 4
    assert "no record of a forgetting" in run("ledger", "forgettings")
    theirs = tmp_path / "ada.jsonl"
    told = answer("ledger", "subject", "ada@example.org", "--out", theirs)
    assert told["records"] == {"payment": 1}
    (kept,) = map(json.loads, theirs.read_text().splitlines())
    assert (kept["payment_id"], kept["body"]["payment"]["values"]["card_id"]) == ("p0", "c0")
    assert (theirs.stat().st_mode & 0o777, kept["body"]["action"]) == (0o600, "approve")
    with monkeypatch.context() as another:
        another.setenv("SHROFF_PERSONAL_KEY", "ab" * 16)
        for words in (("forget", "ada@example.org"), ("ledger", "subject", "ada", "--out", theirs)):
            with pytest.raises(DataError, match="nobody could be found by it"):
                run(*words)
        settings = Settings.read()
        stranger, _ = Service(bundle=tmp_path / "bundle", settings=settings, keys=False).scorer()
        with pytest.raises(DataError, match=r"Put `personal\.key` back"):
            stranger.start()
    token = tokenizer(Settings.read().hmac_key())("ada@example.org")
    Lists(Settings.read().control).edit("blocked", token, "add", by="ada")
    said = run("forget", "ada@example.org")
    assert "Edits of lists have this value, and stay: blocked." in said
    assert "1 records of the kind payment can no longer be read." in said
    assert "backups of the control database" in said
    assert answer("ledger", "verify")["records"] == 6
    with pytest.raises(NotFound, match="nobody with this value"):
        run("ledger", "subject", "ada@example.org", "--out", tmp_path / "gone.jsonl")
    assert not (tmp_path / "gone.jsonl").exists()
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
