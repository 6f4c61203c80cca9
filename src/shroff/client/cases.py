"""What people do with cases, over HTTP: the same verbs for threads and for asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from shroff.client import case_requests as requests
from shroff.client.requests import Moment, Request
from shroff.decisions import (
    CaseFile,
    CaseOutcome,
    CasePage,
    CaseQueueLoad,
    ReviewCase,
    ReviewStep,
)

T = TypeVar("T")


class Send(Protocol):
    """Sends a request and reads its answer."""

    def __call__(self, request: Request[T], /) -> T:
        """What came back."""


class SendAsync(Protocol):
    """Sends a request and reads its answer, awaited."""

    async def __call__(self, request: Request[T], /) -> T:
        """What came back."""


class Cases:
    """The cases of a service.

    Every change names the version of the case that the caller saw (None: whichever it is now); the
    name of the key says who makes it.

    Raises:
        NotFound, BadPayment, AccessDenied, Unavailable, ShroffError: by every verb, as the service
            says.
        CaseConflict: by every change, if the case was changed meanwhile, is claimed by somebody
            else, or is closed; says what was done.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def page(
        self,
        *,
        queue: str | None = None,
        status: str | None = None,
        assignee: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> CasePage:
        """Open cases (or those of another `status`), those most worth their time first; `after` is
        the `next` of the page before.
        """
        return self._send(
            requests.page(
                queue=queue,
                status=status,
                assignee=assignee,
                subject=subject,
                limit=limit,
                after=after,
            )
        )

    def show(self, number: int) -> CaseFile:
        """A case, its payments and its history."""
        return self._send(requests.show(number))

    def history(self, number: int) -> tuple[ReviewStep, ...]:
        """The steps of a case."""
        return self._send(requests.history(number))

    def narrative(self, number: int) -> tuple[str, ...]:
        """A case in plain sentences."""
        return self._send(requests.narrative(number))

    def pack(self, number: int) -> bytes:
        """The evidence of a case, a ZIP file."""
        return self._send(requests.pack(number))

    def queues(self) -> tuple[CaseQueueLoad, ...]:
        """The queues, and what waits in them."""
        return self._send(requests.QUEUES)

    def next(self, *, queue: str | None = None) -> CaseFile | None:
        """Claim the case that is most worth your time; None where none waits."""
        return self._send(requests.next_case(queue))

    def claim(self, number: int, *, version: int | None = None) -> ReviewCase:
        """Claim a case for an hour; again, to have it for another hour."""
        return self._send(requests.change(number, "claim", version))

    def release(self, number: int, *, version: int | None = None) -> ReviewCase:
        """Give a claimed case back."""
        return self._send(requests.change(number, "release", version))

    def assign(
        self, number: int, to: str, *, reason: str, version: int | None = None
    ) -> ReviewCase:
        """Give a case to somebody, whoever has it, and say why."""
        request = requests.change(number, "assign", version, to=to, reason=reason)
        return self._send(request)

    def snooze(
        self, number: int, until: Moment, *, note: str | None = None, version: int | None = None
    ) -> ReviewCase:
        """Put a case off until a moment."""
        return self._send(requests.snooze(number, until, note, version))

    def escalate(self, number: int, *, reason: str, version: int | None = None) -> ReviewCase:
        """Pass a case on to somebody with more to say, and say why."""
        return self._send(requests.change(number, "escalate", version, reason=reason))

    def note(self, number: int, note: str, *, version: int | None = None) -> ReviewCase:
        """Write something down about a case."""
        return self._send(requests.change(number, "note", version, note=note))

    def decide(
        self,
        number: int,
        outcome: CaseOutcome,
        *,
        note: str | None = None,
        labels: Mapping[str, bool] | None = None,
        version: int | None = None,
    ) -> ReviewCase:
        """Close a case; `labels` says of its payments whether each was fraud."""
        said: dict[str, Any] = {"outcome": outcome, "note": note, "labels": labels}
        return self._send(requests.change(number, "decide", version, **said))

    def decide_all(
        self,
        cases: Mapping[int, int | None] | Iterable[int],
        outcome: CaseOutcome,
        *,
        note: str | None = None,
    ) -> tuple[ReviewCase, ...]:
        """Close several cases, at the versions that were seen, or none if one cannot be."""
        return self._send(requests.decide_all(cases, outcome, note)).cases

    def reopen(self, number: int, *, reason: str, version: int | None = None) -> ReviewCase:
        """Open a closed case again, and say why."""
        return self._send(requests.change(number, "reopen", version, reason=reason))

    def undo(self, number: int) -> ReviewCase:
        """Take back a decision that you made within the last five minutes."""
        return self._send(requests.change(number, "undo", None))


class AsyncCases:
    """`Cases` for asyncio: the same verbs, to be awaited.

    Every change names the version of the case that the caller saw (None: whichever it is now); the
    name of the key says who makes it.

    Raises:
        NotFound, BadPayment, AccessDenied, Unavailable, ShroffError: by every verb, as the service
            says.
        CaseConflict: by every change, if the case was changed meanwhile, is claimed by somebody
            else, or is closed; says what was done.
    """

    def __init__(self, send: SendAsync) -> None:
        self._send = send

    async def page(
        self,
        *,
        queue: str | None = None,
        status: str | None = None,
        assignee: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> CasePage:
        """Open cases (or those of another `status`), those most worth their time first; `after` is
        the `next` of the page before.
        """
        return await self._send(
            requests.page(
                queue=queue,
                status=status,
                assignee=assignee,
                subject=subject,
                limit=limit,
                after=after,
            )
        )

    async def show(self, number: int) -> CaseFile:
        """A case, its payments and its history."""
        return await self._send(requests.show(number))

    async def history(self, number: int) -> tuple[ReviewStep, ...]:
        """The steps of a case."""
        return await self._send(requests.history(number))

    async def narrative(self, number: int) -> tuple[str, ...]:
        """A case in plain sentences."""
        return await self._send(requests.narrative(number))

    async def pack(self, number: int) -> bytes:
        """The evidence of a case, a ZIP file."""
        return await self._send(requests.pack(number))

    async def queues(self) -> tuple[CaseQueueLoad, ...]:
        """The queues, and what waits in them."""
        return await self._send(requests.QUEUES)

    async def next(self, *, queue: str | None = None) -> CaseFile | None:
        """Claim the case that is most worth your time; None where none waits."""
        return await self._send(requests.next_case(queue))

    async def claim(self, number: int, *, version: int | None = None) -> ReviewCase:
        """Claim a case for an hour; again, to have it for another hour."""
        return await self._send(requests.change(number, "claim", version))

    async def release(self, number: int, *, version: int | None = None) -> ReviewCase:
        """Give a claimed case back."""
        return await self._send(requests.change(number, "release", version))

    async def assign(
        self, number: int, to: str, *, reason: str, version: int | None = None
    ) -> ReviewCase:
        """Give a case to somebody, whoever has it, and say why."""
        request = requests.change(number, "assign", version, to=to, reason=reason)
        return await self._send(request)

    async def snooze(
        self, number: int, until: Moment, *, note: str | None = None, version: int | None = None
    ) -> ReviewCase:
        """Put a case off until a moment."""
        return await self._send(requests.snooze(number, until, note, version))

    async def escalate(self, number: int, *, reason: str, version: int | None = None) -> ReviewCase:
        """Pass a case on to somebody with more to say, and say why."""
        return await self._send(requests.change(number, "escalate", version, reason=reason))

    async def note(self, number: int, note: str, *, version: int | None = None) -> ReviewCase:
        """Write something down about a case."""
        return await self._send(requests.change(number, "note", version, note=note))

    async def decide(
        self,
        number: int,
        outcome: CaseOutcome,
        *,
        note: str | None = None,
        labels: Mapping[str, bool] | None = None,
        version: int | None = None,
    ) -> ReviewCase:
        """Close a case; `labels` says of its payments whether each was fraud."""
        said: dict[str, Any] = {"outcome": outcome, "note": note, "labels": labels}
        return await self._send(requests.change(number, "decide", version, **said))

    async def decide_all(
        self,
        cases: Mapping[int, int | None] | Iterable[int],
        outcome: CaseOutcome,
        *,
        note: str | None = None,
    ) -> tuple[ReviewCase, ...]:
        """Close several cases, at the versions that were seen, or none if one cannot be."""
        return (await self._send(requests.decide_all(cases, outcome, note))).cases

    async def reopen(self, number: int, *, reason: str, version: int | None = None) -> ReviewCase:
        """Open a closed case again, and say why."""
        return await self._send(requests.change(number, "reopen", version, reason=reason))

    async def undo(self, number: int) -> ReviewCase:
        """Take back a decision that you made within the last five minutes."""
        return await self._send(requests.change(number, "undo", None))
