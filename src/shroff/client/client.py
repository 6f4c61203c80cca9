"""Two clients with the same verbs: one for threads, one for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from shroff.client.cases import AsyncCases, Cases
from shroff.client.requests import (
    MAX_BATCH_PAYMENTS,
    MODELS,
    READY,
    Moment,
    Outcome,
    Request,
    Session,
    batches,
    decide,
    decide_batch,
    forget,
    report,
    stored_decision,
    trusted,
)
from shroff.decisions import Decision, Forgetting, ModelVersion
from shroff.errors import ShroffError

T = TypeVar("T")


class Client:
    """Asks a service, one request at a time per thread.

    Args:
        key: API key, if the service asks for one.
        timeout: seconds to wait for an answer; for those of a batch at least 30, and for forgetting
            900.
        retries: further attempts after a connection error or a "later"; a change of a case is not
            sent again where it may have been made.

    Raises:
        ConfigurationError: `url` is none, or `key`.
        BadPayment, PaymentConflict, NotFound, AccessDenied, Unavailable, ShroffError: by every
            verb, as the service says; Unavailable also when the service does not answer.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = 2.0, retries: int = 2
    ) -> None:
        self._session = Session(url, key, timeout, retries)
        self._http = httpx.Client(timeout=timeout, headers=self._session.headers, verify=trusted())
        self.cases = Cases(self._send)
        """What people do with cases."""

    def decide(self, payment: Mapping[str, Any]) -> Decision:
        """The decision on a payment, a mapping from the schema's column names to values."""
        return self._send(decide(payment))

    def decide_many(
        self, payments: Iterable[Mapping[str, Any]], *, together: int = MAX_BATCH_PAYMENTS
    ) -> Iterator[Outcome]:
        """Decide many payments, in order: gives each one's decision or error.

        Payments are taken from the iterable, sent and answered `together` at a time. A refused
        payment does not stop the others; an error of a whole request is raised.
        """
        for batch in batches(payments, together):
            yield from self._send(decide_batch(batch))

    def decision(self, payment_id: str) -> Decision:
        """The stored decision on a payment, with its labels."""
        return self._send(stored_decision(payment_id))

    def result(self, payment_id: str, result: str, *, at: Moment | None = None) -> None:
        """Report the result of a payment, such as `authorised` or `failed`."""
        self._send(report(payment_id, "result", result=result, at=at))

    def label(
        self,
        payment_id: str,
        fraud: bool,
        *,
        source: str | None = None,
        at: Moment | None = None,
        event_id: str | None = None,
    ) -> None:
        """Report whether a payment was fraud; the key gives the source, and `source` is a note.

        Repeating the last label records nothing; with an `event_id` of your own, each id is
        recorded once.
        """
        self._send(
            report(payment_id, "label", fraud=fraud, source=source, at=at, event_id=event_id)
        )

    def forget(
        self,
        subjects: Sequence[str] = (),
        *,
        older_than: str | None = None,
        trace: bool = True,
        dry_run: bool = False,
    ) -> Forgetting:
        """Forget people in the service's ledger, cases and state, or all payments of an age.

        It takes as long as reading the whole ledger twice.

        Args:
            subjects: values of the schema's subject as payments have them, at most 100.
            older_than: instead, all payments of months that ended so long ago, such as `730d`.
            trace: keep what features of others need, nameless.
            dry_run: only count.
        """
        return self._send(forget(subjects, older_than=older_than, trace=trace, dry_run=dry_run))

    def models(self) -> list[ModelVersion]:
        """The models that decide."""
        return self._send(MODELS)

    def ready(self) -> bool:
        """Whether the service decides payments, be it by policy alone; asks once."""
        try:
            self._send(READY, retries=0)
        except ShroffError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, request: Request[T], *, retries: int | None = None) -> T:
        session = self._session
        last = session.retries if retries is None else retries
        for attempt in range(last + 1):
            try:
                response = self._http.request(
                    request.method,
                    session.url + request.path,
                    content=request.content,
                    headers={"content-type": request.media},
                    timeout=session.limits(request),
                )
            except httpx.TransportError as error:
                if attempt == last or not session.retries_after(error, request):
                    raise session.unreachable(error, request) from error
                time.sleep(session.pause(attempt))
                continue
            if attempt == last or not session.retries_answer(response, request):
                break
            time.sleep(session.pause(attempt, response))
        return session.outcome(request, response)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio: the same verbs, to be awaited."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = 2.0, retries: int = 2
    ) -> None:
        self._session = Session(url, key, timeout, retries)
        self._http = httpx.AsyncClient(
            timeout=timeout, headers=self._session.headers, verify=trusted()
        )
        self.cases = AsyncCases(self._send)
        """What people do with cases."""

    async def decide(self, payment: Mapping[str, Any]) -> Decision:
        """The decision on a payment, a mapping from the schema's column names to values."""
        return await self._send(decide(payment))

    async def decide_many(
        self, payments: Iterable[Mapping[str, Any]], *, together: int = MAX_BATCH_PAYMENTS
    ) -> AsyncIterator[Outcome]:
        """Decide many payments, in order: gives each one's decision or error.

        Payments are taken from the iterable, sent and answered `together` at a time. A refused
        payment does not stop the others; an error of a whole request is raised.
        """
        for batch in batches(payments, together):
            for outcome in await self._send(decide_batch(batch)):
                yield outcome

    async def decision(self, payment_id: str) -> Decision:
        """The stored decision on a payment, with its labels."""
        return await self._send(stored_decision(payment_id))

    async def result(self, payment_id: str, result: str, *, at: Moment | None = None) -> None:
        """Report the result of a payment, such as `authorised` or `failed`."""
        await self._send(report(payment_id, "result", result=result, at=at))

    async def label(
        self,
        payment_id: str,
        fraud: bool,
        *,
        source: str | None = None,
        at: Moment | None = None,
        event_id: str | None = None,
    ) -> None:
        """Report whether a payment was fraud; the key gives the source, and `source` is a note.

        Repeating the last label records nothing; with an `event_id` of your own, each id is
        recorded once.
        """
        await self._send(
            report(payment_id, "label", fraud=fraud, source=source, at=at, event_id=event_id)
        )

    async def forget(
        self,
        subjects: Sequence[str] = (),
        *,
        older_than: str | None = None,
        trace: bool = True,
        dry_run: bool = False,
    ) -> Forgetting:
        """Forget people in the service's ledger, cases and state, or all payments of an age.

        It takes as long as reading the whole ledger twice.

        Args:
            subjects: values of the schema's subject as payments have them, at most 100.
            older_than: instead, all payments of months that ended so long ago, such as `730d`.
            trace: keep what features of others need, nameless.
            dry_run: only count.
        """
        return await self._send(
            forget(subjects, older_than=older_than, trace=trace, dry_run=dry_run)
        )

    async def models(self) -> list[ModelVersion]:
        """The models that decide."""
        return await self._send(MODELS)

    async def ready(self) -> bool:
        """Whether the service decides payments, be it by policy alone; asks once."""
        try:
            await self._send(READY, retries=0)
        except ShroffError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: Request[T], *, retries: int | None = None) -> T:
        session = self._session
        last = session.retries if retries is None else retries
        for attempt in range(last + 1):
            try:
                response = await self._http.request(
                    request.method,
                    session.url + request.path,
                    content=request.content,
                    headers={"content-type": request.media},
                    timeout=session.limits(request),
                )
            except httpx.TransportError as error:
                if attempt == last or not session.retries_after(error, request):
                    raise session.unreachable(error, request) from error
                await asyncio.sleep(session.pause(attempt))
                continue
            if attempt == last or not session.retries_answer(response, request):
                break
            await asyncio.sleep(session.pause(attempt, response))
        return session.outcome(request, response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
