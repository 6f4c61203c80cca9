"""The router: finds a request's operation, checks what that declares, and lets it answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from shroff.control import Gate
from shroff.control.keys import ApiKey
from shroff.errors import ShroffError
from shroff.serve import asgi, encoding, problem
from shroff.serve.asgi import Asgi, Receive, Refusal, Scope, Send
from shroff.serve.operation import Call, Interface, Operation, Reply, media, native

NO_SUCH_ADDRESS: Final = "there is no such address; /openapi.json describes those there are."
Segments = tuple[str, ...]


class Resource(NamedTuple):
    """The operations of one address by method, and the pattern of its path."""

    interface: Interface
    path: str
    pattern: tuple[re.Pattern[str], ...]
    operations: dict[str, Operation]

    def match(self, segments: Segments) -> dict[str, str] | None:
        """The names in a path of as many segments; None if it does not match."""
        names: dict[str, str] = {}
        for pattern, segment in zip(self.pattern, segments, strict=True):
            found = pattern.fullmatch(segment)
            if found is None:
                return None
            names |= found.groupdict()
        return names


class Router:
    """Answers the requests to all interfaces of a service.

    Args:
        gate: who may ask; None lets everybody.
        mounts: applications, such as a web console, by the first segment of their paths.
        nowhere: the message for an unknown address.
    """

    def __init__(
        self,
        interfaces: Iterable[Interface],
        gate: Gate | None = None,
        *,
        mounts: Mapping[str, Asgi] | None = None,
        nowhere: str = NO_SUCH_ADDRESS,
    ) -> None:
        self.interfaces = tuple(interfaces)
        self._gate = gate
        self._mounts = mounts or {}
        self._nowhere = nowhere
        self._fixed: dict[Segments, Resource] = {}
        # paths without names, looked up whole
        self._sent: dict[bytes, Resource] = {}
        # paths with names, by their number of segments
        self._named: dict[int, list[Resource]] = {}
        for resource in _resources(self.interfaces):
            if "{" in resource.path:
                self._named.setdefault(len(resource.pattern), []).append(resource)
            else:
                self._fixed[segments_of(resource.path)] = self._sent[resource.path.encode()] = (
                    resource
                )
        self._others = native(())

    @property
    def operations(self) -> list[Operation]:
        """All operations."""
        return [operation for interface in self.interfaces for operation in interface.operations]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a client that has left is no error."""
        names: dict[str, str] = {}
        resource = self._sent.get(scope["raw_path"])
        if resource is None:
            # decoded segment by segment: a `/` in a payment id arrives as %2F and stays in its
            # segment
            segments = segments_of(scope["raw_path"].decode("latin-1"))
            mounted = self._mounts.get(segments[0]) if segments else None
            if mounted is not None:
                await mounted(scope, receive, send)
                return
            resource, names = self._find(segments)
            if resource is None:
                await _send(self._missing(segments), 404, scope, receive, send)
                return
        await self._answer(resource, names, scope, receive, send)

    async def _answer(
        self,
        resource: Resource,
        names: Mapping[str, str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        scope[asgi.PATH_TEMPLATE] = resource.path
        operation = resource.operations.get(scope["method"])
        if operation is not None:
            reply = await self._reply(resource.interface, operation, names, scope, receive)
            if reply is not None:
                await _send(reply, operation.status, scope, receive, send)
            return
        allow = asgi.allowed(resource.operations)
        if scope["method"] == "OPTIONS":
            await asgi.send_options(send, allow)
            return
        detail = f"expected {allow.decode()}, got another method."
        refusal = resource.interface.failure(
            problem.METHOD_NOT_ALLOWED, detail, ((b"allow", allow),)
        )
        await _send(refusal, 405, scope, receive, send)

    def _find(self, segments: Segments) -> tuple[Resource | None, dict[str, str]]:
        fixed = self._fixed.get(segments)
        if fixed is not None:
            return fixed, {}
        for resource in self._named.get(len(segments), ()):
            if (names := resource.match(segments)) is not None:
                return resource, names
        return None, {}

    def _missing(self, segments: Segments) -> Reply:
        path = "/" + "/".join(segments)
        owners = (
            one for one in self.interfaces if one.prefix is not None and path.startswith(one.prefix)
        )
        return next(owners, self._others).failure(problem.NOT_FOUND, self._nowhere)

    async def _reply(
        self,
        interface: Interface,
        operation: Operation,
        names: Mapping[str, str],
        scope: Scope,
        receive: Receive,
    ) -> Reply | None:
        """The reply of an operation; None if the client has left."""
        given = scope["headers"]
        headers: dict[bytes, bytes] = dict(given)
        key, refusal = self._admitted(operation, headers)
        body: bytes | Refusal | None = refusal or _refusal(operation, given, headers)
        if body is None:
            body = (
                await asgi.read_body(receive, given)
                if operation.takes and not operation.streamed
                else b""
            )
        if body is None:
            return None
        if not isinstance(body, bytes):
            return interface.failure(*body)
        sent = scope["query_string"]
        query = dict(parse_qsl(sent.decode("latin-1"), keep_blank_values=True)) if sent else {}
        call = Call(body, names, query, headers, self._counting(key), key, scope["scheme"])
        try:
            return await operation.handler(call)
        except Exception as error:  # noqa: BLE001  # the last line of defence: a client never meets a traceback
            return interface.failure(*asgi.explain(error))

    def _admitted(
        self, operation: Operation, headers: Mapping[bytes, bytes]
    ) -> tuple[ApiKey | None, Refusal | None]:
        """The key of a request, or the reason to refuse it."""
        if self._gate is None or operation.scope is None:
            return None, None
        try:
            return self._gate.key_of(headers.get(b"authorization"), operation.scope), None
        except ShroffError as error:
            return None, problem.problem_of(error)

    def _counting(self, key: ApiKey | None) -> Callable[[int], None]:
        """The function that counts the payments of a request against its key."""
        if self._gate is None or key is None:
            return lambda payments: None
        return partial(self._gate.count, key)


def segments_of(path: str) -> Segments:
    """The segments of a path as sent, each decoded; empty ones are skipped.

    >>> segments_of("/v1//decisions/a%2Fb/")
    ('v1', 'decisions', 'a/b')
    """
    return tuple(unquote(segment) for segment in path.split("/") if segment)


def _resources(interfaces: Iterable[Interface]) -> list[Resource]:
    found: dict[str, Resource] = {}
    for interface in interfaces:
        for operation in interface.operations:
            path = operation.path
            if path not in found:
                pattern = tuple(
                    _pattern(segment, interface.names) for segment in path.split("/") if segment
                )
                found[path] = Resource(interface, path, pattern, {})
            found[path].operations[operation.method] = operation
    return list(found.values())


def _pattern(segment: str, name: str) -> re.Pattern[str]:
    """The pattern of a template's segment, such as `{name}:predict`."""
    parts = re.split(r"\{(\w+)\}", segment)
    return re.compile(
        "".join(
            f"(?P<{part}>{name})" if at % 2 else re.escape(part) for at, part in enumerate(parts)
        ),
        re.DOTALL,
    )


def _refusal(
    operation: Operation, given: asgi.Headers, headers: Mapping[bytes, bytes]
) -> Refusal | None:
    """Why a request cannot be used by its headers: all of them, and the last of each name."""
    if not operation.takes:
        return None
    if not operation.streamed and int(headers.get(b"content-length", b"0")) > asgi.MAX_BODY_BYTES:
        return asgi.TOO_LARGE
    if encoding.HEADER in headers and (unknown := asgi.unknown_coding(given)):
        return unknown
    said = media(headers)
    if said and not operation.any_media and said not in operation.takes:
        wanted = " or ".join(operation.takes)
        return (
            problem.UNSUPPORTED_MEDIA_TYPE,
            f"expected the header `Content-Type: {wanted}`, got another one.",
        )
    return None


async def _send(reply: Reply, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    status = reply.status or status
    if not isinstance(reply.body, bytes):
        await reply.body(asgi.plain_stream(receive, scope["headers"]), send)
    elif status == 204:
        await asgi.send_nothing(send)
    else:
        await asgi.send_bytes(
            send, status, reply.body, ((b"content-type", reply.media.encode()), *reply.headers)
        )
