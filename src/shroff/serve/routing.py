"""What route handlers share: who may ask, and which problems they answer with."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.openapi.datastructures import ResponseSpec

from shroff.control import Scope
from shroff.serve import problem
from shroff.serve.problem import MEDIA_TYPE, Kind, Problem

OPEN: Final = {"open": True}
"""For a route that asks for no API key."""


def needs(scope: Scope) -> dict[str, Scope]:
    """For a route that asks for an API key of this scope."""
    return {"scope": scope}


def problems(*kinds: Kind) -> dict[int, ResponseSpec]:
    """The problem details a route may answer with, for the OpenAPI document."""
    return {
        kind.status: ResponseSpec(Problem, media_type=MEDIA_TYPE, description=kind.summary, generate_examples=False)
        for kind in kinds
    }


CHANGE: Final = problems(
    problem.BAD_PAYMENT,
    problem.NOT_FOUND,
    problem.TOO_LARGE,
    problem.UNSUPPORTED_MEDIA_TYPE,
    problem.UNAVAILABLE,
)
"""What a route answers with that changes, by a JSON body, what payments are decided by."""


def asker(request: Request[Any, Any, Any]) -> str:
    """Who asks, for the record of a change: the name of the key, where one is needed."""
    return str(getattr(request.state, "key", None) or "anybody")
