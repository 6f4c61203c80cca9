"""Ask a Shroff service: one client for threads, one for asyncio, the same verbs.

    with Client("http://127.0.0.1:8080") as client:
        decision = client.decide({"transaction_id": "t-1", "amount": 136.69, ...})
        if decision.action != "approve": ...

A payment can be sent again safely: the service answers the same id with the same decision and counts it once.
So connection errors, and answers that say "later" (429, 503), are tried again. Times are ISO 8601 text or datetimes
that name their zone.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from shroff.decisions import Decision, ModelVersion, PaymentLabel, Reason
from shroff.errors import (
    AccessDenied,
    BadPayment,
    ConfigurationError,
    NotFound,
    PaymentConflict,
    ShroffError,
    TooManyRequests,
    Unavailable,
    UnknownKey,
)

__all__ = ["AsyncClient", "Client", "Decision", "ModelVersion", "Moment", "Outcome", "PaymentLabel", "Reason"]

T = TypeVar("T")
Moment = str | datetime

Outcome = Decision | ShroffError
"""What became of one payment of many: its decision, or the error that `decide` would have raised."""


class _Problem(msgspec.Struct):
    type: str
    detail: str


@dataclass(frozen=True)
class _Call(Generic[T]):
    """A request, and how to read what comes back."""

    method: str
    path: str
    content: bytes | None
    read: Callable[[bytes], T]
    media: str = "application/json"


_ERRORS: Final[dict[str, type[ShroffError]]] = {
    "/problems/bad-payment": BadPayment,
    "/problems/too-large": BadPayment,
    "/problems/payment-conflict": PaymentConflict,
    "/problems/event-conflict": PaymentConflict,
    "/problems/not-found": NotFound,
    "/problems/unauthorized": UnknownKey,
    "/problems/forbidden": AccessDenied,
    "/problems/too-many-requests": TooManyRequests,
    "/problems/unavailable": Unavailable,
}
_LATER: Final = (429, 503)
_CONNECTION: Final = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
TOGETHER: Final = 256
"""Payments sent in one batch at most; the service takes as many before it needs its answers to be read."""
_FIRST_PAUSE: Final = 0.1  # seconds; doubled for each further attempt
_LONGEST_PAUSE: Final = 10.0

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decision: Final = msgspec.json.Decoder(Decision).decode
_models: Final = msgspec.json.Decoder(list[ModelVersion]).decode
_problem: Final = msgspec.json.Decoder(_Problem).decode


def _nothing(_: bytes) -> None:
    """A success without content."""


def _body(payment: Mapping[str, Any]) -> bytes:
    try:
        return _encode(payment)
    except TypeError as error:
        raise BadPayment(f"expected values that JSON can hold: {error}.") from None


def _decide(payment: Mapping[str, Any]) -> _Call[Decision]:
    return _Call("POST", "/v1/decisions", _body(payment), _decision)


def _decide_some(payments: Sequence[Mapping[str, Any]]) -> _Call[list[Outcome]]:
    def read(content: bytes) -> list[Outcome]:
        outcomes = [_outcome(line) for line in content.splitlines()]
        if len(outcomes) != len(payments):
            raise ShroffError(f"expected {len(payments)} lines of answers, got {len(outcomes)}: send them again.")
        return outcomes

    content = b"\n".join([_body(payment) for payment in payments])
    return _Call("POST", "/v1/decisions:batch", content, read, "application/x-ndjson")


def _outcome(line: bytes) -> Outcome:
    try:
        return _decision(line)
    except msgspec.ValidationError:
        return _error(_problem(line))


def _error(problem: _Problem) -> ShroffError:
    return _ERRORS.get(problem.type, ShroffError)(problem.detail)


def _parts(payments: Iterable[T], size: int) -> Iterator[list[T]]:
    """Payments, some at a time, taken as they are needed."""
    if not 1 <= size <= TOGETHER:
        raise ConfigurationError(f"expected together=1 to {TOGETHER}, got {size}.")
    rest = iter(payments)
    while part := list(islice(rest, size)):
        yield part


def _stored(payment_id: str) -> _Call[Decision]:
    return _Call("GET", f"/v1/decisions/{quote(payment_id, safe='')}", None, _decision)


def _event(payment_id: str, kind: str, **fields: object) -> _Call[None]:
    given = {name: value for name, value in fields.items() if value is not None}
    return _Call("POST", f"/v1/payments/{quote(payment_id, safe='')}/{kind}", _encode(given), _nothing)


_MODELS: Final = _Call("GET", "/v1/models", None, _models)
_READY: Final = _Call("GET", "/health/ready", None, _nothing)


class _Session:
    """What both clients share: everything but the waiting."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError("expected the URL of a service, such as `http://127.0.0.1:8080`.")
        if retries < 0 or timeout <= 0:
            raise ConfigurationError(
                f"expected retries of 0 or more and a timeout above 0, got {retries} and {timeout}."
            )
        self.url = url.rstrip("/")
        self.retries = retries
        self.timeout = timeout
        self.headers = {} if key is None else {"authorization": f"Bearer {key}"}

    def outcome(self, call: _Call[T], response: httpx.Response) -> T:
        """What came back; raises the error that its problem details name."""
        try:
            if response.is_success:
                return call.read(response.content)
            problem = _problem(response.content)
        except msgspec.DecodeError:
            raise ShroffError(
                f"expected the answer of a Shroff service from {self.url}, got another (HTTP {response.status_code})."
            ) from None
        raise _error(problem)

    def unreachable(self, error: httpx.TransportError) -> Unavailable:
        """The error of a service that does not answer."""
        return Unavailable(f"no answer from {self.url} within {self.timeout} s: {type(error).__name__}.")

    def pause(self, attempt: int, response: httpx.Response | None = None) -> float:
        """Seconds to wait after an attempt (0 is the first): twice as long each time, or as the service asks."""
        asked = response.headers.get("retry-after", "") if response is not None else ""
        wait: float = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)
        return min(max(wait, float(asked) if asked.isdigit() else 0.0), _LONGEST_PAUSE)


class Client:
    """Asks a service, one request at a time per thread.

    Args:
        key: API key, where the service wants one.
        timeout: seconds to wait for an answer.
        retries: further attempts after a connection error or a "later".

    Raises:
        ConfigurationError: `url` is none.
        BadPayment, PaymentConflict, NotFound, AccessDenied, Unavailable, ShroffError: by every verb, as the service
            says; Unavailable also when the service does not answer.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 2.0, retries: int = 2) -> None:
        self._session = _Session(url, key, timeout, retries)
        self._http = httpx.Client(timeout=timeout, headers=self._session.headers)

    def decide(self, payment: Mapping[str, Any]) -> Decision:
        """The decision on a payment, a mapping from the schema's column names to values."""
        return self._send(_decide(payment))

    def decide_many(self, payments: Iterable[Mapping[str, Any]], *, together: int = TOGETHER) -> Iterator[Outcome]:
        """What becomes of each of many payments, in their order: a decision, or the error that it met.

        Payments are taken from the iterable, sent and answered `together` at a time. One that is refused does not
        stop the others; an error of the whole request is raised.
        """
        for part in _parts(payments, together):
            yield from self._send(_decide_some(part))

    def decision(self, payment_id: str) -> Decision:
        """The stored decision on a payment, and what was said of it since."""
        return self._send(_stored(payment_id))

    def result(self, payment_id: str, result: str, *, at: Moment | None = None) -> None:
        """Say what became of a payment, such as `authorised` or `failed`."""
        self._send(_event(payment_id, "result", result=result, at=at))

    def label(
        self,
        payment_id: str,
        fraud: bool,
        *,
        source: str | None = None,
        at: Moment | None = None,
        event_id: str | None = None,
    ) -> None:
        """Say whether a payment was fraud; who says so follows from the key, and `source` is kept as a note.

        What was said last is not recorded again; with an `event_id` of your own, each id is recorded once.
        """
        self._send(_event(payment_id, "label", fraud=fraud, source=source, at=at, event_id=event_id))

    def models(self) -> list[ModelVersion]:
        """The models that decide."""
        return self._send(_MODELS)

    def ready(self) -> bool:
        """Whether the service decides payments as it should; asks once."""
        try:
            self._send(_READY, retries=0)
        except ShroffError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: _Call[T], *, retries: int | None = None) -> T:
        session = self._session
        last = session.retries if retries is None else retries
        for attempt in range(last + 1):
            try:
                response = self._http.request(
                    call.method, session.url + call.path, content=call.content, headers={"content-type": call.media}
                )
            except httpx.TransportError as error:
                if attempt == last or not isinstance(error, _CONNECTION):
                    raise session.unreachable(error) from error
                time.sleep(session.pause(attempt))
                continue
            if response.status_code not in _LATER or attempt == last:
                break
            time.sleep(session.pause(attempt, response))
        return session.outcome(call, response)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio: the same verbs, to be awaited."""

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 2.0, retries: int = 2) -> None:
        self._session = _Session(url, key, timeout, retries)
        self._http = httpx.AsyncClient(timeout=timeout, headers=self._session.headers)

    async def decide(self, payment: Mapping[str, Any]) -> Decision:
        """The decision on a payment, a mapping from the schema's column names to values."""
        return await self._send(_decide(payment))

    async def decide_many(
        self, payments: Iterable[Mapping[str, Any]], *, together: int = TOGETHER
    ) -> AsyncIterator[Outcome]:
        """What becomes of each of many payments, in their order: a decision, or the error that it met.

        Payments are taken from the iterable, sent and answered `together` at a time. One that is refused does not
        stop the others; an error of the whole request is raised.
        """
        for part in _parts(payments, together):
            for outcome in await self._send(_decide_some(part)):
                yield outcome

    async def decision(self, payment_id: str) -> Decision:
        """The stored decision on a payment, and what was said of it since."""
        return await self._send(_stored(payment_id))

    async def result(self, payment_id: str, result: str, *, at: Moment | None = None) -> None:
        """Say what became of a payment, such as `authorised` or `failed`."""
        await self._send(_event(payment_id, "result", result=result, at=at))

    async def label(
        self,
        payment_id: str,
        fraud: bool,
        *,
        source: str | None = None,
        at: Moment | None = None,
        event_id: str | None = None,
    ) -> None:
        """Say whether a payment was fraud; who says so follows from the key, and `source` is kept as a note.

        What was said last is not recorded again; with an `event_id` of your own, each id is recorded once.
        """
        await self._send(_event(payment_id, "label", fraud=fraud, source=source, at=at, event_id=event_id))

    async def models(self) -> list[ModelVersion]:
        """The models that decide."""
        return await self._send(_MODELS)

    async def ready(self) -> bool:
        """Whether the service decides payments as it should; asks once."""
        try:
            await self._send(_READY, retries=0)
        except ShroffError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: _Call[T], *, retries: int | None = None) -> T:
        session = self._session
        last = session.retries if retries is None else retries
        for attempt in range(last + 1):
            try:
                response = await self._http.request(
                    call.method, session.url + call.path, content=call.content, headers={"content-type": call.media}
                )
            except httpx.TransportError as error:
                if attempt == last or not isinstance(error, _CONNECTION):
                    raise session.unreachable(error) from error
                await asyncio.sleep(session.pause(attempt))
                continue
            if response.status_code not in _LATER or attempt == last:
                break
            await asyncio.sleep(session.pause(attempt, response))
        return session.outcome(call, response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
