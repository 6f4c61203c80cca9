"""Payments: decide one, read its stored decision, record its result and its labels."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from shroff.errors import PaymentConflict
from shroff.ledger.answer import Answer
from shroff.ledger.labels import UNKEYED, StoredDecision
from shroff.scoring.feedback import Label, Result, moment
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.openapi import Component
from shroff.serve.operation import JSON, NO_CONTENT, Call, Operation, Reply
from shroff.serve.problem import Refused

_EVENT_FAILS: Final = (
    problem.BAD_PAYMENT,
    problem.NOT_FOUND,
    problem.EVENT_CONFLICT,
    problem.UNAVAILABLE,
)
_RECORDED: Final = "It is recorded."


def hot(scorer: Scorer, payment: Component) -> list[Operation]:
    """The operations whose ordinary requests take the fast path (`Connection`).

    Args:
        payment: the description of a payment of the deployed schema.
    """

    async def decide(call: Call) -> Reply:
        return Reply(await scorer.decide(call.body))

    return [
        Operation(
            method="POST",
            path="/v1/decisions",
            name="decide",
            summary="Decide a payment",
            description="The decision is durable when its answer leaves. The same payment again "
            "gets the same answer.",
            handler=decide,
            accept=scorer.accept,
            scope="decide",
            takes={JSON: (payment,)},
            gives={JSON: (Answer,)},
            done="The decision.",
            fails=(
                problem.BAD_PAYMENT,
                problem.TIMEOUT,
                problem.PAYMENT_CONFLICT,
                problem.UNAVAILABLE,
            ),
        )
    ]


def payments(scorer: Scorer) -> list[Operation]:
    """Stored decisions, results and labels."""
    zone = ZoneInfo(scorer.bundle.schema.timezone) if scorer.bundle.schema.timezone else None

    async def decision(call: Call) -> Reply:
        return Reply(await scorer.decision(call.names["payment_id"]))

    async def result(call: Call) -> Reply:
        body = await call.json(Result)
        at = moment(body.at, zone, twice=scorer.reader.count_twice)
        try:
            await scorer.learn("result", call.names["payment_id"], body.result, at=at)
        except PaymentConflict as error:
            raise Refused(problem.EVENT_CONFLICT, str(error)) from None
        return NO_CONTENT

    async def label(call: Call) -> Reply:
        body = await call.json(Label)
        at = moment(body.at, zone, twice=scorer.reader.count_twice)
        source = (call.key and call.key.label_source) or UNKEYED
        try:
            await scorer.learn(
                "label",
                call.names["payment_id"],
                body.fraud,
                at=at,
                source=source,
                note=body.source,
                event=body.event_id,
            )
        except PaymentConflict as error:
            raise Refused(problem.EVENT_CONFLICT, str(error)) from None
        return NO_CONTENT

    return [
        Operation(
            method="GET",
            path="/v1/decisions/{payment_id}",
            name="decision",
            summary="The stored decision on a payment",
            handler=decision,
            scope="read",
            gives={JSON: (StoredDecision,)},
            done="The stored decision, and what was said of the payment since.",
            fails=(problem.BAD_PAYMENT, problem.UNAVAILABLE),
        ),
        Operation(
            method="POST",
            path="/v1/payments/{payment_id}/result",
            name="result",
            summary="Say what became of a payment",
            description="The same again is ignored, another one refused: the first counts.",
            handler=result,
            scope="label",
            takes={JSON: (Result,)},
            gives={},
            status=204,
            done=_RECORDED,
            fails=_EVENT_FAILS,
        ),
        Operation(
            method="POST",
            path="/v1/payments/{payment_id}/label",
            name="label",
            summary="Say whether a payment was fraud",
            description="The source of the key says so. What it says again is ignored; where it "
            "changes its mind, "
            "that is one more label in the history of the payment, which `GET "
            "/v1/decisions/{payment_id}` shows with "
            "the one that stands.",
            handler=label,
            scope="label",
            takes={JSON: (Label,)},
            gives={},
            status=204,
            done=_RECORDED,
            fails=_EVENT_FAILS,
        ),
    ]
