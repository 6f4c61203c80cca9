"""Exchange rates: those in force, and their replacement."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final

import msgspec

from shroff.collect.conversion import PackedRates
from shroff.collect.fields import require_fit_note
from shroff.collect.rates import Rate, Rates
from shroff.control import LiveRates
from shroff.errors import BadPayment, ConfigurationError, NotFound
from shroff.ledger.answer import encode
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.asgi import Receive, Send
from shroff.serve.operation import JSON, Call, Operation, Reply

_SLICE_RATES: Final = 100
"""Rates that are written in one turn of the event loop."""


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
        return _reply(_used(scorer), 200)

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
        return _reply(_used(scorer), 201)

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


def _used(scorer: Scorer) -> PackedRates:
    converter = scorer.reader.converter
    if converter is None:
        raise NotFound(
            "the model in production converts nothing: it was trained without exchange rates."
        )
    return converter.rates


def _reply(rates: PackedRates, status: int) -> Reply:
    if rates.rows > _SLICE_RATES:
        return Reply(partial(_stream, rates, status))
    told = {"base": rates.base, "mark": rates.mark, "rates": [*rates.fields(0, _SLICE_RATES + 1)]}
    return Reply.json(told)


async def _stream(rates: PackedRates, status: int, _: Receive, send: Send) -> None:
    """A slice of the rates after the other, and between them the turn of others."""
    headers = [(b"content-type", JSON.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    # an empty list, whose end the rates come before
    before, end = encode(UsedRates(rates.base, rates.mark, ())).removesuffix(b"]}"), b"]}"
    for begin in range(0, rates.rows + 1, _SLICE_RATES):
        if body := b",".join(map(encode, rates.fields(begin, begin + _SLICE_RATES))):
            await send({"type": "http.response.body", "body": before + body, "more_body": True})
            before = b","
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": end, "more_body": False})
