"""Times from the future and clocks that jump refuse no payment of now, and no feature is other than
batch's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import polars as pl
import pytest

from patience import until
from serve.asking import decide, refusal, run
from serve.fixtures import iso
from serve.service import KEY
from serve.several import state_url
from shroff.collect import clean
from shroff.errors import BadFile, BadPayment, StateUnavailable
from shroff.features.engines.online.redis import RedisEngine
from shroff.ledger import Ledger, StoredEntry
from shroff.monitor import ledger_parity
from shroff.package import Bundle
from shroff.scoring import health
from shroff.scoring.scorer import Scorer
from shroff.scoring.start import stored_start
from shroff.serve.background import Background
from shroff.serve.metrics import registry

Pay = Callable[..., dict[str, Any]]
__all__ = ["state_url"]
HOUR = 3_600_000_000
YEAR = 365 * 24 * HOUR


class Clock:
    """The computer's, set forward or back."""

    def __init__(self) -> None:
        self.off = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000 + self.off

    def now(self) -> str:
        return iso(self() / 1e6)


@contextmanager
def started(bundle: Bundle, url: str, **options: Any) -> Iterator[Scorer]:
    with closing(Scorer(bundle, Ledger(url), key=KEY, **options)) as scorer:
        scorer.start()
        yield scorer


def past(bundle: Bundle, pay: Pay, **moments: float) -> Callable[[], pl.DataFrame]:
    """Makes a clean history of a payment by each name, so many seconds from now."""
    outcome = {"result": "authorised", "is_fraud": False}
    rows = [
        pay(payment_id=name, created_at=iso(time.time() + away))
        | outcome
        | {"result_at": iso(time.time() + away + 1), "labelled_at": iso(time.time() + away + 2)}
        for name, away in moments.items()
    ]
    table = clean(pl.DataFrame(rows), bundle.schema, key=KEY).frame
    return lambda: table


def entries(url: str) -> list[StoredEntry]:
    """All records, of starts too."""
    with closing(Ledger(url)) as ledger:
        return list(ledger.entries())


def counts(url: str) -> list[float]:
    """How many payments of its card each decision knew that had features."""
    bodies = [msgspec.json.decode(entry.body) for entry in entries(url) if entry.kind == "payment"]
    return [body["features"]["card_count_1d"] for body in bodies if body["features"]]


def test_history_of_the_future_refuses_nobody_and_is_reported(
    bundle: Bundle, pay: Pay, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = past(bundle, pay, before=-600, fast=240, far=5 * 365 * 86_400)
    with started(bundle, ledger_url, lateness="1m", history=history) as scorer:
        for _ in range(2):
            run(decide(scorer, pay()))
        shown = health.ready(scorer)
    sentence = (
        "history and ledger hold payments more than 5 minutes later than this machine's clock (1): "
    )
    assert sentence in str(shown.notice)
    assert sentence in caplog.text
    assert shown.start is not None
    assert shown.start.future == 1
    with closing(Ledger(ledger_url)) as ledger:
        assert stored_start(ledger.last_start()) == shown.start
    # what has not arrived by the clock counts nowhere; what a clock that differs has sent does
    assert counts(ledger_url) == [2, 3]
    assert ledger_parity(bundle, entries(ledger_url), history=history()).holds


def test_a_start_long_after_knows_the_history_that_has_arrived_by_then(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    clock = Clock()
    history = past(bundle, pay, before=-600, later=7_200)
    with started(bundle, ledger_url, history=history, clock=clock) as scorer:
        run(decide(scorer, pay()))
    clock.off = 3 * HOUR
    with started(bundle, ledger_url, history=history, clock=clock) as scorer:
        assert scorer.notice is None
        run(decide(scorer, pay(created_at=clock.now())))
    assert counts(ledger_url) == [1, 3]
    assert ledger_parity(bundle, entries(ledger_url), history=history()).holds


def test_a_client_whose_clock_is_fast_makes_nobody_else_late(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    async def work(scorer: Scorer) -> None:
        await decide(scorer, pay(created_at=iso(time.time() + 240)))
        await decide(scorer, pay())
        error = await refusal(decide(scorer, pay(created_at=iso(time.time() + 360))))
        assert isinstance(error, BadPayment)
        assert "at most 5 minutes ahead of the service's clock" in str(error)
        await decide(scorer, pay())

    with started(bundle, ledger_url, lateness="1s") as scorer:
        run(work(scorer))
    assert counts(ledger_url) == [0, 1, 2]


def test_a_late_payment_is_refused_also_where_it_comes_together_with_the_newest(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    async def work(scorer: Scorer) -> None:
        old = iso(time.time() - 3 * 86_400)
        late = refusal(decide(scorer, pay(created_at=old)))
        _, error = await asyncio.gather(decide(scorer, pay()), late)
        assert isinstance(error, BadPayment)
        assert "at most 1d before the newest payment's" in str(error)

    with started(bundle, ledger_url) as scorer:
        run(work(scorer))
    assert counts(ledger_url) == [0]


@pytest.mark.parametrize("jump", [2 * HOUR, YEAR])
def test_a_clock_that_was_ahead_for_a_while_refuses_nobody_afterwards(
    bundle: Bundle, pay: Pay, ledger_url: str, jump: int
) -> None:
    clock = Clock()
    history = past(bundle, pay, before=-600)

    async def work(scorer: Scorer) -> None:
        await decide(scorer, pay())
        clock.off = jump
        await decide(scorer, pay(created_at=clock.now(), card_id="c2"))
        clock.off = 0
        # what was forgotten is not guessed: the policy decides until the state is there again
        answer = await decide(scorer, pay(created_at=iso(time.time() - 80_000)))
        assert (answer["degraded"], scorer.degraded is not None) == (True, True)
        await scorer.keep_state()
        assert scorer.degraded is None
        answer = await decide(scorer, pay())
        assert not answer["degraded"]
        await scorer.keep_state()

    with started(bundle, ledger_url, history=history, clock=clock) as scorer:
        run(work(scorer))
    assert counts(ledger_url) == [1, 0, 3]
    # the ledger has records of the future from now on
    with started(bundle, ledger_url, history=history, clock=clock) as scorer:
        assert "later than this machine's clock (1)" in str(scorer.notice)
        assert not run(decide(scorer, pay()))["degraded"]
    assert counts(ledger_url) == [1, 0, 3, 4]
    arrivals = [entry.arrived for entry in entries(ledger_url)]
    assert arrivals == sorted(set(arrivals))
    assert ledger_parity(bundle, entries(ledger_url), history=history()).holds


def test_a_clock_that_was_set_back_to_what_is_right_is_noticed_while_no_payment_comes(
    bundle: Bundle, pay: Pay, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    clock.off = YEAR

    async def work(scorer: Scorer) -> None:
        await decide(scorer, pay(created_at=clock.now()))
        await scorer.keep_state()
        assert "set back" not in caplog.text
        clock.off = 0
        await scorer.keep_state()
        assert (
            "the clock was set back: the state was filled anew from history and ledger."
            in caplog.text
        )
        assert not (await decide(scorer, pay()))["degraded"]

    with started(bundle, ledger_url, clock=clock) as scorer:
        run(work(scorer))


def test_a_state_that_cannot_be_filled_anew_is_said_once_and_tried_again(
    bundle: Bundle, pay: Pay, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, there = Clock(), past(bundle, pay, before=-600)
    gone = [False]

    def history() -> pl.DataFrame:
        if gone[0]:
            raise BadFile("cannot read it.")
        return there()

    async def work(scorer: Scorer) -> None:
        clock.off = YEAR
        await decide(scorer, pay(created_at=clock.now(), card_id="c2"))
        clock.off, gone[0] = 0, True
        for _ in range(2):
            await scorer.keep_state()
        assert (await decide(scorer, pay()))["degraded"]
        assert caplog.text.count("the state cannot be filled anew: cannot read it.") == 1
        gone[0] = False
        await scorer.keep_state()
        assert not (await decide(scorer, pay()))["degraded"]

    with started(bundle, ledger_url, clock=clock, history=history) as scorer:
        run(work(scorer))
    assert counts(ledger_url) == [0, 2]


def test_a_running_service_fills_its_state_anew_by_itself(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    """The service looks at its clock once a second."""
    clock = Clock()

    async def work(scorer: Scorer) -> None:
        clock.off = YEAR
        await decide(scorer, pay(created_at=clock.now()))
        clock.off = 0
        assert (await decide(scorer, pay()))["degraded"]
        metrics = registry(scorer)
        watching = asyncio.create_task(
            Background(scorer, metrics, gate=None, deployments=None).renew()
        )
        while scorer.degraded is not None:
            await asyncio.sleep(0.01)
        watching.cancel()
        assert not (await decide(scorer, pay()))["degraded"]

    with started(bundle, ledger_url, clock=clock) as scorer:
        run(work(scorer))


def test_a_state_in_redis_takes_payments_of_now_whatever_history_and_ledger_hold(
    bundle: Bundle, pay: Pay, ledger_url: str, state_url: str
) -> None:
    clock = Clock()
    history = past(bundle, pay, before=-600, far=5 * 365 * 86_400)
    # the ledger of a machine whose clock was a year ahead
    clock.off = YEAR
    with started(bundle, ledger_url, clock=clock) as scorer:
        run(decide(scorer, pay(created_at=clock.now(), card_id="c2")))
    with started(bundle, ledger_url, state=state_url, history=history, lateness="1m") as scorer:
        assert "later than this machine's clock (2)" in str(scorer.notice)
        until(lambda: not run(decide(scorer, pay()))["degraded"], said=lambda: str(scorer.degraded))
        assert not run(decide(scorer, pay(created_at=iso(time.time() + 200))))["degraded"]
        assert not run(decide(scorer, pay()))["degraded"]
    assert counts(ledger_url)[-3:] == [1, 2, 3]
    assert ledger_parity(bundle, entries(ledger_url), history=history()).holds


def test_a_state_in_redis_that_was_ahead_before_the_start_is_filled_anew(
    bundle: Bundle, pay: Pay, ledger_url: str, state_url: str
) -> None:
    with started(bundle, ledger_url, state=state_url) as scorer:
        run(decide(scorer, pay()))
        engine = scorer.state.engine
        assert isinstance(engine, RedisEngine)
        engine.link.call([("HSET", engine.name + b"head", "newest", Clock()() + YEAR)])
    with closing(Scorer(bundle, Ledger(ledger_url), key=KEY, state=state_url)) as again:
        # a service tries once more, by itself
        with pytest.raises(StateUnavailable):
            again.start()
        again.start()
        assert not run(decide(again, pay()))["degraded"]
    assert counts(ledger_url) == [0, 1]
    assert ledger_parity(bundle, entries(ledger_url)).holds
