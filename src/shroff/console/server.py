"""The console's own process: the application behind uvicorn, until SIGTERM or SIGINT."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import uvicorn

from shroff.console.app import console_app
from shroff.console.backend import ConsoleBackend
from shroff.errors import ConfigurationError
from shroff.prepared import prepare_types
from shroff.serve.server import listen, url_of
from shroff.settings import Settings


def serve_console(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the console until SIGTERM or SIGINT.

    Args:
        port: 0 takes a free one.
        listening: called with the URL once connections are accepted.

    Raises:
        ConfigurationError: the address cannot be listened on, or is not this machine's alone while
            nobody can sign in.
    """
    prepare_types()
    backend = ConsoleBackend(settings, ending=lambda: server.should_exit)
    require_users(backend, host)
    with listen(host, port) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                console_app(backend),
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        listening(url_of(listener, "http"))
        server.run(sockets=[listener])


def require_users(backend: ConsoleBackend, host: str) -> None:
    """Raise `ConfigurationError` if others reach an address while nobody can sign in."""
    if not _of_this_machine(host) and backend.oidc is None and not backend.users.any():
        raise ConfigurationError(
            f"expected somebody who can sign in before the console listens on {host}: add one with "
            "`shroff users add NAME --role admin`, or listen on 127.0.0.1."
        )


def _of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
