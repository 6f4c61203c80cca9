"""Cases: list, show, claim and decide them; the name of the key says who does it.

Work on the control database is done in threads of its own, few of them, so that neither the event
loop nor what else the service does in threads waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar

from shroff.act import Case, CaseEvidence, Desk, gather, narrate, zip_evidence
from shroff.collect.fields import require_readable_field
from shroff.decisions import (
    CaseFile,
    CasePage,
    CaseQueueLoad,
    Narrative,
    ReviewCase,
    ReviewStep,
)
from shroff.errors import BadPayment, ConfigurationError
from shroff.ledger import Ledger
from shroff.ledger.answer import encode
from shroff.scoring.feedback import moment
from shroff.serve import problem
from shroff.serve.openapi import Component
from shroff.serve.operation import JSON, Call, Handler, Operation, Reply, Types
from shroff.serve.operations import case_bodies as bodies
from shroff.serve.operations.case_bodies import CaseChange
from shroff.serve.problem import Kind

T = TypeVar("T")
Change = Callable[..., Case]

_READERS: Final = 2
_READ_FAILS: Final = (problem.BAD_PAYMENT, problem.NOT_FOUND, problem.UNAVAILABLE)
_CHANGE_FAILS: Final = (*_READ_FAILS, problem.CASE_CONFLICT)
_ZIP: Final = "application/zip"
_BYTES: Final = {"type": "string", "format": "binary", "description": "A ZIP file."}
_USUAL_LIMIT: Final = "50"
_IF_MATCH: Final = {
    "If-Match": {
        "type": "string",
        "pattern": r'^((W/)?"[0-9]{1,18}"|\*)$',
        "description": "The version that you saw, as `ETag` gave it.",
    }
}
_TEXT: Final = {"type": "string"}
_QUERY: Final = {
    "queue": _TEXT | {"description": "Only of this queue."},
    "status": {"type": "string", "enum": ["open", "closed"], "description": "By default open."},
    "assignee": _TEXT | {"description": "Only those that they have claimed."},
    "subject": _TEXT | {"description": "Only of this card, host …, as it is recorded."},
    "limit": {"type": "integer", "minimum": 1, "maximum": bodies.MAX_PAGE_CASES},
    "after": _TEXT | {"description": "What `next` of the page before said."},
}
_STEPS: Final = (list[ReviewStep],)
_LOADS: Final = (list[CaseQueueLoad],)


class CaseOperations:
    """The operations over a desk.

    Changes take turns in one thread: those of several would wait for each other in the database.
    """

    def __init__(self, desk: Desk, ledger: Ledger) -> None:
        self._desk = desk
        self._ledger = ledger
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="cases")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="case-changes")

    async def page(self, call: Call) -> Reply:
        """Cases of one status, those most worth their time first."""
        query = call.query
        limit = bodies.limit_of(query.get("limit", _USUAL_LIMIT))
        for name in ("queue", "assignee", "subject"):
            require_readable_field(query.get(name, ""), name)
        found = await self._read(
            self._desk.cases,
            queue=query.get("queue"),
            holder=query.get("assignee"),
            subject=query.get("subject"),
            closed=bodies.status_of(query.get("status", "open")) == "closed",
            viewer=call.caller,
            limit=limit + 1,
            after=bodies.place_of(query.get("after")),
        )
        return Reply.json(bodies.page(found, limit))

    async def show(self, call: Call) -> Reply:
        """A case with its payments and history."""
        found = await self._read(self._desk.case, bodies.number_of(call.names["case"]), call.caller)
        return _tagged(bodies.file_answer(*found), found[0])

    async def history(self, call: Call) -> Reply:
        """The steps of a case."""
        _, _, steps = await self._read(
            self._desk.case, bodies.number_of(call.names["case"]), call.caller
        )
        return Reply.json(tuple(map(bodies.step_answer, steps)))

    async def narrative(self, call: Call) -> Reply:
        """A case in sentences."""
        return Reply.json(Narrative(tuple(narrate(await self._evidence(call)))))

    async def pack(self, call: Call) -> Reply:
        """The evidence pack of a case; decisions are not replayed in a process that decides."""
        found = await self._evidence(call)
        named = b'attachment; filename="case-%d.zip"' % found.case.id
        return Reply(
            await self._read(zip_evidence, found),
            media=_ZIP,
            headers=((b"content-disposition", named), _tag(found.case)),
        )

    async def _evidence(self, call: Call) -> CaseEvidence:
        number = bodies.number_of(call.names["case"])
        return await self._read(gather, self._desk, self._ledger, number, viewer=call.caller)

    async def queues(self, _: Call) -> Reply:
        """The queues and what waits in them."""
        return Reply.json(tuple(map(bodies.load_answer, await self._read(self._desk.loads))))

    async def next(self, call: Call) -> Reply:
        """Claim the best case."""
        asked = await call.json(bodies.NextCase)
        require_readable_field(asked.queue or "", "queue")
        case = await self._write(self._desk.next, call.caller, queue=asked.queue)
        if case is None:
            return Reply.json(bodies.ClaimedCase(None))
        found = await self._read(self._desk.case, case.id, call.caller)
        return _tagged(bodies.ClaimedCase(bodies.file_answer(*found)), found[0])

    async def claim(self, call: Call) -> Reply:
        """Claim a case."""
        return await self._change(call, await call.json(CaseChange), self._desk.claim)

    async def release(self, call: Call) -> Reply:
        """Give a case back."""
        return await self._change(call, await call.json(CaseChange), self._desk.release)

    async def assign(self, call: Call) -> Reply:
        """Give a case to somebody."""
        body = await call.json(bodies.CaseAssignment)
        change = partial(self._desk.assign, to=body.to, note=body.reason)
        return await self._change(call, body, change)

    async def snooze(self, call: Call) -> Reply:
        """Put a case off."""
        body = await call.json(bodies.CaseSnooze)
        until = moment(body.until, None, field="until") or 0
        return await self._change(
            call, body, partial(self._desk.snooze, until=until, note=body.note)
        )

    async def escalate(self, call: Call) -> Reply:
        """Pass a case on."""
        body = await call.json(bodies.CaseReason)
        return await self._change(call, body, partial(self._desk.escalate, note=body.reason))

    async def note(self, call: Call) -> Reply:
        """Write something down."""
        body = await call.json(bodies.CaseNote)
        return await self._change(call, body, partial(self._desk.note, note=body.note))

    async def reopen(self, call: Call) -> Reply:
        """Open a closed case again."""
        body = await call.json(bodies.CaseReason)
        return await self._change(call, body, partial(self._desk.reopen, note=body.reason))

    async def undo(self, call: Call) -> Reply:
        """Take a decision of the caller back."""
        await call.json(bodies.CaseUndo)
        number = bodies.number_of(call.names["case"])
        case = await self._write(self._desk.undo, number, call.caller)
        return _tagged(bodies.case_answer(case), case)

    async def decide(self, call: Call) -> Reply:
        """Close a case."""
        body = await call.json(bodies.CaseDecision)
        outcome = bodies.outcome_of(body.outcome)
        change = partial(self._desk.decide, outcome=outcome, note=body.note, labels=body.labels)
        return await self._change(call, body, change)

    async def decide_all(self, call: Call) -> Reply:
        """Close several cases, or none."""
        body = await call.json(bodies.CaseDecisions)
        seen = {one.id: one.expected_version for one in body.cases}
        versions = {number: one for number, one in seen.items() if one is not None}
        outcome = bodies.outcome_of(body.outcome)
        decided = {"outcome": outcome, "note": body.note, "versions": versions}
        closed = await self._write(self._desk.decide_all, list(seen), call.caller, **decided)
        return Reply.json(CasePage(tuple(map(bodies.case_answer, closed))))

    async def _change(self, call: Call, body: CaseChange, change: Change) -> Reply:
        number = bodies.number_of(call.names["case"])
        version = bodies.version_of(call.headers.get(b"if-match"), body.expected_version)
        case = await self._write(change, number, call.caller, version=version)
        return _tagged(bodies.case_answer(case), case)

    async def _read(self, ask: Callable[..., T], *arguments: Any, **options: Any) -> T:
        return await _in(self._readers, ask, *arguments, **options)

    async def _write(self, ask: Callable[..., T], *arguments: Any, **options: Any) -> T:
        return await _in(self._writer, ask, *arguments, **options)


def case_operations(desk: Desk, ledger: Ledger) -> list[Operation]:
    """`/v1/cases…` and `/v1/case-queues`; each operation needs a key of the scope `review`."""
    own = CaseOperations(desk, ledger)
    return [
        _read_of("cases", "", "Open cases, or closed ones", own.page, (CasePage,), query=_QUERY),
        _read_of("case", "/{case}", "A case, its payments and its history", own.show, (CaseFile,)),
        _read_of("case_history", "/{case}/history", "The steps of a case", own.history, _STEPS),
        _read_of(
            "case_narrative",
            "/{case}/narrative",
            "A case in plain sentences",
            own.narrative,
            (Narrative,),
            fails=_CHANGE_FAILS,
        ),
        Operation(
            method="GET",
            path="/v1/cases/{case}/pack",
            name="case_pack",
            summary="The evidence of a case in one ZIP file",
            description="The same case gives the same bytes. `shroff cases pack` replays the "
            "decisions too.",
            handler=own.pack,
            scope="review",
            gives={_ZIP: (Component("EvidencePack", lambda: _BYTES),)},
            fails=_CHANGE_FAILS,
        ),
        _change_of(
            "next_case",
            ":next",
            "Claim the case that is most worth your time",
            own.next,
            bodies.NextCase,
            (bodies.ClaimedCase,),
        ),
        _change_of(
            "decide_cases",
            ":decide",
            "Close several cases, or none",
            own.decide_all,
            bodies.CaseDecisions,
            (CasePage,),
        ),
        *_changes(own),
        Operation(
            method="GET",
            path="/v1/case-queues",
            name="case_queues",
            summary="The queues of cases, and what waits in them",
            handler=own.queues,
            scope="review",
            gives={JSON: _LOADS},
            fails=(problem.UNAVAILABLE,),
        ),
    ]


def _changes(own: CaseOperations) -> list[Operation]:
    """The changes of one case."""
    changes: list[tuple[str, str, Handler, Any]] = [
        ("claim", "Claim a case for an hour; again, for another hour", own.claim, CaseChange),
        ("release", "Give a claimed case back", own.release, CaseChange),
        ("assign", "Give a case to somebody, whoever has it", own.assign, bodies.CaseAssignment),
        ("snooze", "Put a case off", own.snooze, bodies.CaseSnooze),
        ("escalate", "Pass a case on, with a reason", own.escalate, bodies.CaseReason),
        ("note", "Write something down about a case", own.note, bodies.CaseNote),
        ("decide", "Close a case; its payments get labels", own.decide, bodies.CaseDecision),
        ("reopen", "Open a closed case again", own.reopen, bodies.CaseReason),
        ("undo", "Take your decision of the last minutes back", own.undo, bodies.CaseUndo),
    ]
    return [
        _change_of(
            f"{verb}_case",
            f"/{{case}}/{verb}",
            summary,
            handler,
            body,
            (ReviewCase,),
            # what is taken back is the last step, whichever version the caller saw
            {} if body is bodies.CaseUndo else _IF_MATCH,
        )
        for verb, summary, handler, body in changes
    ]


def _read_of(
    name: str,
    end: str,
    summary: str,
    handler: Handler,
    gives: Types,
    fails: Sequence[Kind] = _READ_FAILS,
    **more: Any,
) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/cases{end}",
        name=name,
        summary=summary,
        handler=handler,
        scope="review",
        gives={JSON: gives},
        fails=fails,
        **more,
    )


def _change_of(
    name: str,
    end: str,
    summary: str,
    handler: Handler,
    body: Any,
    gives: Types,
    asks: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/cases{end}",
        name=name,
        summary=summary,
        handler=handler,
        scope="review",
        takes={JSON: (body,)},
        gives={JSON: gives},
        asks=asks,
        fails=_CHANGE_FAILS,
    )


def _tagged(answer: object, case: Case) -> Reply:
    """An answer with the version of its case as `ETag`."""
    return Reply(encode(answer), headers=(_tag(case),))


def _tag(case: Case) -> tuple[bytes, bytes]:
    return b"etag", b'"%d"' % case.version


async def _in(
    threads: ThreadPoolExecutor, ask: Callable[..., T], *arguments: Any, **options: Any
) -> T:
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, partial(ask, *arguments, **options))
    except ConfigurationError as error:
        raise BadPayment(str(error)) from None
