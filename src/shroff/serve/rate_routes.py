"""The routes of the exchange rates: those that payments are converted by, and others in their place."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from shroff.collect.fields import require_fit_note
from shroff.collect.rates import Rate, Rates
from shroff.control import LiveRates
from shroff.errors import BadPayment, ConfigurationError, NotFound
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.routing import CHANGE, asker, needs, problems


class NewRates(msgspec.Struct, forbid_unknown_fields=True):
    """A whole table of rates to the base currency, and why."""

    rates: list[Rate]
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class UsedRates(msgspec.Struct, frozen=True):
    """The rates that payments are converted by: units of `base` per unit; `mark` is what records call them."""

    base: str
    mark: str
    rates: tuple[Rate, ...]


def rate_routes(scorer: Scorer, live: LiveRates) -> list[HTTPRouteHandler]:
    """GET and POST /v1/rates."""

    @get(
        "/v1/rates",
        opt=needs("read"),
        operation_id="rates",
        summary="The exchange rates that payments are converted by",
        responses=problems(problem.NOT_FOUND),
        sync_to_thread=False,
    )
    def rates() -> UsedRates:
        return _used(scorer)

    @post(
        "/v1/rates",
        opt=needs("admin"),
        operation_id="replace_rates",
        summary="Convert payments by other exchange rates",
        description="Payments are converted by them when it is answered; other workers follow within seconds.",
        responses=CHANGE,
    )
    async def replace(data: JSONBody[NewRates], request: Request[Any, Any, Any]) -> UsedRates:
        base = _used(scorer).base
        require_fit_note(data.note)
        try:
            made = await asyncio.to_thread(Rates, base, data.rates)
        except ConfigurationError as error:
            raise BadPayment(str(error)) from None
        await asyncio.to_thread(live.store.replace, made, by=asker(request), note=data.note)
        await asyncio.to_thread(live.refresh)
        scorer.follow_rates()
        return _used(scorer)

    return [rates, replace]


def _used(scorer: Scorer) -> UsedRates:
    rates = scorer.reader.rates
    if rates is None:
        raise NotFound("the model in production converts nothing: it was trained without exchange rates.")
    return UsedRates(rates.base, rates.mark, tuple(rates.rates))
