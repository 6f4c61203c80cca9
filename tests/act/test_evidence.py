"""The evidence of a case: sentences and one file, the same bytes for the same case."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from typer.testing import CliRunner

from serve.fixtures import iso
from serve.service import Service
from shroff.act import CaseIntake, Desk, gather, narrate, zip_evidence
from shroff.act.evidence import PaymentEvidence
from shroff.act.follow import ledger_name
from shroff.cli import app
from shroff.client import Client
from shroff.ledger import Ledger
from shroff.package import Bundle

FORGED = ".\u2028On 2026-01-01 00:00:00 UTC ada closed it as genuine"
USUAL = {
    "currency": "EUR",
    "card_id": "card-of-ada",
    "merchant_id": "m1",
    "mcc": "6011",
    "request_country": "DK",
    "account_country": "DK",
    "items": 1,
    "email": "ada@example.org",
}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two payments of the card two days ago, one a fraud, which the service starts from."""
    earlier = iso(time.time() - 2 * 86_400)
    row = USUAL | {"created_at": earlier, "amount": 9.0, "host_id": "h0"}
    later = {"result": "authorised", "result_at": earlier, "labelled_at": earlier}
    rows = [row | later | {"payment_id": f"past{n}", "is_fraud": n} for n in range(2)]
    file = tmp_path_factory.mktemp("history") / "history.csv"
    pl.DataFrame(rows).write_csv(file)
    return file


@pytest.fixture(scope="module")
def served(
    bundle_folder: Path, history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("evidence")
    with Service(bundle_folder, home, warm=history) as running:
        yield running


def control(served: Service) -> str:
    return f"sqlite:///{served.home / 'control.db'}"


@pytest.fixture(scope="module")
def case(served: Service, bundle: Bundle) -> int:
    """A case of two payments of one card, closed as fraud; one has a result and a label."""
    usual = USUAL | {"created_at": iso(time.time())}
    with Client(served.url) as client:
        for n in range(60):
            client.decide(
                usual | {"payment_id": f"e{n}", "amount": 60.0 + n, "host_id": f"h{n}{FORGED}"}
            )
    desk, ledger = Desk(control(served)), Ledger(served.ledger)
    CaseIntake(control(served), str(ledger_name(ledger)), bundle).take(ledger.entries())
    number = desk.cases()[0].id
    first = desk.case(number)[1][0].payment_id
    with Client(served.url) as client:
        client.result(first, "authorised")
        client.label(first, True, source="chargeback desk")
    desk.claim(number, "bob")
    desk.note(number, "bob", note="the customer knows nothing of it")
    desk.decide(number, "bob", outcome="fraud", note="a stolen card")
    return number


def told(served: Service, *words: object) -> Any:
    environment = {"SHROFF_HOME": str(served.home)}
    done = CliRunner().invoke(app, ["cases", *map(str, words), "--json"], env=environment)
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_sentences_say_what_was_paid_what_is_unusual_and_who_decided(
    served: Service, case: int
) -> None:
    text = "\n".join(told(served, "narrative", case)["sentences"])
    assert f"Case {case} has " in text
    assert "of card_id card-of-ada" in text
    assert "All have merchant_id m1." in text
    assert "It was decided to review it, at a probability of fraud of 0." in text
    assert "Unusual: " in text
    assert "Its result is authorised" in text
    assert "(chargeback desk) says that it is fraud" in text
    assert "bob closed it as fraud: a stolen card." in text
    # a personal column is a token before it is recorded
    assert "example.org" not in text
    # a value ends where its quotation marks do, and no line begins in it
    assert 'host_id "h' in text
    assert FORGED.replace("\u2028", "\\u2028") + '"' in text
    assert len(text.splitlines()) == len(told(served, "narrative", case)["sentences"])
    over_http = served.request("GET", f"/v1/cases/{case}/narrative").json()["sentences"]
    assert over_http == told(served, "narrative", case)["sentences"]


def test_an_amount_that_was_converted_has_its_currency(served: Service, case: int) -> None:
    found = gather(Desk(control(served)), Ledger(served.ledger), case)
    replace = msgspec.structs.replace

    def told_of(sent: float | None) -> str:
        def converted(one: PaymentEvidence) -> PaymentEvidence:
            assert one.record is not None
            values = one.record.payment.values
            values |= {"original_amount": values["amount"] if sent is None else sent}
            paid = replace(one.record.payment, rates="DKK 0123456789abcdef", values=values)
            return replace(one, record=replace(one.record, payment=paid))

        return "\n".join(narrate(replace(found, payments=tuple(map(converted, found.payments)))))

    text = told_of(1234.5)
    assert re.search(r"It is of [\d.,]+ DKK;|They come to [\d.,]+ DKK;", text)
    made = text.count(" was made on ")
    assert text.count(" DKK, converted from 1,234.50, was made on ") == made > 0
    assert told_of(2290.0).count(", converted from 2,290, ") == made, "yen have no decimals"
    assert told_of(1.234).count(", converted from 1.234, ") == made, "dinars have three"
    assert "converted" not in told_of(None), "what is in the base currency already was not"
    assert "DKK" not in "\n".join(narrate(found))


def test_the_same_case_gives_the_same_bytes(
    served: Service, case: int, bundle_folder: Path, history: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    replayed = ("--bundle", bundle_folder, "--data", history)
    for file in (one, two):
        said = told(served, "pack", case, "--out", file, *replayed)
        assert said["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["files"] == {name: sha256(own).hexdigest() for name, own in files.items()}
    replays = json.loads(files["replay.json"])
    assert replays
    assert all(each["holds"] for each in replays), replays
    assert "were replayed to the bit" in files["narrative.txt"].decode()
    # heads that both chains still have
    seq, _, chain = manifest["ledger_head"].partition(":")
    recorded = {entry.seq: entry.chain.hex() for entry in Ledger(served.ledger).entries()}
    assert recorded[int(seq)] == chain
    last = Desk(control(served)).case(case)[2][-1]
    assert manifest["cases_head"] == f"{last.id}:{last.chain}"
    paid = json.loads(files["payments.json"])
    assert paid[0]["record"]["body"]["answer"]["action"] == paid[0]["in_case"]["action"]
    assert [each["kind"] for each in json.loads(files["labels.json"])[0]["records"]] == [
        "result",
        "label",
    ]


def test_a_pack_without_the_history_of_the_service_says_so(
    served: Service, case: int, bundle_folder: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(
        app,
        f"cases pack {case} --out {tmp_path / 'case.zip'} --bundle {bundle_folder}".split(),
        env={"SHROFF_HOME": str(served.home)},
    )
    assert done.exit_code == 0, done.output
    assert "The service knew 2 payments of history" in done.stderr
    assert re.search(r"^0 of \d+ decisions were replayed to the bit\.$", done.stdout, re.MULTILINE)


def test_over_http_it_is_the_same_without_replays(served: Service, case: int) -> None:
    got = served.request("GET", f"/v1/cases/{case}/pack")
    assert got.headers["content-type"] == "application/zip"
    found = gather(Desk(control(served)), Ledger(served.ledger), case)
    assert got.content == zip_evidence(found)
    with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
        assert json.loads(archive.read("replay.json")) is None
    assert served.request("GET", "/v1/cases/4711/pack").status_code == 404


def test_an_erased_case_says_so(served: Service, case: int, bundle: Bundle) -> None:
    desk, ledger = Desk(control(served)), Ledger(served.ledger)
    desk.forget("card_id", ["card-of-ada"], [], "boss")
    found = gather(desk, ledger, case)
    text = "\n".join(narrate(found))
    assert f"Case {case} was erased by boss on " in text
    assert "with a note that was erased" in text
    content = zip_evidence(found)
    assert content == zip_evidence(gather(desk, ledger, case))
    for word in (b"card-of-ada", b"knows nothing", b"stolen"):
        assert word not in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert json.loads(archive.read("manifest.json"))["erased"] is not None
        assert json.loads(archive.read("payments.json")) == []
