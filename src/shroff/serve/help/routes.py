"""Where the help page is: `/help`, and what leads there."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from shroff.serve.help.page import Page
from shroff.serve.routing import OPEN

_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?")


def help_routes(page: Page) -> list[HTTPRouteHandler]:
    """`/help`, `/` and the addresses that name kinds of problems."""

    @get("/help", opt=OPEN, sync_to_thread=False)
    def show(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(page.html(origin(request)), media_type="text/html", headers=page.headers)

    @get("/", opt=OPEN, sync_to_thread=False)
    def start() -> Redirect:
        return Redirect("/help")

    @get("/problems/{slug:str}", opt=OPEN, sync_to_thread=False)
    def problem(slug: FromPath[str]) -> Redirect:
        return Redirect(f"/help#problem-{slug}" if re.fullmatch(r"[a-z-]+", slug) else "/help#errors")

    return [show, start, problem]


def origin(request: Request[Any, Any, Any]) -> str:
    """Where the client found the service; what is no host name is not repeated."""
    host = request.headers.get("host", "")
    return f"{request.scope['scheme']}://{host if _HOST.fullmatch(host) else 'localhost:8080'}"
