"""Exchange rates: those in force, and their replacement."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from shroff.collect.fields import require_fit_note
from shroff.collect.rates import Rate, Rates
from shroff.control import LiveRates
from shroff.errors import BadPayment, ConfigurationError, NotFound
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Operation, Reply


class NewRates(msgspec.Struct, forbid_unknown_fields=True):
    """A whole table of rates to the base currency, and why."""

    rates: list[Rate]
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class UsedRates(msgspec.Struct, frozen=True):
    """The exchange rates in force: units of `base` per unit; records name them by `mark`."""

    base: str
    mark: str
    rates: tuple[Rate, ...]


def rate_operations(scorer: Scorer, live: LiveRates) -> list[Operation]:
    """`GET` and `POST /v1/rates`."""

    async def rates(_: Call) -> Reply:
        return Reply.json(_used(scorer))

    async def replace(call: Call) -> Reply:
        new = await call.json(NewRates)
        base = _used(scorer).base
        require_fit_note(new.note)
        try:
            made = await asyncio.to_thread(Rates, base, new.rates)
        except ConfigurationError as error:
            raise BadPayment(str(error)) from None
        await asyncio.to_thread(live.store.replace, made, by=call.caller, note=new.note)
        await asyncio.to_thread(live.refresh)
        scorer.follow_rates()
        return Reply.json(_used(scorer))

    return [
        Operation(
            method="GET",
            path="/v1/rates",
            name="rates",
            summary="The exchange rates that payments are converted by",
            handler=rates,
            scope="read",
            gives={JSON: (UsedRates,)},
            fails=(problem.NOT_FOUND,),
        ),
        Operation(
            method="POST",
            path="/v1/rates",
            name="replace_rates",
            summary="Convert payments by other exchange rates",
            description="Payments are converted by them when it is answered; other workers follow "
            "within seconds.",
            handler=replace,
            scope="admin",
            takes={JSON: (NewRates,)},
            gives={JSON: (UsedRates,)},
            status=201,
            done="The rates that payments are converted by from now on.",
            fails=(problem.BAD_PAYMENT, problem.NOT_FOUND, problem.UNAVAILABLE),
            any_media=True,
        ),
    ]


def _used(scorer: Scorer) -> UsedRates:
    rates = scorer.reader.rates
    if rates is None:
        raise NotFound(
            "the model in production converts nothing: it was trained without exchange rates."
        )
    return UsedRates(rates.base, rates.mark, tuple(rates.rates))
