"""The operations `/help` and `/openapi.json`, and what redirects to them."""

from __future__ import annotations

import re
from typing import Final

from shroff.ledger.answer import encode
from shroff.serve.help.page import Page
from shroff.serve.openapi import Document
from shroff.serve.operation import JSON, Call, Handler, Operation, Reply

_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?")
_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"


def help_operations(document: Document) -> list[Operation]:
    """`/openapi.json`, `/help`, `/` and the type URIs of problems."""
    page = Page(document)
    headers = tuple((name.encode(), value.encode()) for name, value in page.headers.items())

    async def describe(_: Call) -> Reply:
        return Reply(encode(document()))

    async def show(call: Call) -> Reply:
        return Reply(page.html(origin(call)), _HTML, headers=headers)

    async def start(_: Call) -> Reply:
        return _redirect("/help")

    async def problem(call: Call) -> Reply:
        slug = call.names["slug"]
        return _redirect(
            f"/help#problem-{slug}" if re.fullmatch(r"[a-z-]+", slug) else "/help#errors"
        )

    def get(
        path: str, name: str, summary: str, handler: Handler, media: str, status: int = 200
    ) -> Operation:
        return Operation(
            method="GET",
            path=path,
            name=name,
            summary=summary,
            handler=handler,
            scope=None,
            gives={media: (str,)},
            status=status,
            described=False,
        )

    return [
        get("/openapi.json", "openapi", "The description of all operations", describe, JSON),
        get("/help", "help", "How to use this service", show, _HTML),
        get("/", "start", "Leads to the help page", start, _TEXT, status=302),
        get(
            "/problems/{slug}",
            "problem",
            "Leads to the help on a kind of problem",
            problem,
            _TEXT,
            status=302,
        ),
    ]


def _redirect(to: str) -> Reply:
    return Reply(b"", _TEXT, headers=((b"location", to.encode()),))


def origin(call: Call) -> str:
    """The service's origin as the client sees it; a malformed host name is not repeated."""
    host = call.headers.get(b"host", b"").decode("latin-1")
    return f"{call.scheme}://{host if _HOST.fullmatch(host) else 'localhost:8080'}"
