"""The fence around uvicorn: `Connection` overrides methods that uvicorn does not promise to keep.

`pyproject.toml` bounds uvicorn's version. If another one is installed and differs in what
`Connection` relies on, the service uses uvicorn's own protocol and logs a warning: every route
works, payments cost more.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import Final, Literal

import uvicorn

_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "connection_made": ("transport",),
    "connection_lost": ("exc",),
    "eof_received": (),
    "data_received": ("data",),
    "on_message_begin": (),
    "on_header": ("name", "value"),
    "on_headers_complete": (),
    "on_body": ("body",),
    "on_message_complete": (),
    "on_response_complete": (),
    "_unset_keepalive_if_required": (),
}
"""What `Connection` overrides or calls, and the parameters after `self`."""
_PROTOCOL_ATTRIBUTES: Final = (
    *("app", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser", "pipeline"),
    *("server_state", "timeout_keep_alive", "transport"),
)
_CYCLE_ATTRIBUTES: Final = (
    *("chunked_encoding", "disconnected", "expected_content_length"),
    *("keep_alive", "message_event", "response_started"),
)

_log = logging.getLogger(__name__)


def http_protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """The HTTP protocol: `Connection`, or uvicorn's own where `Connection` would not work."""
    try:
        from shroff.serve.connection import Connection

        missing = _missing()
    except ImportError as error:
        missing = f"`{error.name or 'a module'}`"
    if missing is None:
        return Connection
    _log.warning(
        "uvicorn %s has no %s as this version of Shroff knows it: HTTP is spoken as uvicorn "
        "does, which costs more; install the version of uvicorn that Shroff asks for.",
        uvicorn.__version__,
        missing,
        extra={"event": "plain_http"},
    )
    return "auto"


def _missing() -> str | None:
    """What `Connection` relies on and uvicorn's protocol lacks; None if nothing is missing."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

    for name, parameters in _METHODS.items():
        method = getattr(HttpToolsProtocol, name, None)
        if method is None or tuple(inspect.signature(method).parameters)[1:] != parameters:
            return f"`{name}({', '.join(parameters)})`"
    for owner, names in (
        (HttpToolsProtocol, _PROTOCOL_ATTRIBUTES),
        (RequestResponseCycle, _CYCLE_ATTRIBUTES),
    ):
        assigned = owner.__init__.__code__.co_names
        for name in names:
            if name not in assigned:
                return f"`{owner.__name__}.{name}`"
    return None
