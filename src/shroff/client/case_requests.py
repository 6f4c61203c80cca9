"""Requests about cases as values: what both clients send, and how answers are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from shroff.client.requests import Moment, Request
from shroff.decisions import (
    CaseFile,
    CaseOutcome,
    CasePage,
    CaseQueueLoad,
    Narrative,
    ReviewCase,
    ReviewStep,
)


class _Claimed(msgspec.Struct):
    case: CaseFile | None


_encode: Final = msgspec.json.Encoder().encode
_page: Final = msgspec.json.Decoder(CasePage).decode
_case: Final = msgspec.json.Decoder(ReviewCase).decode
_file: Final = msgspec.json.Decoder(CaseFile).decode
_steps: Final = msgspec.json.Decoder(tuple[ReviewStep, ...]).decode
_loads: Final = msgspec.json.Decoder(tuple[CaseQueueLoad, ...]).decode
_narrative: Final = msgspec.json.Decoder(Narrative).decode
_claimed: Final = msgspec.json.Decoder(_Claimed).decode

QUEUES: Final = Request("GET", "/v1/case-queues", None, _loads)


def page(**asked: str | int | None) -> Request[CasePage]:
    """Ask for cases; parameters that are None are left out."""
    given = {name: value for name, value in asked.items() if value is not None}
    return Request("GET", f"/v1/cases?{urlencode(given)}", None, _page)


def show(number: int) -> Request[CaseFile]:
    """Ask for a case, its payments and its history."""
    return Request("GET", f"/v1/cases/{number}", None, _file)


def history(number: int) -> Request[tuple[ReviewStep, ...]]:
    """Ask for the steps of a case."""
    return Request("GET", f"/v1/cases/{number}/history", None, _steps)


def narrative(number: int) -> Request[tuple[str, ...]]:
    """Ask for a case in sentences."""
    return Request(
        "GET",
        f"/v1/cases/{number}/narrative",
        None,
        lambda content: _narrative(content).sentences,
    )


def pack(number: int) -> Request[bytes]:
    """Ask for the evidence pack of a case."""
    return Request("GET", f"/v1/cases/{number}/pack", None, bytes)


def next_case(queue: str | None) -> Request[CaseFile | None]:
    """Claim the best case."""
    return Request(
        "POST",
        "/v1/cases:next",
        _body(queue=queue),
        lambda content: _claimed(content).case,
        repeatable=False,
    )


def change(number: int, verb: str, version: int | None, **fields: object) -> Request[ReviewCase]:
    """Change a case at a version; None: whichever it has."""
    content = _body(expected_version=version, **fields)
    return Request("POST", f"/v1/cases/{number}/{verb}", content, _case, repeatable=False)


def snooze(
    number: int, until: Moment, note: str | None, version: int | None
) -> Request[ReviewCase]:
    """Put a case off."""
    return change(number, "snooze", version, until=until, note=note)


def decide_all(
    cases: Mapping[int, int | None] | Iterable[int], outcome: CaseOutcome, note: str | None
) -> Request[CasePage]:
    """Close several cases, or none."""
    seen = cases if isinstance(cases, Mapping) else dict.fromkeys(cases)
    chosen = [{"id": number, "expected_version": version} for number, version in seen.items()]
    content = _body(cases=chosen, outcome=outcome, note=note)
    return Request("POST", "/v1/cases:decide", content, _page, repeatable=False)


def _body(**fields: object) -> bytes:
    return _encode({name: value for name, value in fields.items() if value is not None})
