"""Results count once and labels are a history, also when several processes share a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from patience import PATIENCE
from serve.audit import body, read_ledger
from serve.service import KEY, Service
from servers import postgres_schema
from shroff.errors import PaymentConflict
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.answer import stored_payment
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


@pytest.fixture
def url(postgres_server: str) -> Iterator[str]:
    with postgres_schema(postgres_server) as schema:
        yield schema


@pytest.fixture
def two(bundle: Bundle, url: str) -> Iterator[list[Scorer]]:
    """What two processes have: each a scorer and a ledger of its own over one database."""
    scorers = [Scorer(bundle, Ledger(url), key=KEY) for _ in range(2)]
    for scorer in scorers:
        scorer.start()
    yield scorers
    for scorer in scorers:
        scorer.close()


def labels(entries: list[StoredEntry]) -> list[tuple[str, bool]]:
    return [
        (body(entry)["source"], body(entry)["value"]) for entry in entries if entry.kind == "label"
    ]


async def outcomes(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), PATIENCE)


def test_the_same_event_sent_to_two_at_once_counts_once(
    two: list[Scorer], pay: Pay, url: str
) -> None:
    async def work() -> None:
        await two[0].decide(msgspec.json.encode(pay(payment_id="a")))
        # all have looked before any has written: the database decides
        assert (
            await outcomes(*[one.learn("result", "a", "failed") for one in two * 5]) == [None] * 10
        )
        (error,) = await outcomes(two[1].learn("result", "a", "authorised"))
        assert isinstance(error, PaymentConflict)

    asyncio.run(work())
    assert [entry.kind for entry in read_ledger(url)] == ["payment", "result"]


def test_of_two_different_results_sent_at_once_the_first_counts(
    two: list[Scorer], pay: Pay, url: str
) -> None:
    async def work() -> list[Any]:
        await two[0].decide(msgspec.json.encode(pay(payment_id="a")))
        return await outcomes(
            two[0].learn("result", "a", "failed"), two[1].learn("result", "a", "authorised")
        )

    said = asyncio.run(work())
    assert sorted(map(type, said), key=repr) == [type(None), PaymentConflict]
    (error,) = [one for one in said if one is not None]
    assert "another result already" in str(error)
    payment, result = read_ledger(url)
    assert (payment.kind, result.kind) == ("payment", "result")
    assert (body(result)["value"] == "failed") is (said[0] is None)


def test_a_label_is_recorded_once_by_all_processes(two: list[Scorer], pay: Pay, url: str) -> None:
    async def work() -> None:
        await two[0].decide(msgspec.json.encode(pay(payment_id="a")))
        for fraud in (True, False, True):
            said = [one.learn("label", "a", fraud, source="analyst") for one in two * 5]
            assert await outcomes(*said) == [None] * 10

    asyncio.run(work())
    assert labels(read_ledger(url)) == [("analyst", True), ("analyst", False), ("analyst", True)]


def test_sources_that_speak_at_once_are_all_recorded(two: list[Scorer], pay: Pay, url: str) -> None:
    async def work() -> list[Any]:
        await two[0].decide(msgspec.json.encode(pay(payment_id="a")))
        said = [
            two[0].learn("label", "a", False, source="analyst"),
            two[1].learn("label", "a", True, source="bank"),
        ]
        return await outcomes(*said)

    assert asyncio.run(work()) == [None, None]
    assert sorted(labels(read_ledger(url))) == [("analyst", False), ("bank", True)]


HIDDEN = {
    "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "\0": "U+0000",
    "\n": "U+000A",
    "\u200b": "U+200B ZERO WIDTH SPACE",
}


@pytest.mark.parametrize("character", HIDDEN)
def test_what_nobody_sees_is_refused_in_results_and_labels(
    service: Service, pay: Pay, character: str
) -> None:
    sent = pay(payment_id=f"hidden-{ord(character)}")
    service.request("POST", "/v1/decisions", json=sent).raise_for_status()
    about = f"/v1/payments/{sent['payment_id']}"
    hidden = f"a{character}b"
    for path, said, field in (
        ("result", {"result": hidden}, "result"),
        ("label", {"fraud": True, "source": hidden}, "source"),
        ("label", {"fraud": True, "event_id": hidden}, "event_id"),
    ):
        refused = service.request("POST", f"{about}/{path}", json=said)
        assert refused.status_code == 400
        expected = (
            f"Expected text of printable characters, got text with {HIDDEN[character]} - at "
            f"`$.{field}`"
        )
        assert refused.json()["detail"] == expected
        blank = service.request("POST", f"{about}/{path}", json=said | {field: "\u3164\u00a0"})
        assert "text of characters that nobody sees" in blank.json()["detail"]
    assert "labels" not in service.request("GET", f"/v1/decisions/{sent['payment_id']}").json()


def test_of_two_payloads_sent_to_two_at_once_the_shared_state_counts_the_ledgers(
    bundle: Bundle, pay: Pay, url: str, redis_server: str
) -> None:
    with ExitStack() as closing_:
        two = [Scorer(bundle, Ledger(url), key=KEY, state=redis_server) for _ in range(2)]
        for scorer in two:
            scorer.start()
            closing_.callback(scorer.close)

        async def work() -> float:
            for number in range(25):
                name = f"a{number}"
                # by turns, who is asked first
                order = two if number % 2 else two[::-1]
                bodies = [pay(payment_id=name, card_id="both", amount=a) for a in (1.0, 2.0)]
                said = await outcomes(
                    *[
                        one.decide(msgspec.json.encode(body))
                        for one, body in zip(order, bodies, strict=True)
                    ]
                )
                assert sum(isinstance(one, PaymentConflict) for one in said) == 1
            last = await two[0].decide(msgspec.json.encode(pay(payment_id="z", card_id="both")))
            assert b'"degraded":false' in last
            entry = two[0].ledger.find("z")
            assert entry is not None
            return float(body(entry)["features"]["card_total_amount_1h"])

        total = asyncio.run(work())
    amounts = [stored_payment(one).minor for one in read_ledger(url) if one.kind == "payment"]
    assert total == sum(amounts[:-1]) / 100
