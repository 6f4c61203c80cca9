"""The deployed models, policy and features, and the candidate in the shadow."""

from __future__ import annotations

from shroff.errors import NotFound
from shroff.scoring import catalogue
from shroff.scoring.catalogue import DeployedGroup, DeployedModel, DeployedPolicy
from shroff.scoring.scorer import Scorer
from shroff.scoring.shadow import Comparison
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Operation, Reply


def deployed(scorer: Scorer) -> list[Operation]:
    """`GET /v1/models`, `/v1/policy`, `/v1/features` and `/v1/shadow`."""

    async def models(_: Call) -> Reply:
        return Reply.json(catalogue.models(scorer))

    async def policy(_: Call) -> Reply:
        return Reply.json(catalogue.policy(scorer))

    async def features(_: Call) -> Reply:
        return Reply.json(catalogue.groups(scorer))

    async def shadow(_: Call) -> Reply:
        if scorer.shadow is None:
            raise NotFound(
                "no model is in the shadow; `shroff publish BUNDLE --shadow` puts one there."
            )
        return Reply.json(scorer.shadow.comparison)

    return [
        Operation(
            method="GET",
            path="/v1/models",
            name="models",
            summary="The models that decide",
            handler=models,
            scope="read",
            gives={JSON: (list[DeployedModel],)},
        ),
        Operation(
            method="GET",
            path="/v1/policy",
            name="policy",
            summary="The policy that decides",
            handler=policy,
            scope="read",
            gives={JSON: (DeployedPolicy,)},
        ),
        Operation(
            method="GET",
            path="/v1/features",
            name="features",
            summary="The features computed for every payment",
            handler=features,
            scope="read",
            gives={JSON: (list[DeployedGroup],)},
        ),
        Operation(
            method="GET",
            path="/v1/shadow",
            name="shadow",
            summary="The candidate beside the model that decides",
            handler=shadow,
            scope="read",
            gives={JSON: (Comparison,)},
            fails=(problem.NOT_FOUND,),
        ),
    ]
