"""Health: whether the process runs, and whether all is well; for a Kafka consumer too."""

from __future__ import annotations

from shroff.scoring import health as scoring
from shroff.scoring.health import Health
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Operation, Reply


def health(scorer: Scorer) -> list[Operation]:
    """`GET /health/live` and `/health/ready`."""

    async def live(_: Call) -> Reply:
        return Reply.json(Health("live"))

    async def ready(_: Call) -> Reply:
        return Reply.json(scoring.ready(scorer))

    return [
        Operation(
            method="GET",
            path="/health/live",
            name="live",
            summary="Whether the process runs",
            handler=live,
            scope=None,
            gives={JSON: (Health,)},
        ),
        Operation(
            method="GET",
            path="/health/ready",
            name="ready",
            summary="Whether all is well",
            handler=ready,
            scope=None,
            gives={JSON: (Health,)},
            fails=(problem.UNAVAILABLE,),
        ),
    ]
