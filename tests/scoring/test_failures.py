"""When the ledger or the model fails: nothing wrong is answered, nothing is counted, and all goes
on after.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from serve.asking import run
from serve.audit import assert_equal_to_batch, body, read_ledger, state
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from serve.service import KEY
from shroff import Rates
from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.decide.decider import Assessment, Decider
from shroff.errors import BundleError, LedgerUnavailable, PaymentConflict
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import Entry, Ledger, OnDurable, committer, writer
from shroff.ledger.committer import Committer
from shroff.ledger.statements import commit
from shroff.package import Bundle, save
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


def encode(payment: dict[str, Any]) -> bytes:
    return msgspec.json.encode(payment)


async def outcomes(scorer: Scorer, sent: Sequence[dict[str, Any]]) -> list[bytes | BaseException]:
    return await asyncio.gather(
        *[scorer.decide(encode(payment)) for payment in sent], return_exceptions=True
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_lost_ledger_refuses_and_counts_nothing(
    scorer: Scorer, bundle: Bundle, pay: Pay, file: Path, ledger_url: str
) -> None:
    aside = file.with_name("aside.db")
    kept = [pay(payment_id=f"k{n}", amount=10.0 + n) for n in range(5)]
    lost = [
        pay(payment_id=f"l{n}", card_id=f"c{n % 3}", host_id=f"h{n}", amount=20.0 + n)
        for n in range(40)
    ]

    async def work() -> None:
        await outcomes(scorer, kept)
        before = state(scorer)
        file.rename(aside)
        refused = await outcomes(scorer, [*lost, lost[0], lost[1]])
        assert {type(outcome) for outcome in refused} == {LedgerUnavailable}
        assert state(scorer) == before
        aside.rename(file)
        sent = lost[::-1]
        while any(
            isinstance(outcome, LedgerUnavailable) for outcome in await outcomes(scorer, sent)
        ):
            await asyncio.sleep(0.01)

    run(work())
    entries = read_ledger(ledger_url)
    assert sorted(entry.payment_id for entry in entries) == sorted(
        payment["payment_id"] for payment in kept + lost
    )
    assert_equal_to_batch(bundle, entries)


def test_a_payment_tried_again_by_its_reader_is_the_one_that_was_sent(
    model: bytes, pay: Pay, file: Path, ledger_url: str, tmp_path: Path
) -> None:
    rates = Rates.constant("EUR", {"JPY": "0.00625"})
    schema = msgspec.structs.replace(SCHEMA, rates=rates).with_keys(VELOCITY.key_columns)
    scorer = Scorer(
        save(make_bundle(model, schema=schema, currency="EUR"), tmp_path / "bundle"),
        Ledger(ledger_url),
        key=KEY,
    )
    scorer.start()
    aside, sent = file.with_name("aside.db"), encode(pay(amount=12_800, currency="JPY"))

    async def work() -> None:
        # as Kafka's consumer does: read once, tried until the ledger is there
        payment = scorer.reader.parse(sent, arrived=0)
        file.rename(aside)
        with pytest.raises(LedgerUnavailable):
            await scorer.judge(payment)
        aside.rename(file)
        while isinstance(
            answer := (await asyncio.gather(scorer.judge(payment), return_exceptions=True))[0],
            Exception,
        ):
            assert isinstance(answer, LedgerUnavailable)
            await asyncio.sleep(0.01)
        assert await scorer.decide(sent) == answer

    run(work())
    scorer.close()
    (entry,) = read_ledger(ledger_url)
    assert body(entry)["payment"]["arrived"] == 0


def test_results_that_cannot_be_kept_are_not_seen(
    scorer: Scorer, bundle: Bundle, pay: Pay, file: Path, ledger_url: str
) -> None:
    aside = file.with_name("aside.db")

    async def work() -> None:
        await outcomes(scorer, [pay(payment_id="a")])
        file.rename(aside)
        during = pay(payment_id="b")
        refused = await asyncio.gather(
            scorer.learn("result", "a", "failed"),
            scorer.decide(encode(during)),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, LedgerUnavailable) for outcome in refused)
        aside.rename(file)
        while isinstance((await outcomes(scorer, [during]))[0], LedgerUnavailable):
            await asyncio.sleep(0.01)
        # the one that was refused did not count as the first
        await scorer.learn("result", "a", "authorised")
        await outcomes(scorer, [pay(payment_id="c")])

    run(work())
    entries = read_ledger(ledger_url)
    assert [entry.kind for entry in entries] == ["payment", "payment", "result", "payment"]
    assert_equal_to_batch(bundle, entries)


def test_a_full_queue_refuses_the_last_and_keeps_the_first(
    bundle: Bundle, pay: Pay, file: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as on a slow disk: the writer's thread commits
    monkeypatch.setattr(writer, "_QUICK_NS", -1)
    scorer = Scorer(bundle, Ledger(ledger_url, max_queue=64), key=KEY)
    scorer.start()
    sent = [pay(payment_id=f"q{n}") for n in range(150)]

    async def work() -> list[bytes | BaseException]:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = [asyncio.create_task(scorer.decide(encode(payment))) for payment in sent]
            # the writer waits for the lock with what it took, the rest for the writer, until there
            # is no room
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return await asyncio.gather(*waiting, return_exceptions=True)

    done = run(work())
    assert {type(outcome) for outcome in done} == {bytes, LedgerUnavailable}
    assert run(outcomes(scorer, sent[:1])) == done[:1]
    scorer.close()
    entries = read_ledger(ledger_url)
    answered = [outcome for outcome in done if isinstance(outcome, bytes)]
    assert [msgspec.json.decode(answer)["payment_id"] for answer in answered] == [
        e.payment_id for e in entries
    ]
    assert_equal_to_batch(bundle, entries)


class OtherWriter(Ledger):
    """A ledger in which another process always writes first."""

    rival: Callable[[Entry], Entry]

    def append_all(
        self, entries: Sequence[tuple[Entry, OnDurable[None]]], loop: asyncio.AbstractEventLoop
    ) -> None:
        rivals = [(self.rival(entry), lambda _: None) for entry, _ in entries]
        super().append_all([*rivals, *entries], loop)


@pytest.mark.parametrize("same", [True, False])
def test_another_process_that_was_faster_is_believed(
    bundle: Bundle, pay: Pay, ledger_url: str, same: bool
) -> None:
    def rival(entry: Entry) -> Entry:
        record = msgspec.json.decode(entry.body) | {"answer": {"from": "rival"}}
        digest = entry.digest if same else bytes(32)
        return Entry(
            entry.kind,
            entry.payment_id,
            entry.arrived,
            entry.time,
            digest,
            msgspec.json.encode(record),
        )

    ledger = OtherWriter(ledger_url)
    ledger.rival = rival
    scorer = Scorer(bundle, ledger, key=KEY)
    scorer.start()
    before = state(scorer)
    (outcome,) = run(outcomes(scorer, [pay()]))
    assert outcome == b'{"from":"rival"}' if same else isinstance(outcome, PaymentConflict)
    assert state(scorer) == before
    scorer.close()


def test_one_payment_that_breaks_the_engine_does_not_touch_its_neighbours(
    scorer: Scorer, pay: Pay, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = OnlineEngine.observe

    def fragile(engine: OnlineEngine, payment: Payment) -> dict[str, Value]:
        if payment.id == "bad":
            raise OverflowError
        return observe(engine, payment)

    monkeypatch.setattr(OnlineEngine, "observe", fragile)
    sent = [pay(payment_id=name) for name in ("a", "bad", "b")]
    first, second, third = run(outcomes(scorer, sent))
    assert (type(first), type(second), type(third)) == (bytes, OverflowError, bytes)
    assert [entry.payment_id for entry in read_ledger(ledger_url)] == ["a", "b"]


def test_a_defect_while_deciding_leaves_nothing_behind(
    scorer: Scorer, pay: Pay, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[Assessment]:
        raise ZeroDivisionError

    before = state(scorer)
    with monkeypatch.context() as patch:
        patch.setattr(Decider, "assess", broken)
        payment = pay()
        assert {type(one) for one in run(outcomes(scorer, [payment, pay()]))} == {ZeroDivisionError}
    assert state(scorer) == before
    (answer,) = run(outcomes(scorer, [payment]))
    assert isinstance(answer, bytes)
    assert len(read_ledger(ledger_url)) == 1


def test_a_model_that_fails_while_it_runs_degrades_until_it_works_again(
    scorer: Scorer, pay: Pay
) -> None:
    def broken(_: object) -> list[float]:
        raise BundleError("ONNX Runtime cannot run the model (Fail).")

    async def answer() -> dict[str, Any]:
        made: dict[str, Any] = msgspec.json.decode(await scorer.decide(encode(pay())))
        return made

    working = scorer.decider._score
    scorer.decider._score = broken
    degraded = run(answer())
    assert (degraded["degraded"], degraded["probability"], degraded["action"]) == (
        True,
        None,
        "review",
    )
    assert scorer.unready == "ONNX Runtime cannot run the model (Fail)."
    scorer.decider._score = working
    assert run(answer())["degraded"] is False
    assert str(scorer.unready) == "None"


def test_what_was_refused_and_is_there_all_the_same_counts(
    scorer: Scorer, bundle: Bundle, pay: Pay, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is lost in the middle of a commit, which is done, and stays away for a while."""
    lost = OperationalError("COMMIT", None, sqlite3.OperationalError("lost"))

    def commit_and_lose(connection: Connection) -> None:
        commit(connection)
        raise lost

    def away(*_: object) -> bool:
        raise lost

    async def work() -> None:
        await outcomes(scorer, [pay(payment_id="a"), pay(payment_id="b")])
        with monkeypatch.context() as patch:
            patch.setattr(committer, "commit", commit_and_lose)
            patch.setattr(Committer, "has", away)
            refused = await outcomes(scorer, [pay(payment_id="doubted"), pay(payment_id="too")])
            assert {type(one) for one in refused} == {LedgerUnavailable}
        # still away for one more
        with monkeypatch.context() as patch:
            patch.setattr(Committer, "has", away)
            (still,) = await outcomes(scorer, [pay(payment_id="c")])
            assert isinstance(still, LedgerUnavailable)
        sent = [pay(payment_id=name) for name in ("d", "e")]
        while any(isinstance(one, LedgerUnavailable) for one in await outcomes(scorer, sent)):
            await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(committer, "commit", commit_and_lose)
            patch.setattr(Committer, "has", away)
            with pytest.raises(LedgerUnavailable):
                await scorer.learn("label", "a", True)
        last = [pay(payment_id=name) for name in ("f", "g")]
        while any(isinstance(one, LedgerUnavailable) for one in await outcomes(scorer, last)):
            await asyncio.sleep(0.01)

    run(work())
    entries = read_ledger(ledger_url)
    assert [entry.payment_id for entry in entries] == [
        "a",
        "b",
        "doubted",
        "too",
        "d",
        "e",
        "a",
        "f",
        "g",
    ]
    assert_equal_to_batch(bundle, entries)
    assert body(entries[-1])["features"]["merchant_risk_30d"] > 0
