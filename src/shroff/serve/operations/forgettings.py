"""Forgetting people while the service runs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final

import msgspec

from shroff.decisions import Forgetting
from shroff.errors import BadPayment, ConfigurationError
from shroff.scoring.forgetting import Eraser
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Operation, Reply

_MOST_SUBJECTS: Final = 100
_Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
_Age = Annotated[str, msgspec.Meta(min_length=1, max_length=20, description="Such as `730d`.")]


class NewForgetting(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to forget: people by the values of the schema's subject as payments have them, or all
    payments of months that ended so long ago.
    """

    subjects: Annotated[list[_Subject], msgspec.Meta(max_length=_MOST_SUBJECTS)] = []
    older_than: _Age | None = None
    trace: Annotated[
        bool, msgspec.Meta(description="Keep what features of others need, nameless.")
    ] = True
    dry_run: Annotated[bool, msgspec.Meta(description="Only count.")] = False


def forgettings(scorer: Scorer, eraser: Eraser) -> list[Operation]:
    """`POST /v1/forgettings`."""

    async def forget(call: Call) -> Reply:
        asked = await call.json(NewForgetting)
        if bool(asked.subjects) == (asked.older_than is not None):
            raise BadPayment("expected either `subjects` or `older_than` - at `$`")
        scorer.require_well()
        try:
            with eraser.alone():
                return Reply.json(await _forgotten(scorer, eraser, asked, call.caller))
        except ConfigurationError as error:
            raise BadPayment(str(error)) from None

    return [
        Operation(
            method="POST",
            path="/v1/forgettings",
            name="forget",
            summary="Forget people",
            description="Destroys the keys of their records in the ledger, erases them in cases, "
            "and fills the state anew without them, while payments are decided. It reads the whole "
            "ledger, so it takes long; sent again, also after a failure, it does what is left. "
            "Payments that arrive meanwhile stay. Nothing brings back what was forgotten.",
            handler=forget,
            scope="forget",
            takes={JSON: (NewForgetting,)},
            gives={JSON: (Forgetting,)},
            done="What was forgotten; it does not say who.",
            fails=(problem.BAD_PAYMENT, problem.UNAVAILABLE),
        ),
    ]


async def _forgotten(scorer: Scorer, eraser: Eraser, asked: NewForgetting, by: str) -> Forgetting:
    if asked.older_than is not None:
        age = partial(eraser.expire, asked.older_than, by=by, dry_run=asked.dry_run)
        found = await asyncio.to_thread(age)
        await scorer.keep_state()
        return found
    if asked.dry_run:
        return await asyncio.to_thread(eraser.count, asked.subjects)
    begin = partial(eraser.begin, asked.subjects, by=by, traces=asked.trace)
    erasure = await asyncio.to_thread(begin)
    if erasure.found.sealed:
        await scorer.forget(erasure, partial(eraser.finish, erasure, by=by))
    return await asyncio.to_thread(eraser.done, erasure)
