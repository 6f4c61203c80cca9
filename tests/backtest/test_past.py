"""The past of a log and of a ledger: decided as then, whatever came later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace as replace_schema

from serve.fixtures import POLICY, SCHEMA, VELOCITY, make_bundle
from serve.service import KEY
from shroff import Rule, lookup
from shroff.backtest import Past, Side, backtest, clean_log, past_of_ledger, past_of_log
from shroff.backtest.logged import Replaced, schemas_then
from shroff.backtest.table_judge import TableJudge
from shroff.clock import system_time
from shroff.collect.payment import payments
from shroff.collect.tables import ReferenceTable
from shroff.decide.decider import Decider
from shroff.decide.lists import Edit, Effective, effective
from shroff.decide.standing import Standing, kinds_of, own
from shroff.errors import ConfigurationError
from shroff.evaluate.cost import ACTIONS
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan
from shroff.ledger import Ledger
from shroff.package import Bundle, save
from shroff.promotion import Contender
from shroff.scoring.scorer import Scorer

DAY = 86_400_000_000
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
RISKS = [{"mcc": "5411", "risk": 0.1}, {"mcc": "6011", "risk": 0.8}]
OWN = ReferenceTable.of("mccs", RISKS, key="mcc", numeric=["risk"])
OTHER = ReferenceTable.of("mccs", [{"mcc": "5411", "risk": 0.9}], key="mcc", numeric=["risk"])
RULED = msgspec.structs.replace(
    POLICY,
    rules=[
        *POLICY.rules,
        Rule("risky", "risk > 0.5 AND amount > 60", action="review"),
        Rule("known", "merchant_risk_30d > 0.1", action="challenge"),
    ],
    lists={"blocked": ["h6"]},
)


def edit(number: int, value: str, day: float, action: Any = "add") -> Edit:
    at = int(FIRST.timestamp() * 1e6) + int(day * DAY)
    return Edit(
        id=number,
        name="blocked",
        value=value,
        action=action,
        since=at - DAY,
        until=None,
        note=None,
        made_by="ada",
        made_at=at,
    )


EDITS = [edit(1, "h1", 10), edit(2, "h6", 15), edit(3, "h1", 20, "remove"), edit(4, "h2", 40)]


@pytest.fixture(scope="module")
def bundle(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    schema = replace_schema(
        SCHEMA.with_keys(VELOCITY.key_columns),
        lookups=[lookup("risk", on="mcc")],
        tables=[OWN],
    )
    folder = tmp_path_factory.mktemp("backtest") / "bundle"
    made = make_bundle(
        model,
        schema=schema,
        currency="EUR",
        policy=msgspec.to_builtins(RULED),
        metrics={"split": "time:2024-01-01/5/1/60", "detectors": {}},
    )
    return save(made, folder)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    random = np.random.default_rng(2)
    size = 400
    days = np.sort(random.random(size) * 50)
    at = [FIRST + timedelta(days=day) for day in days.tolist()]
    fraud = random.random(size) < 0.2
    return pl.DataFrame(
        {
            "payment_id": [f"p{row}" for row in range(size)],
            "created_at": [moment.isoformat() for moment in at],
            "amount": np.where(fraud, 250.0, 40.0) + random.integers(0, 60, size),
            "currency": "EUR",
            "is_fraud": fraud.astype(int),
            "labelled_at": [(moment + timedelta(days=2)).isoformat() for moment in at],
            "result": random.choice(["authorised", "failed"], size),
            "result_at": [moment.isoformat() for moment in at],
            "mcc": random.choice(["5411", "6011"], size),
            "request_country": random.choice(["DK", "SE"], size),
            "account_country": "DK",
            "items": 1,
            "email": "ada@example.org",
            "card_id": random.choice([f"c{n}" for n in range(40)], size),
            "host_id": random.choice([f"h{n}" for n in range(9)], size),
            "merchant_id": random.choice([f"m{n}" for n in range(6)], size),
        }
    )


def past_of(
    bundle: Bundle,
    log: pl.DataFrame,
    folder: Path,
    edits: Sequence[Edit] = EDITS,
    replaced: Sequence[Replaced] = (),
) -> Past:
    log.write_csv(folder / "log.csv")
    return past_of_log(
        bundle,
        clean_log(folder / "log.csv", KEY, 0.0),
        source="log.csv",
        lists=RULED.lists,
        edits=edits,
        replaced=replaced,
    )


def actions(bundle: Bundle, past: Past, edits: Sequence[Edit]) -> dict[str, str]:
    judge = TableJudge(RULED, kinds_of(bundle), amount="amount")
    found = judge.judge(past.frame, past.probability, past.moment, edits)
    named = [ACTIONS[place] for place in found.action]
    return dict(zip(past.frame["\0id"], named, strict=True))


def replacement(day: float) -> Replaced:
    return Replaced(int(FIRST.timestamp() * 1e6) + int(day * DAY), "mccs", OTHER)


def test_a_log_is_decided_as_the_decider_does_it(
    bundle: Bundle, log: pl.DataFrame, tmp_path: Path
) -> None:
    past = past_of(bundle, log, tmp_path, replaced=[replacement(25)])
    found = actions(bundle, past, EDITS)
    tables = {
        False: clean_log(tmp_path / "log.csv", KEY, 0.0)(bundle).frame,
        True: clean_log(tmp_path / "log.csv", KEY, 0.0)(
            replace(bundle, schema=replace_schema(bundle.schema, tables=[OTHER]))
        ).frame,
    }
    plan, decider = Plan(bundle.groups, bundle.schema), Decider(bundle)
    features = compute_plan(plan, tables[False]).select(plan.names).rows(named=True)
    expected, probability = {}, {}
    for both in zip(
        *(payments(one, bundle.schema) for one in tables.values()), features, strict=True
    ):
        before, after, known = both
        payment = after if before.time >= replacement(25).made_at else before
        lists = effective(
            RULED.lists, [one for one in EDITS if one.made_at <= payment.time], payment.time
        )
        (one,) = decider.listing(Effective(lists.values, (1, 1))).assess(
            [payment.values | known], explain=False
        )
        expected[payment.id], probability[payment.id] = one.verdict.action, one.probability
    assert found == expected
    assert dict(zip(past.frame["\0id"], past.probability, strict=True)) == probability
    assert {*found.values()} == {*ACTIONS}


@pytest.mark.parametrize("day", [12.0, 22.0, 33.0])
def test_nothing_that_came_later_changes_a_decision(
    bundle: Bundle, log: pl.DataFrame, tmp_path: Path, day: float
) -> None:
    """Payments, labels, edits of lists and tables of later days are as if they were not there."""
    whole = past_of(bundle, log, tmp_path, replaced=[replacement(20), replacement(35)])
    now = FIRST + timedelta(days=day)
    until = int(now.timestamp() * 1e6)
    known = pl.col("labelled_at") <= now.isoformat()
    then = log.filter(pl.col("created_at") <= now.isoformat()).with_columns(
        pl.when(known).then(pl.col("is_fraud")), pl.when(known).then(pl.col("labelled_at"))
    )
    edits = [one for one in EDITS if one.made_at <= until]
    tables = [one for one in [replacement(20), replacement(35)] if one.made_at <= until]
    earlier = past_of(bundle, then, tmp_path, edits, tables)
    late = actions(bundle, whole, EDITS)
    assert len(earlier) > 50
    assert actions(bundle, earlier, edits) == {name: late[name] for name in earlier.frame["\0id"]}


def test_what_does_not_fit_is_not_put_in_place(bundle: Bundle) -> None:
    misfit = ReferenceTable.of("mccs", [{"mcc": "1", "note": "x"}], key="mcc")
    found = schemas_then(
        bundle.schema,
        [Replaced(9, "mccs", None), Replaced(5, "mccs", OTHER), Replaced(7, "mccs", misfit)],
    )
    assert [(since, one.tables) for since, one in found] == [
        (0, (OWN,)),
        (5, (OTHER,)),
        (7, (OWN,)),
    ]


def test_labels_of_young_payments_and_of_none_are_apart(
    bundle: Bundle, log: pl.DataFrame, tmp_path: Path
) -> None:
    unlabelled = log.with_columns(pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.col("is_fraud")))
    past = past_of(bundle, unlabelled, tmp_path)
    side = Side(Contender(bundle, own(bundle)), past.matured(past.until - 10 * DAY))
    found = backtest(side, side, edits=EDITS)
    late = int((past.time > past.until - 10 * DAY).sum())
    young = int(((past.time <= past.until - 10 * DAY) & ~past.labelled).sum())
    assert (found.payments.immature, found.payments.unknown) == (late, young)
    assert found.saved.known == found.saved.highest == 0.0
    assert found.current.cost.known < found.current.cost.lowest < found.current.cost.highest
    assert any("no control group" in notice for notice in found.notices)
    assert any("learned from" in notice for notice in found.notices)
    nobody = Side(side.contender, past.between(0, 1))
    with pytest.raises(ConfigurationError, match="expected payments in the period, got none"):
        backtest(nobody, nobody)


def test_the_ledger_is_replayed_as_it_was_decided(
    bundle: Bundle, tmp_path: Path, pay: Callable[..., dict[str, Any]]
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    async def record() -> None:
        scorer = Scorer(bundle, Ledger(url), key=KEY)
        scorer.start()
        for number in range(40):
            sent = pay(
                card_id=f"c{number}",
                merchant_id=f"m{number}",
                amount=150.0 if number % 2 else 40.0,
                host_id="h6" if number % 4 == 0 else "h3",
            )
            await scorer.decide(msgspec.json.encode(sent))
            if number % 10 == 1:
                await scorer.learn("label", sent["payment_id"], True)
        scorer.close()

    asyncio.run(record())
    entries = list(Ledger(url).entries())
    past = past_of_ledger(bundle, entries, lambda version: None, lists=RULED.lists)
    mature = past.matured(system_time() + DAY)
    mild = msgspec.structs.replace(RULED, rules=RULED.rules[1:])
    current = Side(Contender(bundle, own(bundle)), mature)
    milder = Side(Contender(bundle, Standing(policy=mild)), mature)
    found = backtest(current, milder)
    assert (found.recorded, found.as_decided) == (40, 40)
    # ten are declined by the rule: nobody knows what they would have been
    declined = found.current.decisions["decline"]
    assert (declined.payments, declined.unknown, found.payments.unknown) == (10, 10, 10)
    assert found.payments.frauds == 4
    let = found.swap["no_longer_stopped_unknown"]
    assert let.payments == 10
    assert (let.saved.lowest, let.saved.known, let.saved.highest) == (-400.0, 0.0, 150.0)
    assert (found.saved.lowest, found.saved.highest) == (-400.0, 150.0)
    young = backtest(*(Side(one.contender, past.matured(0)) for one in (current, milder)))
    assert young.payments.immature == 40
    # two that were forgotten: of one nothing was kept, of the other what others count
    bodies = {2: b"", 4: entries[4].body}
    lacking = [
        msgspec.structs.replace(one, forgotten=1, body=bodies[at]) if at in bodies else one
        for at, one in enumerate(entries)
    ]
    assert [lacking[at].kind for at in bodies] == ["payment", "payment"]
    fewer = past_of_ledger(bundle, lacking, lambda version: None, lists=RULED.lists)
    assert (len(fewer), fewer.left_out) == (38, {"forgotten since": 2})
    # another model without these features, and one that nobody has any more
    other = replace(bundle, groups=(), created="20250101T000000Z", digest="1" * 64)
    lost = past_of_ledger(other, entries, lambda version: None, lists=RULED.lists)
    assert (len(lost), sum(lost.left_out.values())) == (0, 40)
