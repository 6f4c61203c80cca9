"""The life of a label: a history by source, of which one stands, in the ledger, in features and
over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from serve.asking import Json, decide, refusal, run
from serve.audit import assert_equal_to_batch, body, read_ledger
from serve.service import KEY, Service
from shroff.client import Client, Decision
from shroff.control import Keys
from shroff.errors import BadPayment, PaymentConflict
from shroff.ledger import Ledger
from shroff.ledger.durable import Waiters
from shroff.ledger.labels import MAX_SOURCE_LABELS
from shroff.monitor import ledger_parity, replay_decision
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer
from web import TRUST

Pay = Callable[..., dict[str, Any]]
SOURCES = ("chargeback", "analyst", "rule")


def ranked(bundle: Bundle, *sources: str) -> Bundle:
    return replace(bundle, schema=msgspec.structs.replace(bundle.schema, label_sources=sources))


async def shown(scorer: Scorer, payment_id: str) -> Json:
    stored: Json = msgspec.json.decode(await scorer.decision(payment_id))
    return stored


async def risk(scorer: Scorer, pay: Pay) -> float:
    """What the next payment sees of its merchant's frauds."""
    sent = pay()
    await decide(scorer, sent)
    stored = scorer.ledger.find(sent["payment_id"])
    assert stored is not None
    return float(body(stored)["features"]["merchant_risk_30d"])


def said(entry: Json) -> list[tuple[str, bool, bool]]:
    return [(one["source"], one["fraud"], one["stands"]) for one in entry.get("labels", [])]


def test_a_label_can_change_and_features_follow(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        assert "labels" not in await shown(scorer, "a")
        seen = []
        for source, fraud in [
            ("analyst", False),
            ("bank", True),
            ("bank", True),
            ("bank", False),
            ("analyst", False),
        ]:
            await scorer.learn("label", "a", fraud, source=source)
            seen.append(await risk(scorer, pay))
        assert seen == [0.0, 1 / 2, 1 / 3, 0.0, 0.0]
        stored = await shown(scorer, "a")
        assert said(stored) == [
            ("analyst", False, False),
            ("bank", True, False),
            ("bank", False, True),
        ]
        assert stored["fraud"] is False

    run(work())
    scorer.close()
    assert_equal_to_batch(bundle, read_ledger(ledger_url))


def test_the_source_that_is_ranked_first_stands(bundle: Bundle, pay: Pay, ledger_url: str) -> None:
    strict = ranked(bundle, *SOURCES)
    scorer = Scorer(strict, Ledger(ledger_url), key=KEY)
    scorer.start()

    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        seen = []
        for source, fraud in [
            ("rule", True),
            ("chargeback", False),
            ("analyst", True),
            ("nobody", True),
        ]:
            await scorer.learn("label", "a", fraud, source=source)
            seen.append(await risk(scorer, pay))
        assert seen == [1.0, 0.0, 0.0, 0.0]
        stored = await shown(scorer, "a")
        assert [source for source, _, stands in said(stored) if stands] == ["chargeback"]

    run(work())
    scorer.close()
    assert ledger_parity(strict, Ledger(ledger_url).entries()).holds
    # by another policy of the same records another label stands
    again = Scorer(bundle, Ledger(ledger_url), key=KEY)
    again.start()
    assert run(shown(again, "a"))["fraud"] is True
    assert run(risk(again, pay)) > 0
    again.close()


def test_a_change_of_mind_and_back_is_three_labels_and_a_retry_is_none(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        for fraud in (True, False, True):
            await asyncio.gather(
                *[scorer.learn("label", "a", fraud, source="analyst") for _ in range(5)]
            )

    run(work())
    assert [body(entry)["value"] for entry in read_ledger(ledger_url) if entry.kind == "label"] == [
        True,
        False,
        True,
    ]


def test_a_source_changes_its_mind_so_often_and_no_more(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        for number in range(MAX_SOURCE_LABELS):
            await scorer.learn(
                "label",
                "a",
                number % 2 == 0,
                source="analyst",
                event=str(number) if number > 50 else None,
            )
        refused = [
            refusal(scorer.learn("label", "a", True, source="analyst", event=event))
            for event in (None, "one")
        ]
        for error in await asyncio.gather(*refused):
            assert isinstance(error, BadPayment)
            assert "at most 100 labels of one payment from one source" in str(error)
        # what is there already is no news, and others have their say
        await scorer.learn("label", "a", False, source="analyst")
        await scorer.learn("label", "a", True, source="analyst", event="60")
        await scorer.learn("label", "a", True, source="chargeback")
        assert len((await shown(scorer, "a"))["labels"]) == MAX_SOURCE_LABELS + 1

    run(work())
    assert len(Ledger(ledger_url).labels("a")) == MAX_SOURCE_LABELS + 1


def test_labels_of_one_payment_that_come_together_wait_in_turn(
    scorer: Scorer, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is woken once: woken by every one before it, a thousand kept the service from everything
    for a minute.
    """
    joined = list[object]()
    join = Waiters.join

    def counted(waiters: Waiters[None]) -> asyncio.Future[None]:
        joined.append(waiters)
        return join(waiters)

    monkeypatch.setattr(Waiters, "join", counted)

    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        joined.clear()
        said = [
            scorer.learn("label", "a", n % 2 == 0, source=f"source {n % 4}", event=str(n))
            for n in range(300)
        ]
        await asyncio.gather(*said)
        assert len(joined) <= 3 * len(said)
        labels = (await shown(scorer, "a"))["labels"]
        assert [one["event"] for one in labels] == [str(number) for number in range(300)]

    run(work())
    assert not scorer._events._turns


def test_an_event_is_recorded_once_whatever_came_in_between(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        await decide(scorer, pay(payment_id="a"))
        for event, fraud in [("1", True), ("2", False), ("1", True), ("2", False)]:
            await scorer.learn("label", "a", fraud, source="bank", event=event)
        # another source may use the same ids
        await scorer.learn("label", "a", True, source="analyst", event="2")
        assert isinstance(
            await refusal(scorer.learn("label", "a", False, source="bank", event="1")),
            PaymentConflict,
        )
        await scorer.learn("label", "a", False, source="bank")
        await scorer.learn("label", "a", True, source="bank")

    run(work())
    recorded = [
        (body(entry)["source"], body(entry)["event"]) for entry in read_ledger(ledger_url)[1:]
    ]
    assert recorded == [("bank", "1"), ("bank", "2"), ("analyst", "2"), ("bank", 1)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pay", "label", "label", "result", "restart"]),
        st.integers(0, 9),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, order=st.permutations(SOURCES), many=st.integers(0, 3))
def test_what_is_decided_live_is_what_batch_computes(
    steps: list[tuple[str, int, int]],
    order: list[str],
    many: int,
    bundle: Bundle,
    pay: Pay,
    tmp_path: Path,
) -> None:
    """Whatever is said of payments in whatever order, also over restarts."""
    url, used = f"sqlite:///{tmp_path / token_hex(4)}.db", ranked(bundle, *order[:many])
    scorer = Scorer(used, Ledger(url), key=KEY)
    scorer.start()

    async def work() -> None:
        nonlocal scorer
        made: list[str] = []
        for what, which, how in steps:
            if what == "restart":
                scorer.close()
                scorer = Scorer(used, Ledger(url), key=KEY)
                scorer.start()
            elif what == "pay" or not made:
                sent = pay(card_id=f"c{how % 2}", merchant_id=f"m{how % 2}")
                await decide(scorer, sent)
                made.append(sent["payment_id"])
            elif what == "label":
                await scorer.learn(
                    "label", made[which % len(made)], how % 2 == 0, source=SOURCES[how // 2]
                )
            else:
                await asyncio.gather(
                    scorer.learn(
                        "result", made[which % len(made)], "failed" if how % 2 else "authorised"
                    ),
                    return_exceptions=True,
                )
        await decide(scorer, pay(payment_id="last", merchant_id="m0"))

    run(work())
    scorer.close()
    found = ledger_parity(used, Ledger(url).entries())
    assert found.holds, found.first
    assert replay_decision("last", Ledger(url), lambda version: used).holds


def test_processes_that_share_a_state_agree_on_what_stands(
    bundle: Bundle, pay: Pay, ledger_url: str, redis_server: str, postgres_server: str
) -> None:
    from servers import postgres_schema

    strict = ranked(bundle, *SOURCES)
    with postgres_schema(postgres_server) as url:
        two = [
            Scorer(strict, Ledger(url), key=KEY, state=redis_server, member=name)
            for name in ("one", "other")
        ]
        for scorer in two:
            scorer.start()

        async def work() -> None:
            await decide(two[0], pay(payment_id="a"))
            await decide(two[0], pay(payment_id="b"))
            for number, (source, fraud) in enumerate(
                [
                    ("rule", True),
                    ("analyst", False),
                    ("rule", True),
                    ("chargeback", True),
                    ("chargeback", False),
                ]
            ):
                await two[number % 2].learn("label", "ab"[number % 2], fraud, source=source)
                await asyncio.gather(
                    two[0].learn("label", "a", fraud, source=source),
                    two[1].learn("label", "a", not fraud, source="x"),
                )
                await decide(two[(number + 1) % 2], pay())
                await decide(two[number % 2], pay())

        run(work())
        for scorer in two:
            scorer.leave()
            scorer.close()
        found = ledger_parity(strict, Ledger(url).entries())
        assert found.holds, found.first


def test_over_http_the_key_says_who_speaks(bundle_folder: Path, tmp_path: Path, pay: Pay) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    shop, analyst = (
        keys.create("shop", ["decide", "read", "label"]),
        keys.create("ada", ["label"], source="analyst"),
    )
    bank = keys.create("acquirer", ["label"], source="chargeback")
    with Service(bundle_folder, tmp_path, keys=True) as service:
        with Client(service.url, key=shop) as client:
            client.decide(pay(payment_id="a"))
            client.label("a", False)
            with Client(service.url, key=analyst) as other:
                other.label("a", False, source="chargeback")
            with Client(service.url, key=bank) as other:
                other.label("a", True, event_id="cb-1")
                other.label("a", True, event_id="cb-1")
                with pytest.raises(PaymentConflict):
                    other.label("a", False, event_id="cb-1")
            stored = client.decision("a")
        assert [
            (one.source, one.fraud, one.stands, one.note, one.event) for one in stored.labels
        ] == [
            ("shop", False, False, None, None),
            ("analyst", False, False, "chargeback", None),
            ("chargeback", True, True, None, "cb-1"),
        ]
        assert stored.fraud is True
        raw = httpx.get(
            f"{service.url}/v1/decisions/a",
            headers={"authorization": f"Bearer {shop}"},
            verify=TRUST,
        ).json()
        assert Decision(**raw).payment_id == "a"


def test_keys_of_an_earlier_release_speak_by_their_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    Keys(url).create("shop", ["label"])
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE shroff_api_key DROP COLUMN source")
    engine.dispose()
    keys = Keys(url)
    assert [key.label_source for key in keys.all()] == ["shop"]
    keys.create("ada", ["label"], source="analyst")
    assert [key.label_source for key in keys.all()] == ["shop", "analyst"]
