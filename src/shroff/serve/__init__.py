"""Serve: the scoring service over HTTP, from the bytes of a request to the bytes of its answer.

Reads requests (JSON, and the formats of other scoring systems) and hands payments to
`shroff.scoring`, which decides them and makes decisions durable. This room has connections, routes,
RFC 9457 problems, the help page, and worker processes.

Promises an answer to every request: a decision, or a problem that says what was expected and never
repeats the payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.serve.certificate import Certificate
    from shroff.serve.server import Service, serve

__all__ = ["Certificate", "Service", "serve"]

__getattr__ = loading(
    __name__, {"Certificate": "certificate", "Service": "server", "serve": "server"}
)
