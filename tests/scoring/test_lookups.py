"""Reference tables at the service: looked up once, recorded so, told again by a restart, by batch
and by a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve.asking import decide, run
from serve.audit import body, read_ledger, state
from serve.fixtures import POLICY, SCHEMA, VELOCITY, make_bundle
from shroff import Entity, FeatureGroup, ReferenceTable, Rule, lookup
from shroff.errors import BundleError, NotFound
from shroff.ledger import Ledger
from shroff.monitor import ledger_parity, replay_decision
from shroff.package import Bundle, load, save
from shroff.package.compare import differences
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
Start = Callable[[Bundle], Scorer]
ROWS = [
    {"mcc": "5411", "mcc_risk": 0.1, "family": "food"},
    {"mcc": "6011", "mcc_risk": 2.5, "family": "cash"},
]
RISKS = ReferenceTable.of("mcc", ROWS, key="mcc", numeric=["mcc_risk"])
LOOKUPS = [lookup("mcc_risk", on="mcc", default=1.0), lookup("family", on="mcc")]
TABLED = msgspec.structs.replace(SCHEMA, tables=[RISKS], lookups=LOOKUPS).with_keys(
    VELOCITY.key_columns
)
RISKY = FeatureGroup(
    "risky",
    [
        Entity("card", "card_id").count("1d", where="mcc_risk >= 2", name="risky_1d"),
        Entity("card", "card_id").total("mcc_risk", "1d", name="risk_1d"),
        Entity("family", "family").count("1d"),
    ],
)
CASH = msgspec.structs.replace(
    POLICY, rules=[Rule("cash", "family = 'cash' AND risky_1d > 0", action="decline")]
)


def made_of(model: bytes, folder: Path, **changes: Any) -> Bundle:
    parts = {
        "schema": TABLED,
        "groups": (VELOCITY, RISKY),
        "policy": msgspec.to_builtins(CASH),
    } | changes
    return save(make_bundle(model, **parts), folder)


@pytest.fixture
def tabled(model: bytes, tmp_path: Path) -> Bundle:
    return made_of(model, tmp_path / "bundle")


def sent(pay: Pay) -> list[dict[str, Any]]:
    codes = ["5411", 6011, "6011.0", "4900", None]
    return [pay(payment_id=f"p{n}", card_id=f"c{n % 2}", mcc=codes[n % 5]) for n in range(20)]


def test_what_was_looked_up_is_recorded_and_told_again(
    tabled: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    scorer, payments = start(tabled), sent(pay)

    async def work() -> list[dict[str, Any]]:
        answers = [await decide(scorer, one) for one in payments]
        assert await decide(scorer, payments[1]) == answers[1]
        return answers

    answers = run(work())
    assert [answer["rules"] for answer in answers[:4]] == [[], [], [], []]
    assert answers[6]["rules"] == ["cash"]
    entries = read_ledger(ledger_url)
    values = [body(entry)["payment"]["values"] for entry in entries]
    assert [one["mcc_risk"] for one in values[:5]] == [0.1, 2.5, 2.5, 1.0, None]
    assert [one["family"] for one in values[:5]] == ["food", "cash", "cash", None, None]
    assert {tuple(body(entry)["payment"]["tables"]) for entry in entries} == {(RISKS.mark,)}
    known = state(scorer)
    assert state(start(tabled)) == known
    assert ledger_parity(tabled, entries).holds
    for payment_id in ("p0", "p2", "p3", "p4", "p19"):
        replayed = replay_decision(payment_id, Ledger(ledger_url), lambda version: tabled)
        assert replayed.holds, replayed.lines
        assert {"mcc_risk", "family"} <= {line.name for line in replayed.lines}


def test_a_replay_needs_the_tables_of_then(
    model: bytes, tabled: Bundle, start: Start, pay: Pay, ledger_url: str, tmp_path: Path
) -> None:
    run(decide(start(tabled), pay(payment_id="p")))
    other = ReferenceTable.of(
        "mcc", [*ROWS, {"mcc": "1", "mcc_risk": 0, "family": "x"}], key="mcc", numeric=["mcc_risk"]
    )
    changed = made_of(
        model, tmp_path / "other", schema=msgspec.structs.replace(TABLED, tables=[other])
    )
    with pytest.raises(NotFound, match="reference tables"):
        replay_decision("p", Ledger(ledger_url), lambda version: changed)
    assert differences(tabled.schema, changed.schema) == []


def test_without_tables_a_record_is_as_it_was(
    model: bytes, start: Start, pay: Pay, ledger_url: str, tmp_path: Path
) -> None:
    plain = save(make_bundle(model), tmp_path / "plain")
    run(decide(start(plain), pay()))
    assert "tables" not in body(read_ledger(ledger_url)[0])["payment"]
    # payments from before the lookups were declared have null in them, in the state as in batch
    tabled = made_of(model, tmp_path / "tabled")
    answer = run(decide(start(tabled), pay(payment_id="next")))
    assert answer["degraded"] is False
    assert body(read_ledger(ledger_url)[1])["features"]["risk_1d"] == 0.0
    assert replay_decision("next", Ledger(ledger_url), lambda version: tabled).holds


def test_the_tables_are_under_the_digest_of_the_bundle(
    model: bytes, tabled: Bundle, tmp_path: Path
) -> None:
    again = load(tmp_path / "bundle")
    assert again.schema == TABLED
    assert differences(SCHEMA, TABLED) == [
        "keys gains `merchant_id`",
        "looked_up gains `family`, `mcc_risk`",
    ]
    file = tmp_path / "bundle" / "schema.json"
    file.write_text(file.read_text().replace("2.5", "2.6"))
    with pytest.raises(BundleError, match="SHA-256 differs"):
        load(tmp_path / "bundle")
