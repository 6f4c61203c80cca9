"""Errors as pages: one sentence and what to do, never a traceback."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote

from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from shroff.console.access import SignInNeeded
from shroff.console.views import lead, link, path_of, view, wants_part
from shroff.console.web import Request, Response
from shroff.errors import (
    AccessDenied,
    CaseConflict,
    NotFound,
    ProposalConflict,
    ShroffError,
    TooManyRequests,
    Unavailable,
)

_log = logging.getLogger(__name__)

_TITLES: Final = {
    403: "Not allowed",
    404: "Not found",
    405: "Not found",
    409: "Changed meanwhile",
    413: "Too large",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "Not available now",
}
_STATUS_OF: Final = {
    NotFound: 404,
    CaseConflict: 409,
    ProposalConflict: 409,
    TooManyRequests: 429,
    Unavailable: 503,
    AccessDenied: 403,
}


def status_of(error: ShroffError) -> int:
    """The status of an error of ours: 4xx for what the reader can change.

    >>> status_of(NotFound("there is no case with this number.")), status_of(ShroffError("x"))
    (404, 422)
    """
    return next((code for kind, code in _STATUS_OF.items() if isinstance(error, kind)), 422)


def problem_view(request: Request, status: int, sentence: str) -> Response:
    """A page, or the part of one, that says what went wrong."""
    template = "_problem_part.html" if wants_part(request) else "problem.html"
    title = _TITLES.get(status, "This did not work")
    # a session that could not be read is not one that has ended
    request.scope.setdefault("user", None)
    return view(template, {"title": title, "status": status, "sentence": sentence}, status=status)


def _sign_in(request: Request, _: Exception) -> Response:
    wanted = quote(path_of(request))
    if query := request.scope["query_string"].decode("latin-1"):
        wanted = f"{wanted}?{query}"
    after = wanted if request.method == "GET" and not wants_part(request) else "/"
    target = "/sign-in" if after == "/" else f"/sign-in?next={quote(after, safe='')}"
    if wants_part(request):
        return Response(b"", status_code=401, headers={"hx-redirect": link(request, target)})
    return lead(request, target)


def _ours(request: Request, error: ShroffError) -> Response:
    return problem_view(request, status_of(error), str(error))


def _http(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    sentence = error.detail
    if status in (404, 405):
        sentence = "There is no such page. Start from the navigation, or go back."
    elif status == 413:
        sentence = "expected a form of at most 1 MB: send less at once."
    elif status >= 500:
        return _unexpected(request, error)
    return problem_view(request, status, sentence)


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("a page failed", exc_info=error, extra={"event": "unexpected"})
    return problem_view(
        request, 500, "This is a defect of Shroff; its details are in the log of the console."
    )


HANDLERS: Final[ExceptionHandlersMap] = {
    SignInNeeded: _sign_in,
    ShroffError: _ours,
    HTTPException: _http,
    Exception: _unexpected,
}
