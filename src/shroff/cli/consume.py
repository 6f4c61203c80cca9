"""`shroff consume`: payments from a Kafka topic, decisions to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shroff.cli.arguments import AcceptBroken, Lateness, MaxBad, Warm, WarmLabels, require_payments
from shroff.cli.terminal import AsJson, err, out, show


def consume(
    payments: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TOPIC",
            help="Read payments, one JSON object a message.",
            show_default=False,
        ),
    ],
    decisions: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TOPIC",
            help="Write decisions, keyed by payment id.",
            show_default=False,
        ),
    ],
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle; by default what `shroff publish` put into production.",
            show_default=False,
        ),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="Read the results of payments.", show_default=False),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC", help="Read the labels of payments: fraud or not.", show_default=False
        ),
    ] = None,
    label_source: Annotated[
        str | None,
        typer.Option(
            help="The source of the labels in that topic, such as chargeback; default: the topic's "
            "name.",
            show_default=False,
        ),
    ] = None,
    rejected: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC",
            help="Write the messages that cannot be used, with the reason.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[str, typer.Option(help="Consumer group.")] = "shroff",
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end of the topics.")
    ] = False,
    in_flight: Annotated[
        int, typer.Option(help="The most messages of a topic in flight.", min=1)
    ] = 512,
    patience: Annotated[
        float, typer.Option(help="How many seconds a result or label waits for its payment.", min=0)
    ] = 60.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port for /metrics and /health; 0 takes a free one.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="Address for /metrics and /health.")
    ] = "127.0.0.1",
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Show /metrics without an API key.")
    ] = False,
    warm: Warm = None,
    warm_labels: WarmLabels = None,
    lateness: Lateness = "1d",
    max_bad: MaxBad = 0.01,
    accept_broken_chain: AcceptBroken = False,
    log: Annotated[
        Literal["text", "json"],
        typer.Option(help="The log on standard error: sentences, or one JSON object a line."),
    ] = "text",
    as_json: AsJson = False,
) -> None:
    """Decide the payments of a Kafka topic; SHROFF_KAFKA says where Kafka is."""
    require_payments(warm, warm_labels, flag="--warm")
    from shroff.kafka.messages import Topics
    from shroff.kafka.run import StatusAddress
    from shroff.kafka.run import consume as run
    from shroff.serve.server import Service
    from shroff.telemetry.log import say_consuming, write_log

    if log == "json":
        write_log(log)

    def joined(url: str | None) -> None:
        shows = "" if url is None else f"; {url}/metrics shows how it does"
        sentence = f"reads {payments} and writes {decisions}, until SIGTERM or Ctrl-C{shows}."
        if log == "json":
            say_consuming(sentence)
        elif not as_json:
            err.print(f"shroff {sentence}", soft_wrap=True)

    service = Service(
        bundle=bundle,
        warm=warm,
        warm_labels=warm_labels,
        max_bad=max_bad,
        lateness=lateness,
        keys=not without_keys,
        accept_broken_chain=accept_broken_chain,
    )
    done = run(
        service,
        Topics(
            payments=payments,
            decisions=decisions,
            results=results,
            labels=labels,
            rejected=rejected,
        ),
        group=group,
        in_flight=in_flight,
        until_end=until_end,
        patience=patience,
        label_source=label_source,
        shown=None if metrics_port is None else StatusAddress(port=metrics_port, host=metrics_host),
        joined=joined,
    )
    if as_json:
        show(done)
    else:
        _print(done)
    if (
        until_end
        and done["rejected"]
        and not (done["decided"] or done["results"] or done["labels"])
    ):
        err.print(
            "shroff: every message was rejected, none was accepted.", style="bold red", markup=False
        )
        raise typer.Exit(1)


def _print(done: dict[str, object]) -> None:
    rejected: dict[str, int] = dict(done["rejected"])  # type: ignore[call-overload]  # by construction
    rejections = ", ".join(f"{count:,} {reason}" for reason, count in rejected.items()) or "0"
    out.print(
        f"{done['decided']:,} payments decided, {done['results']:,} results and {done['labels']:,} "
        "labels recorded, "
        f"rejected: {rejections}; {done['decided_per_second']:,} payments a second."
    )
