"""`GET /metrics`: the operation, and the rooms whose figures it shows."""

from __future__ import annotations

from functools import partial

from shroff.control import Gate
from shroff.control import figures as control
from shroff.scoring import figures as scoring
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.serve import figures as requests
from shroff.serve.operation import Call, Operation, Reply
from shroff.state.figures import Census
from shroff.telemetry.family import Source
from shroff.telemetry.figures import process
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.registry import Registry


def registry(
    scorer: Scorer,
    *sources: Source,
    gate: Gate | None = None,
    deployments: Deployments | None = None,
    fleet: Fleet | None = None,
) -> Registry:
    """The registry of the figures of a scorer and its surroundings.

    Args:
        sources: of rooms above this one.
        fleet: the workers of which this is one.
    """
    census = Census(scorer.census)
    return Registry(
        partial(requests.figures, scorer.meter),
        partial(scoring.figures, scorer, deployments, census),
        partial(control.figures, gate, scorer.lists),
        *sources,
        process,
        survey=census.take,
        fleet=fleet,
    )


def scraped(metrics: Registry) -> Operation:
    """What Prometheus scrapes."""

    async def scrape(call: Call) -> Reply:
        media, text = await metrics.exposition(call.headers.get(b"accept", b"").decode("latin-1"))
        return Reply(text, media)

    return Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Figures for Prometheus",
        handler=scrape,
        scope="read",
        gives={"text/plain": (str,), "application/openmetrics-text": (str,)},
    )
