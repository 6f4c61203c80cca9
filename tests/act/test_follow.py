"""The desk beside a service: its reviews become cases, and decisions come back as labels."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve.service import Service
from shroff.cli import app
from shroff.client import Client


@pytest.fixture(scope="module")
def served(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(bundle_folder, tmp_path_factory.mktemp("desk")) as running:
        yield running


def told(served: Service, *words: object, code: int = 0) -> Any:
    environment = {"SHROFF_HOME": str(served.home), "LOGNAME": "ada"}
    done = CliRunner().invoke(app, ["cases", *map(str, words), "--json"], env=environment)
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)


def test_a_shift(served: Service, bundle_folder: Path, pay: Callable[..., dict[str, Any]]) -> None:
    """Reviews become cases; a decision is a label in the ledger; nothing is taken or sent twice."""
    with Client(served.url) as client:
        reviewed = [
            sent["payment_id"]
            for amount in range(40, 400, 6)
            if client.decide(sent := pay(amount=float(amount), card_id=f"c{amount}")).action
            == "review"
        ]
    assert len(reviewed) >= 2
    follow = ("follow", bundle_folder, "--url", served.url, "--once")
    first = told(served, *follow)
    assert first["records"] > 60
    listed = told(served, "list")["cases"]
    assert len(listed) == len(reviewed)
    case = told(served, "next")["case"]
    assert (case["id"], case["holder"]) == (listed[0]["id"], "ada")
    payment = told(served, "show", case["id"])["payments"][0]["payment_id"]
    done = told(served, "decide", case["id"], "--outcome", "fraud", "--version", case["version"])
    assert done["case"]["outcome"] == "fraud"
    second = told(served, *follow)
    assert (second["labels_sent"], second["labels_waiting"]) == (1, 0)
    with Client(served.url) as client:
        stored = client.decision(payment)
    assert stored.fraud is True
    assert stored.labels[0].note == "ada"
    # the label comes back from the ledger, to a case that is closed
    assert told(served, *follow)["records"] == 1
    assert told(served, *follow) == {
        "records": 0,
        "labels_sent": 0,
        "refused": 0,
        "labels_waiting": 0,
    }
    assert told(served, "verify")["holds"]
    # a crash between sending and noting it: the label is sent again, and recorded once
    with sqlite3.connect(served.home / "control.db") as control:
        control.execute("UPDATE shroff_case_label SET sent = 0")
    assert told(served, *follow)["labels_sent"] == 1
    with Client(served.url) as client:
        assert len(client.decision(payment).labels) == 1


def test_the_steps_of_a_case_stand_below_their_headings(served: Service) -> None:
    environment = {"SHROFF_HOME": str(served.home), "LOGNAME": "ada", "COLUMNS": "200"}
    number = str(told(served, "next")["case"]["id"])
    told(served, "note", number, "called them")
    for words, columns in (
        (("show", number), ["at", "by", "step", "outcome", "to", "note"]),
        (("history", "--by", "ada"), ["at", "by", "case", "step", "outcome", "to", "note"]),
    ):
        done = CliRunner().invoke(app, ["cases", *words], env=environment)
        lines = [line for line in done.stdout.splitlines() if "called them" in line]
        cells = [cell.strip() for cell in lines[0].strip("│┃ ").split("│")]
        made = dict(zip(columns, cells, strict=True))
        assert (made["by"], made["step"], made["note"]) == ("ada", "noted", "called them")
        assert made["at"].startswith("20")
        assert f"┃ {columns[-1]}" in done.stdout


def test_what_people_type_wrong_is_a_sentence(served: Service) -> None:
    environment = {"SHROFF_HOME": str(served.home)}

    def wrong(*words: str) -> str:
        return str(CliRunner().invoke(app, ["cases", *words], env=environment).exception)

    assert "there is no case with this number" in wrong("claim", "4711")
    assert "expected a day such as" in wrong("snooze", "1", "--until", "tomorrow")
    assert "there is no such file" in wrong("queues", "--replace", "/nowhere.json")
    assert "expected a reason" in wrong("escalate", "1", "--why", "")


def test_queues_are_read_from_a_file(served: Service, tmp_path: Path) -> None:
    file = tmp_path / "queues.json"
    file.write_text('[{"name": "large", "condition": "amount > 500", "sla_minutes": 60}]')
    queues = told(served, "queues", "--replace", file)["queues"]
    assert [one["name"] for one in queues] == ["large", "review"]
    file.write_text('[{"name": 1}]')
    environment = {"SHROFF_HOME": str(served.home)}
    done = CliRunner().invoke(app, ["cases", "queues", "--replace", str(file)], env=environment)
    assert "expected a JSON list of queues" in str(done.exception)


def test_a_tampered_history_is_exit_code_1(served: Service) -> None:
    with sqlite3.connect(served.home / "control.db") as control:
        control.execute(
            "UPDATE shroff_case_event SET content = replace(content, 'opened', 'noted')"
        )
    found = told(served, "verify", code=1)
    assert "the history of cases was changed" in found["fault"]
