"""Asking a scorer, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import msgspec
import pytest

from patience import PATIENCE
from shroff.errors import ShroffError
from shroff.scoring.scorer import Scorer

Json = dict[str, Any]


async def decide(scorer: Scorer, payment: Json) -> Json:
    answer: Json = msgspec.json.decode(await scorer.decide(msgspec.json.encode(payment)))
    return answer


def run(work: Awaitable[Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def refusal(work: Coroutine[Any, Any, Any]) -> ShroffError:
    with pytest.raises(ShroffError) as caught:
        await work
    return caught.value
