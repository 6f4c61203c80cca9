"""The consuming process: bundle, ledger and state between topics, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path

from shroff.package import load
from shroff.serve.app import BEAT
from shroff.serve.control.gate import REFRESH
from shroff.serve.kafka.messages import Topics
from shroff.serve.kafka.options import client_options
from shroff.serve.kafka.stream import Stream
from shroff.serve.scorer import Scorer
from shroff.serve.server import Service
from shroff.settings import Settings


def consume(
    bundle: str | Path,
    topics: Topics,
    *,
    group: str = "shroff",
    in_flight: int = 512,
    until_end: bool = False,
    patience: float = 60.0,
    warm: str | Path | None = None,
    max_bad: float = 0.01,
    lateness: str = "1d",
    settings: Settings | None = None,
    joined: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """Decide the payments of a topic until SIGTERM or SIGINT; then finish what was begun.

    Args:
        bundle: the folder of a bundle.
        group: the consumer group, under whose name Kafka keeps how far was read.
        in_flight: how many messages of a topic may be on their way at once.
        until_end: stop when everything was read that is there.
        patience: seconds that a result or label waits for its payment.
        warm: a table of payments to start from (.csv, .csv.gz, .parquet); `max_bad` as for `clean`.
        lateness: how much older than the newest payment one may be when it arrives.
        settings: where Kafka and the ledger are; by default from the environment.
        joined: called once payments are about to be read.

    Returns:
        What was done, in numbers, and how fast.

    Raises:
        BundleError: the bundle is incomplete or altered.
        BrokerUnavailable: Kafka does not answer at the start.
        LedgerUnavailable: the ledger does not open, or another process writes it.
        ConfigurationError: a setting is wrong, a topic is missing, or Kafka refuses.
        DataError: the table to start from is unusable.
        MissingExtra: confluent-kafka is not installed.
    """
    chosen = settings or Settings.read()
    service = Service(settings=chosen, warm=warm, max_bad=max_bad, lateness=lateness)
    scorer = service.scorer(load(bundle))
    stream = Stream(
        scorer,
        topics,
        client_options(chosen.kafka),
        group=group,
        in_flight=in_flight,
        until_end=until_end,
        patience=patience,
    )
    try:
        scorer.start()
        stream.join()
        scorer.tend()
        scorer.follow_lists()
        joined()
        # the state lives as long as the process: later collections need not walk through it
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_run(stream, partial(_tend, scorer), partial(_beat, scorer)))
    finally:
        scorer.close()
    return _summary(stream)


async def _tend(scorer: Scorer) -> None:
    """Notice lists that change, and a state that came back empty, while payments are decided."""
    while True:
        await asyncio.sleep(REFRESH)
        await asyncio.to_thread(scorer.tend)
        scorer.follow_lists()


async def _beat(scorer: Scorer) -> None:
    """Show others that share the state that this process is there."""
    while True:
        await asyncio.sleep(BEAT)
        scorer.beat()


async def _run(stream: Stream, *others: Callable[[], Coroutine[None, None, None]]) -> None:
    running, beside = asyncio.create_task(stream.run()), [asyncio.create_task(other()) for other in others]
    await asyncio.sleep(0)
    # a thread that is not the main one, or Windows, has no signals to handle
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stream.stop)
    try:
        await running
    finally:
        for task in beside:
            task.cancel()


def _loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _summary(stream: Stream) -> dict[str, object]:
    decided, seconds = stream.counts["decided"], stream.seconds
    return {
        "decided": decided,
        "results": stream.counts["results"],
        "labels": stream.counts["labels"],
        "rejected": dict(stream.rejected),
        "seconds": round(seconds, 3),
        "decided_per_second": round(decided / seconds, 1) if seconds else 0.0,
    }
