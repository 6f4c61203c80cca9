"""Requests as values, and how answers are read: all that both clients share but waiting."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from ssl import SSLCertVerificationError, SSLContext, SSLError
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from shroff.decisions import Decision, Forgetting, ModelVersion
from shroff.errors import (
    AccessDenied,
    BadPayment,
    CaseConflict,
    ConfigurationError,
    NotFound,
    PaymentConflict,
    ShroffError,
    TooManyRequests,
    Unavailable,
    UnknownKey,
)
from shroff.location import address, bearer

T = TypeVar("T")
Moment = str | datetime

Outcome = Decision | ShroffError
"""What became of one payment of many: its decision, or the error that `decide` would have raised.
"""


class ProblemDetails(msgspec.Struct):
    """The problem details of an answer (RFC 9457)."""

    type: str
    detail: str


@dataclass(frozen=True)
class Request(Generic[T]):
    """A request, and how to read what comes back.

    `patience` is the least seconds to wait for it; a `repeatable` one does once what it asks for,
    however often it is sent.
    """

    method: str
    path: str
    content: bytes | None
    read: Callable[[bytes], T]
    media: str = "application/json"
    patience: float = 0.0
    repeatable: bool = True


_ERRORS: Final[dict[str, type[ShroffError]]] = {
    "/problems/bad-payment": BadPayment,
    "/problems/too-large": BadPayment,
    "/problems/payment-conflict": PaymentConflict,
    "/problems/event-conflict": PaymentConflict,
    "/problems/case-conflict": CaseConflict,
    "/problems/not-found": NotFound,
    "/problems/unauthorized": UnknownKey,
    "/problems/forbidden": AccessDenied,
    "/problems/too-many-requests": TooManyRequests,
    "/problems/unavailable": Unavailable,
}
_REFUSED_STATUS: Final = 429
_LATER_STATUSES: Final = (_REFUSED_STATUS, 503)
_UNCONNECTED_ERRORS: Final = (httpx.ConnectError, httpx.ConnectTimeout)
_UNSENT_ERRORS: Final = (*_UNCONNECTED_ERRORS, httpx.PoolTimeout)
_CONNECTION_ERRORS: Final = (*_UNSENT_ERRORS, httpx.NetworkError, httpx.RemoteProtocolError)
MAX_BATCH_PAYMENTS: Final = 256
"""Most payments in one batch: the service takes as many before its answers must be read."""
_BATCH_SECONDS: Final = 30.0
_FORGET_SECONDS: Final = 900.0  # it reads the whole ledger twice
_FIRST_PAUSE_SECONDS: Final = 0.1  # seconds; doubled for each further attempt
_MAX_PAUSE_SECONDS: Final = 10.0


@cache
def trusted() -> SSLContext:
    """What certificates of services are checked against; to load it takes 30 ms, so all clients of
    a process share it.
    """
    return httpx.create_ssl_context()


_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decision: Final = msgspec.json.Decoder(Decision).decode
_forgetting: Final = msgspec.json.Decoder(Forgetting).decode
_models: Final = msgspec.json.Decoder(list[ModelVersion]).decode
_problem: Final = msgspec.json.Decoder(ProblemDetails).decode


def _nothing(_: bytes) -> None:
    """A success without content."""


def _body(payment: Mapping[str, Any]) -> bytes:
    try:
        return _encode(payment)
    except TypeError as error:
        raise BadPayment(f"expected values that JSON can hold: {error}.") from None


def decide(payment: Mapping[str, Any]) -> Request[Decision]:
    """Ask for the decision on a payment."""
    return Request("POST", "/v1/decisions", _body(payment), _decision)


def decide_batch(payments: Sequence[Mapping[str, Any]]) -> Request[list[Outcome]]:
    """Ask for the decisions on payments, at most `MAX_BATCH_PAYMENTS`, in one request."""

    def read(content: bytes) -> list[Outcome]:
        outcomes = [_outcome(line) for line in content.splitlines()]
        if len(outcomes) != len(payments):
            raise ShroffError(
                f"expected {len(payments)} lines of answers, got {len(outcomes)}: send them again."
            )
        return outcomes

    content = b"\n".join([_body(payment) for payment in payments])
    media = "application/x-ndjson"
    return Request("POST", "/v1/decisions:batch", content, read, media, _BATCH_SECONDS)


def _outcome(line: bytes) -> Outcome:
    try:
        return _decision(line)
    except msgspec.ValidationError:
        return _error(_problem(line))


def _error(problem: ProblemDetails) -> ShroffError:
    return _ERRORS.get(problem.type, ShroffError)(problem.detail)


def batches(payments: Iterable[T], size: int) -> Iterator[list[T]]:
    """Payments in batches of this size, taken from the iterable as they are needed."""
    if not 1 <= size <= MAX_BATCH_PAYMENTS:
        raise ConfigurationError(f"expected together=1 to {MAX_BATCH_PAYMENTS}, got {size}.")
    rest = iter(payments)
    while batch := list(islice(rest, size)):
        yield batch


def stored_decision(payment_id: str) -> Request[Decision]:
    """Ask for the decision on a payment as it is stored."""
    return Request("GET", f"/v1/decisions/{quote(payment_id, safe='')}", None, _decision)


def report(payment_id: str, kind: str, **fields: object) -> Request[None]:
    """Report a result or a label of a payment; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return Request(
        "POST", f"/v1/payments/{quote(payment_id, safe='')}/{kind}", _encode(given), _nothing
    )


def forget(
    subjects: Sequence[str], *, older_than: str | None, trace: bool, dry_run: bool
) -> Request[Forgetting]:
    """Ask to forget people, or all payments of an age; the service refuses both at once."""
    if isinstance(subjects, str):
        raise ConfigurationError("expected a list of subjects, got a text: put it into one.")
    whom = {"subjects": list(subjects), "older_than": older_than}
    body = _encode({**whom, "trace": trace, "dry_run": dry_run})
    return Request("POST", "/v1/forgettings", body, _forgetting, patience=_FORGET_SECONDS)


MODELS: Final = Request("GET", "/v1/models", None, _models)
READY: Final = Request("GET", "/health/ready", None, _nothing)


def service_at(url: str) -> httpx.URL:
    """The parts of the URL of a service.

    Raises:
        ConfigurationError: it is none; the sentence shows no password.
    """
    try:
        # each of the two takes what the other refuses
        port, parts = urlsplit(url).port, httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        port, parts = None, httpx.URL()
    if parts.scheme not in ("http", "https") or not parts.host or port == 0:
        raise ConfigurationError(
            f"expected the URL of a service, such as `http://127.0.0.1:8080`, got `{address(url)}`."
        )
    return parts


def _tls_fault(error: BaseException) -> SSLError | None:
    """What TLS found at the bottom of an error of a new connection, if anything."""
    cause: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while cause is not None and not isinstance(cause, SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


class Session:
    """What both clients share: everything but the waiting."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: int) -> None:
        service_at(url)
        if retries < 0 or timeout <= 0:
            raise ConfigurationError(
                f"expected retries of 0 or more and a timeout above 0, got {retries} and {timeout}."
            )
        self.url = url.rstrip("/")
        self.retries = retries
        self.timeout = timeout
        self.headers = {} if key is None else {"authorization": bearer(key)}

    def outcome(self, request: Request[T], response: httpx.Response) -> T:
        """What came back; raises the error that its problem details name."""
        try:
            if response.is_success:
                return request.read(response.content)
            problem = _problem(response.content)
        except msgspec.DecodeError:
            raise ShroffError(
                f"expected the answer of a Shroff service from {address(self.url)}, got another "
                f"(HTTP {response.status_code})."
            ) from None
        raise _error(problem)

    def limits(self, request: Request[Any]) -> httpx.Timeout:
        """How long to wait for a connection and for the answer."""
        return httpx.Timeout(max(self.timeout, request.patience), connect=self.timeout)

    def retries_after(self, error: httpx.TransportError, request: Request[Any]) -> bool:
        """Whether another attempt may find the service, and does nothing twice; TLS fails again in
        the same way.
        """
        kinds = _CONNECTION_ERRORS if request.repeatable else _UNSENT_ERRORS
        return isinstance(error, kinds) and _tls_fault(error) is None

    def retries_answer(self, response: httpx.Response, request: Request[Any]) -> bool:
        """Whether the answer is "later", and another attempt does nothing twice: 503 may be said of
        a change that was made, where the database was lost after it.
        """
        status = response.status_code
        return status in _LATER_STATUSES if request.repeatable else status == _REFUSED_STATUS

    def unreachable(self, error: httpx.TransportError, request: Request[Any]) -> Unavailable:
        """The error of a service that does not answer."""
        limits = self.limits(request)
        fault = _tls_fault(error)
        if isinstance(fault, SSLCertVerificationError):
            return Unavailable(
                f"expected a certificate of {address(self.url)} that is trusted, got another one "
                f"({fault.verify_message}): name the certificates of the authority that signed it "
                "with the environment variable SSL_CERT_FILE."
            )
        if fault is not None:
            return Unavailable(
                f"expected TLS from {address(self.url)}, got {fault.reason or 'none'}: see that "
                "the service speaks HTTPS there."
            )
        unsent = isinstance(error, _UNSENT_ERRORS)
        seconds = limits.connect if isinstance(error, _UNCONNECTED_ERRORS) else limits.read
        doubt = (
            "" if unsent or request.repeatable else " It may be done: look before you repeat it."
        )
        return Unavailable(
            f"no answer from {address(self.url)} within {seconds} s: {type(error).__name__}.{doubt}"
        )

    def pause(self, attempt: int, response: httpx.Response | None = None) -> float:
        """Seconds to wait after attempt 0, 1, …: doubled each time, or as the service asks."""
        asked = response.headers.get("retry-after", "") if response is not None else ""
        wait: float = _FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.0)
        return min(max(wait, float(asked) if asked.isdigit() else 0.0), _MAX_PAUSE_SECONDS)
