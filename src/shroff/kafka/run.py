"""The consuming process: bundle, ledger and state between topics, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from shroff.kafka.consumer import Consumer
from shroff.kafka.messages import Topics
from shroff.kafka.options import client_options
from shroff.kafka.page import StatusPage, answered
from shroff.serve.background import Background
from shroff.serve.memory import settle
from shroff.serve.metrics import registry
from shroff.serve.server import Service, listen, url_of


@dataclass(frozen=True, kw_only=True)
class StatusAddress:
    """The address of the status page; port 0 takes a free one."""

    port: int
    host: str = "127.0.0.1"


def consume(
    service: Service,
    topics: Topics,
    *,
    group: str = "shroff",
    in_flight: int = 512,
    until_end: bool = False,
    patience: float = 60.0,
    label_source: str | None = None,
    shown: StatusAddress | None = None,
    joined: Callable[[str | None], None] = lambda url: None,
) -> dict[str, object]:
    """Decide a topic's payments until SIGTERM or SIGINT, then drain.

    Args:
        service: what decides; its keys guard the status page.
        group: the consumer group, under whose name Kafka keeps offsets.
        in_flight: most messages of a topic in flight at once.
        until_end: stop at the end of the topics.
        patience: seconds that a result or label may wait for its payment.
        label_source: the source of the labels; by default the name of their topic.
        shown: the address of the status page; by default there is none.
        joined: called before the first message is read, with the URL of the status page.

    Returns:
        The numbers of messages by outcome, and the rate.

    Raises:
        BundleError: the bundle is incomplete or altered.
        BrokerUnavailable: Kafka does not answer at the start.
        LedgerUnavailable: the ledger does not open, or another process writes it.
        BrokenChain: the ledger was changed.
        ConfigurationError: a setting is wrong, a topic is missing, or Kafka refuses.
        NothingAccepted: many well-formed messages came in a row, and none was accepted; they are
            not committed.
        DataError: the table to start from is unusable.
        MissingExtra: confluent-kafka is not installed.
    """
    scorer, deployments = service.scorer()
    consumer = Consumer(
        scorer,
        topics,
        client_options(service.settings.kafka),
        group=group,
        in_flight=in_flight,
        until_end=until_end,
        patience=patience,
        label_source=label_source,
    )
    gate = None if shown is None else service.gate()
    metrics = registry(scorer, consumer.figures, gate=gate, deployments=deployments)
    background = Background(scorer, metrics, gate=gate, deployments=deployments)
    with ExitStack() as stack:
        page, said = _page(shown, StatusPage(scorer, metrics, gate), stack)
        stack.callback(scorer.close)
        stack.callback(scorer.leave)
        scorer.start()
        settle()  # a busy member of the group would keep the others waiting
        consumer.join()
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_run(consumer, background, page, partial(joined, said)))
    return _summary(consumer)


def _page(
    shown: StatusAddress | None, page: StatusPage, stack: ExitStack
) -> tuple[AbstractAsyncContextManager[None], str | None]:
    """The status page, and its URL."""
    if shown is None:
        return nullcontext(), None
    listener = stack.enter_context(listen(shown.host, shown.port, option="--metrics-port"))
    return answered(page, listener), url_of(listener, "http")


async def _run(
    consumer: Consumer,
    background: Background,
    page: AbstractAsyncContextManager[None],
    joined: Callable[[], None],
) -> None:
    async with page:
        await background.refresh()
        joined()
        running = asyncio.create_task(consumer.run())
        beside = [
            asyncio.create_task(background.watch()),
            asyncio.create_task(background.renew()),
            asyncio.create_task(background.beat()),
            asyncio.create_task(background.save()),
        ]
        await asyncio.sleep(0)
        # other threads than the main one, and Windows, have no signals to handle
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, consumer.stop)
        try:
            await running
        finally:
            for task in beside:
                task.cancel()
            # a state that is being filled would hold up the end of the loop
            background.end()


def _loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _summary(consumer: Consumer) -> dict[str, object]:
    decided, seconds = consumer.counts["decided"], consumer.seconds
    return {
        "decided": decided,
        "results": consumer.counts["results"],
        "labels": consumer.counts["labels"],
        "rejected": dict(consumer.rejected),
        "seconds": round(seconds, 3),
        "decided_per_second": round(decided / seconds, 1) if seconds else 0.0,
    }
