"""The one table from errors to what an HTTP client gets: RFC 9457 problem details.

Domain errors know nothing of HTTP. An error that is not in the table is a defect of ours, and the
client is told only that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from shroff.errors import (
    AccessDenied,
    BadPayment,
    CaseConflict,
    NotFound,
    PaymentConflict,
    TooManyRequests,
    Unavailable,
    UnknownKey,
)

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """Problem details (RFC 9457)."""

    type: Annotated[str, Meta(description="Stable: names the kind of problem.")]
    title: Annotated[str, Meta(description="The kind in words.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[
        str, Meta(description="What is wrong with this very request, in one sentence.")
    ]


@dataclass(frozen=True)
class Kind:
    """A kind of problem: the end of its type URI, status, advice for the client, and headers."""

    slug: str
    status: int
    title: str
    advice: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Its text in the OpenAPI description."""
        return f"{self.title} (`/problems/{self.slug}`)."

    def problem(self, detail: str) -> Problem:
        """A problem of this kind."""
        return Problem(f"/problems/{self.slug}", self.title, self.status, detail)


BAD_PAYMENT: Final = Kind(
    "bad-payment",
    400,
    "What was sent cannot be used",
    "Correct the field that `detail` names. Sent again as it is, it is refused again.",
)
UNAUTHORIZED: Final = Kind(
    "unauthorized",
    401,
    "A valid API key is needed",
    "Send `Authorization: Bearer KEY` with a key that is neither expired nor revoked.",
    {"www-authenticate": "Bearer"},
)
FORBIDDEN: Final = Kind(
    "forbidden",
    403,
    "The API key is not for this",
    "Use a key with the scope that the operation asks for.",
)
NOT_FOUND: Final = Kind(
    "not-found",
    404,
    "There is no such thing",
    "Check the address and the payment id; escape the id in the address.",
)
METHOD_NOT_ALLOWED: Final = Kind(
    "method-not-allowed",
    405,
    "The method is not allowed here",
    "Use a method that the header `Allow` names.",
)
TIMEOUT: Final = Kind(
    "timeout",
    408,
    "The request came too slowly",
    "Send the whole request at once, on a new connection.",
)
EVENT_CONFLICT: Final = Kind(
    "event-conflict",
    409,
    "The payment has another result already, or the event id is of another label",
    "The first result counts: find out which of your systems told the other. Give each label an "
    "event id of its own.",
)
CASE_CONFLICT: Final = Kind(
    "case-conflict",
    409,
    "The case was changed meanwhile, is closed, or somebody else has claimed it",
    "Read the case again: `detail` says what was done and by whom. Then decide anew.",
)
TOO_LARGE: Final = Kind(
    "too-large",
    413,
    "The request is too large",
    "Send at most 1 MiB, and 1,024 rows, in one request.",
)
UNSUPPORTED_MEDIA_TYPE: Final = Kind(
    "unsupported-media-type",
    415,
    "The content type or encoding is not taken",
    "Send `Content-Type: application/json`, and compress it with gzip, deflate or not at all.",
)
PAYMENT_CONFLICT: Final = Kind(
    "payment-conflict",
    422,
    "The payment id was used for another payment",
    "Give a new payment a new id. To try again, send exactly what was sent before.",
)
TOO_MANY_REQUESTS: Final = Kind(
    "too-many-requests",
    429,
    "The API key has had its share",
    "Wait for the seconds that `Retry-After` names, then send the same again.",
    {"retry-after": "1"},
)
HEAD_TOO_LARGE: Final = Kind(
    "head-too-large",
    431,
    "The head of the request is too large",
    "Send at most 64 KiB of headers and trailers.",
)
INTERNAL: Final = Kind(
    "internal",
    500,
    "Shroff failed",
    "Send the same again: a payment that was counted gets its first answer. Tell the operator if "
    "it stays.",
)
NOT_IMPLEMENTED: Final = Kind(
    "not-implemented",
    501,
    "The transfer coding is not understood",
    "Send the body with `Content-Length` or in chunks, and name a compression in "
    "`Content-Encoding`.",
)
UNAVAILABLE: Final = Kind(
    "unavailable",
    503,
    "The service is not available now",
    "Wait for the seconds that `Retry-After` names, then send the same again; decide yourself when "
    "you cannot wait.",
    {"retry-after": "1"},
)

KINDS: Final = (
    BAD_PAYMENT,
    UNAUTHORIZED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    TIMEOUT,
    EVENT_CONFLICT,
    CASE_CONFLICT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    PAYMENT_CONFLICT,
    TOO_MANY_REQUESTS,
    HEAD_TOO_LARGE,
    INTERNAL,
    NOT_IMPLEMENTED,
    UNAVAILABLE,
)
"""All kinds; those of one HTTP status are of different operations."""


class Refused(Exception):
    """A request refused by the rules of HTTP: the kind of problem, and the sentence for it."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


_OF_ERROR: Final[dict[type[BaseException], Kind]] = {
    BadPayment: BAD_PAYMENT,
    PaymentConflict: PAYMENT_CONFLICT,
    CaseConflict: CASE_CONFLICT,
    NotFound: NOT_FOUND,
    UnknownKey: UNAUTHORIZED,
    AccessDenied: FORBIDDEN,
    TooManyRequests: TOO_MANY_REQUESTS,
    Unavailable: UNAVAILABLE,
}


def problem_of(error: BaseException) -> tuple[Kind, str]:
    """The kind of problem of an error, and the sentence for it.

    >>> problem_of(NotFound("there is no payment with this id."))[0].status
    404
    >>> problem_of(KeyError("4111111111111111"))[1]
    'an unexpected error; nothing was counted. It is in the log of the service.'
    """
    if isinstance(error, Refused):
        return error.kind, str(error)
    for kind in type(error).__mro__:
        if kind in _OF_ERROR:
            return _OF_ERROR[kind], str(error)
    return INTERNAL, "an unexpected error; nothing was counted. It is in the log of the service."
