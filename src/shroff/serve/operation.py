"""One HTTP operation as a value: scope, request, response, problems, and its handler.

The router (`serve/router.py`) and the OpenAPI description (`serve/openapi.py`) read the same
values, so each fact about an operation is written once. Operations whose errors have the same shape
form an `Interface`: the native one, whose errors are RFC 9457 problem details, or the protocol of
another system.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shroff.control.keys import ApiKey
from shroff.control.keys import Scope as KeyScope
from shroff.errors import BadPayment
from shroff.ledger.answer import encode
from shroff.ledger.durable import OnDurable
from shroff.serve import asgi, problem
from shroff.serve.asgi import Receive, Send
from shroff.serve.problem import Kind
from shroff.serve.time_slices import in_thread_if_large

T = TypeVar("T")
Headers = tuple[tuple[bytes, bytes], ...]
JSON: Final = "application/json"
TEXT: Final = "text/plain"


@dataclass(frozen=True)
class Call:
    """A request: body, names in its path, query, and headers (names in lower case)."""

    body: bytes
    names: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    count: Callable[[int], None] = lambda payments: None
    """Counts payments beyond the first against the key's rate, and checks the key again."""
    key: ApiKey | None = None
    """The key that it was admitted with; None where no key is needed."""
    scheme: str = "http"

    @property
    def caller(self) -> str:
        """The name of the caller's key, for the record of a change."""
        return "anybody" if self.key is None else self.key.name

    async def json(self, kind: type[T]) -> T:
        """The body as JSON of a type.

        Raises:
            BadPayment: it is something else; the message repeats no value.
        """
        if not self.body:
            raise BadPayment("expected one JSON object, got an empty body.")
        return await in_thread_if_large(asgi.decode, self.body, kind)

    async def lenient_json(self, kind: type[T], content: bytes | None = None) -> T:
        """The body (or `content`) as JSON of a type, where `NaN` is missing: clients of protocols
        write it so.

        Raises:
            BadPayment: it is something else; the message repeats no value.
        """
        return await in_thread_if_large(
            asgi.decode, self.body if content is None else content, kind, nan_is_null=True
        )


Stream = Callable[[Receive, Send], Awaitable[None]]
"""Reads the rest of a request and sends the whole response by itself."""


@dataclass(frozen=True)
class Reply:
    """A response, or what streams it; without a `status` it has that of its operation."""

    body: bytes | Stream
    media: str = JSON
    status: int | None = None
    headers: Headers = ()

    @classmethod
    def json(cls, value: object) -> Reply:
        """A success in JSON."""
        return cls(encode(value))


NO_CONTENT: Final = Reply(b"", media="")
"""A success without a body, 204."""

Types = tuple[Any, ...]
"""The types of a body of one media type: Python types, or an `openapi.Component`."""
Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one address.

    Args:
        path: a template such as `/v2/models/{name}/ready`.
        name: its id in the OpenAPI description.
        scope: the scope that the API key needs, whose rate limit counts the request; None: no key.
        takes, gives: media types and types of the request's and the response's body, at most 1 MiB.
        query: the names of parameters and their JSON Schema; `asks`: those of headers.
        fails: the problems of the handler, besides those that any key, path or body can have.
        status, done: status of a success, and its description.
        any_media: do not check the content type: stock clients of some protocols send none or a
            wrong one.
        streamed: leave the body to the reply.
        accept: handles a whole body on the fast path, without a task (see `Connection`); the
            handler takes the other requests.
        described: whether it is in the OpenAPI description; pages for people are not.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    scope: KeyScope | None
    gives: Mapping[str, Types]
    description: str = ""
    takes: Mapping[str, Types] = field(default_factory=dict)
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fails: Sequence[Kind] = ()
    status: int = 200
    done: str = "Done."
    any_media: bool = False
    streamed: bool = False
    accept: Callable[[bytes, OnDurable[bytes]], None] | None = None
    described: bool = True

    @property
    def names(self) -> list[str]:
        """The names in the template."""
        return re.findall(r"{(\w+)}", self.path)


@dataclass(frozen=True)
class Interface:
    """Operations whose errors have the same shape.

    Args:
        name: groups them in the description; empty for the native ones.
        fail: makes the body of an error, of type `error`.
        prefix: the prefix of all its addresses.
        names: a pattern of names in paths.
    """

    name: str
    operations: tuple[Operation, ...]
    fail: Callable[[Kind, str], object]
    error: Any
    error_media: str = JSON
    prefix: str | None = None
    names: str = ".+"

    def failure(self, kind: Kind, detail: str, headers: Headers = ()) -> Reply:
        """An error in the interface's own shape."""
        own = tuple((name.encode(), value.encode()) for name, value in kind.headers.items())
        return Reply(
            encode(self.fail(kind, detail)), self.error_media, kind.status, (*own, *headers)
        )


def native(operations: Iterable[Operation]) -> Interface:
    """The service's own operations."""
    return Interface("", tuple(operations), Kind.problem, problem.Problem, problem.MEDIA_TYPE)


def media(headers: Mapping[bytes, bytes]) -> str:
    """The content type without its parameters, in lower case; empty when none is given.

    >>> media({b"content-type": b"Text/CSV; charset=utf-8"})
    'text/csv'
    """
    return headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
