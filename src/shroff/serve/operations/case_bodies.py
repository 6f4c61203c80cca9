"""What clients send about cases, and cases as they get them."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from shroff.act import Case, CaseEvent, CasePayment, Outcome
from shroff.act.case import OUTCOMES
from shroff.act.listing import QueueLoad
from shroff.act.rules import MAX_NAME_CHARACTERS, MAX_NOTE_CHARACTERS, require_outcome
from shroff.collect.times import iso_time
from shroff.decisions import (
    CaseFile,
    CasePage,
    CaseQueueLoad,
    ReviewCase,
    ReviewPayment,
    ReviewStep,
)
from shroff.errors import BadPayment, ConfigurationError, NotFound

MAX_PAGE_CASES: Final = 500
_MAX_CHANGED_CASES: Final = 1_000
_MAX_LABELS: Final = 10_000
_MAX_NUMBER: Final = 2**63 - 1
_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,18})"')

_Version = Annotated[
    Annotated[int, Meta(ge=0)] | None,
    Meta(
        description="The version that you saw; the header `If-Match` says the same. Refused with "
        "409 if the case was changed since."
    ),
]
_Reason = Annotated[str, Meta(min_length=1, max_length=MAX_NOTE_CHARACTERS)]
_Note = Annotated[str, Meta(max_length=MAX_NOTE_CHARACTERS)] | None
_Outcome = Annotated[str, Meta(extra_json_schema={"enum": list(OUTCOMES)})]
"""Checked by `outcome_of`, whose error names those that there are."""
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class CaseChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change of a case, by whom the key names."""

    expected_version: _Version = None


class CaseAssignment(CaseChange, forbid_unknown_fields=True, kw_only=True):
    """To whom a case is given, and why."""

    to: _Name
    reason: _Reason


class CaseUndo(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing: a decision that is taken back was the last step."""


class CaseReason(CaseChange, forbid_unknown_fields=True, kw_only=True):
    """Why a case is passed on, or opened again."""

    reason: _Reason


class CaseSnooze(CaseChange, forbid_unknown_fields=True, kw_only=True):
    """Until when a case is put off."""

    until: Annotated[
        str,
        Meta(description="ISO 8601 with its zone.", extra_json_schema={"format": "date-time"}),
    ]
    note: _Note = None


class CaseNote(CaseChange, forbid_unknown_fields=True, kw_only=True):
    """What to write down about a case."""

    note: _Reason


class CaseDecision(CaseChange, forbid_unknown_fields=True, kw_only=True):
    """What a case came to.

    `labels` says of payments whether each was fraud; by default those that were not approved get
    the label of the outcome, and none where it is unclear.
    """

    outcome: _Outcome
    note: _Note = None
    labels: Annotated[dict[str, bool], Meta(max_length=_MAX_LABELS)] | None = None


class ChosenCase(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One of several cases, and the version of it that you saw."""

    id: Annotated[int, Meta(ge=1, le=_MAX_NUMBER)]
    expected_version: _Version = None


class CaseDecisions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What several cases came to; all are closed, or none."""

    cases: Annotated[list[ChosenCase], Meta(min_length=1, max_length=_MAX_CHANGED_CASES)]
    outcome: _Outcome
    note: _Note = None


class NextCase(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of which queue to claim a case; by default of any."""

    queue: _Name | None = None


class ClaimedCase(msgspec.Struct, frozen=True):
    """The case that was claimed; null where none waits."""

    case: CaseFile | None


def number_of(text: str) -> int:
    """The number of a case in an address.

    Raises:
        NotFound: no case can have it.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise NotFound("there is no case with this number.")
    return int(text)


def version_of(header: bytes | None, expected: int | None) -> int | None:
    """The version that the caller saw, from `If-Match` or the body; None if neither says it.

    >>> version_of(b'"3"', None), version_of(None, 4), version_of(b"*", None)
    (3, 4, None)

    Raises:
        BadPayment: the header is no version of a case, or they differ.
    """
    if header is None or header == b"*":
        return expected
    found = _ETAG.fullmatch(header.decode("latin-1"))
    if found is None:
        raise BadPayment('expected the header `If-Match: "VERSION"`, as `ETag` gave it.')
    if expected not in (None, int(found[1])):
        raise BadPayment("expected one version in `If-Match` and `expected_version`, got two.")
    return int(found[1])


def outcome_of(text: str) -> Outcome:
    """What a case came to.

    Raises:
        BadPayment: no case comes to that; it names those that there are.
    """
    try:
        return require_outcome(text)
    except ConfigurationError as error:
        raise BadPayment(str(error)) from None


def limit_of(text: str) -> int:
    """How many cases a page has.

    Raises:
        BadPayment: it is no number within bounds.
    """
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 0 < int(text) <= MAX_PAGE_CASES:
        raise BadPayment(f"expected a `limit` of 1 to {MAX_PAGE_CASES:,}.")
    return int(text)


def status_of(text: str) -> Literal["open", "closed"]:
    """Which cases are listed.

    Raises:
        BadPayment: no case can be so.
    """
    if text == "open":
        return "open"
    if text == "closed":
        return "closed"
    raise BadPayment("expected a `status` of open or closed.")


def place_of(text: str | None) -> tuple[float, int] | None:
    """Where a page begins: what `next` of the page before said.

    >>> place_of("12.5:17")
    (12.5, 17)

    Raises:
        BadPayment: no page said that.
    """
    if text is None:
        return None
    worth, _, number = text.partition(":")
    try:
        found = float(worth), number_of(number)
    except (ValueError, NotFound):
        found = (math.nan, 0)
    if not math.isfinite(found[0]):
        raise BadPayment("expected in `after` what `next` of the page before said.")
    return found


def page(cases: list[Case], limit: int) -> CasePage:
    """A page of cases, of which one more than shown were read."""
    shown = tuple(map(case_answer, cases[:limit]))
    last = shown[-1] if len(cases) > limit else None
    return CasePage(shown, None if last is None else f"{last.worth!r}:{last.id}")


def case_answer(case: Case) -> ReviewCase:
    """A case as a client gets it."""
    values = {
        name: getattr(case, name)
        for name in ReviewCase.__struct_fields__
        if name in Case.__struct_fields__
    }
    times = ("opened", "newest", "due", "lease", "wake", "closed")
    return ReviewCase(**values | {name: _iso(getattr(case, name)) for name in times})


def file_answer(case: Case, payments: list[CasePayment], events: list[CaseEvent]) -> CaseFile:
    """A case with its payments and history as a client gets it."""
    return CaseFile(
        case_answer(case),
        tuple(
            ReviewPayment(**msgspec.structs.asdict(one) | {"at": _iso(one.at)}) for one in payments
        ),
        tuple(map(step_answer, events)),
    )


def step_answer(event: CaseEvent) -> ReviewStep:
    """A step of a case as a client gets it."""
    values = {
        name: getattr(event, name)
        for name in ReviewStep.__struct_fields__
        if name in CaseEvent.__struct_fields__
    }
    return ReviewStep(**values | {"at": _iso(event.at), "until": _iso(event.until)})


def load_answer(load: QueueLoad) -> CaseQueueLoad:
    """A queue and what waits in it, as a client gets it."""
    queue = load.queue
    return CaseQueueLoad(
        name=queue.name,
        condition=queue.condition,
        sla_minutes=queue.sla_minutes,
        minutes=queue.minutes,
        open=load.open,
        waiting=load.waiting,
        overdue=load.overdue,
        expected_loss=load.expected_loss,
        second_review=queue.second_review,
    )


def _iso(micros: int | None) -> str | None:
    return iso_time(micros, "milliseconds")
