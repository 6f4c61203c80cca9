"""State in Redis: several workers as one, decisions without features while it is away, and what is
owed paid.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random
from shutil import copyfile
from typing import Any

import msgspec
import pytest
from redis import Redis

from patience import PATIENCE
from serve.audit import body, payments, read_ledger
from serve.fixtures import VELOCITY, card, make_bundle
from serve.service import KEY
from serve.several import children, ledger_url, service, state_url
from servers import free_port, or_skip, redis
from shroff import FeatureGroup
from shroff.client import Client, Decision
from shroff.errors import ConfigurationError, PaymentConflict
from shroff.ledger import Ledger
from shroff.ledger.answer import stored_answer
from shroff.monitor import ledger_parity
from shroff.package import Bundle, save
from shroff.scoring.scorer import Scorer
from shroff.serve.server import Service, serve
from shroff.settings import Settings

Pay = Callable[..., dict[str, Any]]
__all__ = ["ledger_url", "state_url"]


def assert_parity(bundle: Bundle, ledger: str) -> None:
    found = ledger_parity(bundle, read_ledger(ledger))
    assert found.holds, found


def test_workers_answer_as_one(
    bundle_folder: Path, bundle: Bundle, tmp_path: Path, state_url: str, ledger_url: str, pay: Pay
) -> None:
    with service(bundle_folder, tmp_path, state_url, ledger_url, 2) as (url, parent):
        sent = [
            pay(payment_id=f"p{n}", card_id=f"c{n % 3}", host_id=f"h{n % 5}") for n in range(150)
        ]

        def decide(part: list[dict[str, Any]]) -> list[Decision]:
            answers = []
            for payment in part:
                # a connection each: so that both workers get some
                with Client(url, timeout=PATIENCE) as client:
                    answers.append(client.decide(payment))
                    if len(answers) % 5 == 0:
                        client.result(payment["payment_id"], "failed")
            return answers

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(decide, [sent[at::6] for at in range(6)]))
            twice = list(pool.map(decide, [sent[at::6] for at in range(6)]))
        assert twice == answers
        workers = children(parent.pid)
        assert len(workers) == 2
        # one dies: another takes its place, and nobody who asks again notices
        subprocess.run(["kill", "-9", str(workers[0])], check=True)
        with Client(url, timeout=PATIENCE, retries=5) as client:
            for number in range(20):
                client.decide(pay(payment_id=f"after{number}", card_id="c1"))
    entries = payments(read_ledger(ledger_url))
    assert len(entries) == 170
    assert_parity(bundle, ledger_url)


def test_without_its_server_the_policy_decides_and_later_all_is_counted(
    bundle: Bundle, ledger_url: str, pay: Pay
) -> None:
    port = free_port()
    with or_skip(redis(port=port), "Redis server") as state:
        scorer = Scorer(bundle, Ledger(ledger_url), key=KEY, state=state)
        scorer.start()

        async def decide(**fields: Any) -> dict[str, Any]:
            answer: dict[str, Any] = msgspec.json.decode(
                await scorer.decide(msgspec.json.encode(pay(**fields)))
            )
            return answer

        async def before() -> None:
            for _ in range(3):
                assert not (await decide())["degraded"]

        asyncio.run(before())

    async def away() -> None:
        answer = await decide(payment_id="while-away")
        assert (answer["degraded"], answer["action"], answer["probability"]) == (
            True,
            "review",
            None,
        )
        assert (await decide(host_id="10.6.6.6"))["rules"] == ["blocked_host"], (
            "rules over payments still hold"
        )
        await scorer.learn("result", "while-away", "failed")
        assert scorer.degraded is not None
        assert scorer.unready is None

    asyncio.run(away())

    async def back() -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while (answer := await decide())["degraded"]:
                await asyncio.to_thread(scorer.refill)
                await asyncio.sleep(0.2)
        assert scorer.degraded is None
        return answer

    # it comes back empty: the ledger knows all that was decided
    with redis(port=port):
        last = asyncio.run(back())
    scorer.close()
    entries = {entry.payment_id: body(entry) for entry in payments(read_ledger(ledger_url))}
    assert entries["while-away"]["features"] == {}
    features = entries[last["payment_id"]]["features"]
    assert features["card_count_1h"] == len(entries) - 1
    assert features["card_failed_1d"] == 1.0
    assert_parity(bundle, ledger_url)


def test_a_payment_that_two_workers_decide_at_once_counts_once(
    bundle: Bundle, state_url: str, ledger_url: str, pay: Pay
) -> None:
    class Late(Ledger):
        """Loses every race."""

        def append_all(self, entries: Any, loop: asyncio.AbstractEventLoop) -> None:
            loop.call_later(0.05, super().append_all, entries, loop)

    first = Scorer(bundle, Late(ledger_url), key=KEY, state=state_url)
    second = Scorer(bundle, Ledger(ledger_url), key=KEY, state=state_url)
    first.start()
    second.start()

    async def decide() -> None:
        both = msgspec.json.encode(pay(payment_id="both"))
        assert len(set(await asyncio.gather(first.decide(both), second.decide(both)))) == 1
        await second.decide(msgspec.json.encode(pay(payment_id="next")))

    asyncio.run(decide())
    first.close()
    second.close()
    seen = {
        entry.payment_id: body(entry)["features"] for entry in payments(read_ledger(ledger_url))
    }
    assert {name: features["card_count_1h"] for name, features in seen.items()} == {
        "both": 0.0,
        "next": 1.0,
    }
    assert_parity(bundle, ledger_url)


def decisions(scorer: Scorer, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to payments that are sent one after another, by a scorer that beats once at the
    end.
    """

    async def decide() -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(await scorer.decide(msgspec.json.encode(payment)))
            for payment in sent
        ]

    answers = asyncio.run(decide())
    scorer.beat()
    return answers


def counts(ledger: str) -> dict[str, float]:
    """How many payments of its card each payment of a ledger has seen."""
    return {
        entry.payment_id: body(entry)["features"]["card_count_1h"]
        for entry in payments(read_ledger(ledger))
    }


@pytest.mark.parametrize("spoil", ["set", "cut", "head"])
def test_a_bad_value_in_redis_keeps_nobody_waiting(
    bundle: Bundle, state_url: str, tmp_path: Path, pay: Pay, spoil: str
) -> None:
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    scorer = Scorer(bundle, Ledger(ledger), key=KEY, state=state_url)
    scorer.start()

    async def decide(first: int) -> list[dict[str, Any]]:
        """The answers to payments of two cards that are sent together."""
        sent = [pay(payment_id=f"p{first + lane}", card_id=f"c{lane % 2}") for lane in range(8)]
        answers = await asyncio.wait_for(
            asyncio.gather(*(scorer.decide(msgspec.json.encode(payment)) for payment in sent)),
            PATIENCE,
        )
        return [msgspec.json.decode(answer) for answer in answers]

    assert not any(answer["degraded"] for answer in asyncio.run(decide(0)))
    with Redis.from_url(state_url) as client:
        (key,) = client.scan_iter("*:head" if spoil == "head" else "*:c1")
        if spoil == "cut":
            client.lset(key, -1, bytes(client.lindex(key, -1) or b"")[:-3])
            # another process reads it
            scorer.leave()
            scorer.close()
            scorer = Scorer(bundle, Ledger(ledger), key=KEY, state=state_url)
            scorer.start()
        else:
            client.delete(key)
            client.sadd(key, "garbage")
    assert all(answer["degraded"] for answer in asyncio.run(decide(8)))
    assert scorer.unready is None
    assert "a key of the state held" in (scorer.degraded or "")
    assert scorer.drops == 1
    scorer.refill()
    assert not any(answer["degraded"] for answer in asyncio.run(decide(16)))
    assert scorer.degraded is None
    scorer.leave()
    scorer.close()
    assert_parity(bundle, ledger)


def test_whatever_fails_when_payments_are_observed_all_callers_are_answered(
    scorer: Scorer, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observe(payments: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(scorer.state, "observe", observe)  # nothing that is known fails like this

    async def decide() -> list[object]:
        sent = [msgspec.json.encode(pay()) for _ in range(5)]
        answers = asyncio.gather(*map(scorer.decide, sent), return_exceptions=True)
        return list(await asyncio.wait_for(answers, PATIENCE))

    assert all(isinstance(answer, RuntimeError) for answer in asyncio.run(decide()))
    monkeypatch.undo()
    assert decisions(scorer, [pay()])[0]["degraded"] is False


def test_services_with_ledgers_of_their_own_do_not_see_each_other(
    bundle: Bundle, state_url: str, ledger_url: str, tmp_path: Path, pay: Pay
) -> None:
    ledgers = [ledger_url, *(f"sqlite:///{tmp_path / name}.db" for name in ("staging", "another"))]
    services = [Scorer(bundle, Ledger(url), key=KEY, state=state_url) for url in ledgers]
    for scorer in services:
        scorer.start()
    for number in range(6):
        for scorer in services:
            decisions(scorer, [pay(payment_id=f"p{number}")])
    for scorer, url in zip(services, ledgers, strict=True):
        scorer.leave()
        scorer.close()
        assert counts(url) == {f"p{number}": float(number) for number in range(6)}
        assert_parity(bundle, url)


def test_a_state_that_knows_more_than_a_restored_ledger_is_not_read(
    bundle: Bundle, state_url: str, tmp_path: Path, pay: Pay
) -> None:
    ledger, kept = tmp_path / "ledger.db", tmp_path / "kept.db"

    def run(first: int, upto: int) -> None:
        scorer = Scorer(bundle, Ledger(f"sqlite:///{ledger}"), key=KEY, state=state_url)
        scorer.start()
        decisions(scorer, [pay(payment_id=f"p{number}") for number in range(first, upto)])
        scorer.leave()
        scorer.close()

    run(0, 3)
    copyfile(ledger, kept)
    run(3, 5)
    assert counts(f"sqlite:///{ledger}") == {f"p{number}": float(number) for number in range(5)}, (
        "one state goes on"
    )
    copyfile(kept, ledger)
    run(5, 7)
    assert counts(f"sqlite:///{ledger}") == {"p0": 0.0, "p1": 1.0, "p2": 2.0, "p5": 3.0, "p6": 4.0}
    assert_parity(bundle, f"sqlite:///{ledger}")


def test_of_two_payloads_at_two_workers_only_the_other_is_refused(
    bundle: Bundle, state_url: str, ledger_url: str, pay: Pay
) -> None:
    both = [Scorer(bundle, Ledger(ledger_url), key=KEY, state=state_url) for _ in range(2)]
    for scorer in both:
        scorer.start()
    ways = [(worker, amount) for worker in (0, 1) for amount in (80.0, 90.0)] * 2

    async def race(number: int) -> None:
        made = pay(payment_id=f"r{number}", card_id=f"c{number}")
        # each worker may see either payload first
        order = Random(number).sample(ways, len(ways))
        sent = (
            both[worker].decide(msgspec.json.encode(made | {"amount": amount}))
            for worker, amount in order
        )
        answers = await asyncio.gather(*sent, return_exceptions=True)
        stored = Ledger(ledger_url).find(made["payment_id"])
        assert stored is not None
        counts = body(stored)["payment"]["values"]["amount"]
        for (_, amount), answer in zip(order, answers, strict=True):
            if amount == counts:
                assert answer == stored_answer(stored)
            else:
                assert isinstance(answer, PaymentConflict)

    async def results(number: int) -> None:
        order = Random(number).sample(
            [(worker, said) for worker in (0, 1) for said in ("failed", "authorised")] * 2, 8
        )
        told = await asyncio.gather(
            *(both[worker].learn("result", f"r{number}", said) for worker, said in order),
            return_exceptions=True,
        )
        taken = {said for (_, said), outcome in zip(order, told, strict=True) if outcome is None}
        assert len(taken) == 1
        refused = [
            outcome for (_, said), outcome in zip(order, told, strict=True) if said not in taken
        ]
        assert [*map(type, refused)] == [PaymentConflict] * 4
        assert [
            outcome for (_, said), outcome in zip(order, told, strict=True) if said in taken
        ] == [None] * 4

    async def work() -> None:
        for number in range(60):
            await race(number)
            await results(number)

    asyncio.run(asyncio.wait_for(work(), PATIENCE))
    for scorer in both:
        scorer.close()
    assert_parity(bundle, ledger_url)


def test_workers_change_over_to_other_features_together(
    bundle: Bundle, model: bytes, state_url: str, ledger_url: str, pay: Pay, tmp_path: Path
) -> None:
    more = FeatureGroup("velocity", [*VELOCITY.definitions, card.count("2d")], version=2)
    other = save(make_bundle(model, groups=(more,)), tmp_path / "more")
    both = [Scorer(bundle, Ledger(ledger_url), key=KEY, state=state_url) for _ in range(2)]
    answers: list[dict[str, Any]] = []

    async def send(scorer: Scorer, lane: int) -> None:
        for number in count():
            sent = pay(payment_id=f"{lane}-{number}", card_id=f"c{number % 3}")
            answers.append(msgspec.json.decode(await scorer.decide(msgspec.json.encode(sent))))
            if number % 5 == 0:
                await scorer.learn("result", sent["payment_id"], "failed")

    async def beat() -> None:
        while True:
            for scorer in both:
                scorer.beat()
            await asyncio.sleep(0.1)

    async def work() -> None:
        beside = [asyncio.create_task(beat())]
        for scorer in both:
            await asyncio.to_thread(scorer.start)
        beside += [asyncio.create_task(send(both[lane % 2], lane)) for lane in range(6)]
        for target in (other, bundle, other):
            first = asyncio.create_task(both[0].adopt(target))
            # the second one notices later
            await asyncio.sleep(0.5)
            assert not first.done(), "nobody gives features of a state that others do not tell"
            await both[1].adopt(target)
            await first
            assert {scorer.bundle.version for scorer in both} == {target.version}
        for task in beside:
            task.cancel()
        found = await asyncio.gather(*beside, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in found), found

    asyncio.run(asyncio.wait_for(work(), PATIENCE))
    for scorer in both:
        scorer.close()
    assert not any(answer["degraded"] for answer in answers)
    assert {answer["model"]["version"] for answer in answers} == {bundle.version, other.version}
    assert_parity(bundle, ledger_url)


def test_several_workers_need_what_they_share(bundle_folder: Path, tmp_path: Path) -> None:
    alone = Service(bundle=bundle_folder, settings=Settings(home=tmp_path))
    with pytest.raises(ConfigurationError, match="set SHROFF_STATE to the URL of a Redis server"):
        serve(alone, port=0, workers=2)
    without_server = Service(
        bundle=bundle_folder, settings=Settings(home=tmp_path, state="redis://127.0.0.1:1")
    )
    with pytest.raises(ConfigurationError, match="set SHROFF_LEDGER to a PostgreSQL database"):
        serve(without_server, port=0, workers=2)
