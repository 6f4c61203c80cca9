"""The console within another application, below a path of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shroff.console.app import console_app
from shroff.console.backend import ConsoleBackend
from shroff.serve.asgi import Asgi, Receive, Scope, Send
from shroff.settings import Settings

MOUNT: Final = "console"
"""The first segment of its addresses there."""


def mounted_console(settings: Settings, ending: Callable[[], bool]) -> Asgi:
    """The console over an installation, for the mounts of a service, which says when it ends.

    It believes the same proxies as a console of its own, those of FORWARDED_ALLOW_IPS; the service
    itself reads neither scheme nor address.
    """
    backend = ConsoleBackend(settings, ending=ending)
    app = console_app(backend)
    trusted = uvicorn.Config(app, log_config=None).forwarded_allow_ips
    behind_proxy = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]  # as below

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        # the server begins and ends without it, and an index is followed once somebody looks
        backend.start()
        await behind_proxy({**scope, "root_path": f"/{MOUNT}"}, receive, send)  # type: ignore[arg-type]  # a scope of HTTP, whose type is a plain mapping here

    return run
