"""Lists that rules read: their values, their edits, and how to add one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Final, Literal

import msgspec

from shroff.collect.fields import require_fit_note
from shroff.collect.times import iso_time
from shroff.control import Edit, LiveLists, listed_value
from shroff.decide.standing import list_readers
from shroff.errors import BadPayment, ConfigurationError, NotFound, did_you_mean
from shroff.scoring.feedback import moment
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Operation, Reply

_iso = partial(iso_time, precision="milliseconds")
_SHOWN_EDITS: Final = 100
_Value = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Moment = Annotated[
    str | None,
    msgspec.Meta(description="ISO 8601 with its zone.", extra_json_schema={"format": "date-time"}),
]


class NewEdit(msgspec.Struct, forbid_unknown_fields=True):
    """A value to add to a list or to remove, from now or `since` on, for good or `until` a time."""

    value: _Value
    action: Literal["add", "remove"] = "add"
    personal: Annotated[
        bool, msgspec.Meta(description="A personal column is compared: keep the value's hash.")
    ] = False
    since: _Moment = None
    until: _Moment = None
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class ListEdit(msgspec.Struct, frozen=True):
    """An edit of a list: what, when it holds, who made it and when; times are ISO 8601."""

    id: int
    value: str
    action: str
    since: str
    until: str | None
    note: str | None
    by: str
    at: str


class NamedList(msgspec.Struct, frozen=True):
    """A list now, and its last edits, at most 100; `edited` counts all there ever were."""

    name: str
    values: tuple[str, ...]
    edits: tuple[ListEdit, ...]
    edited: int


def list_operations(scorer: Scorer, lists: LiveLists) -> list[Operation]:
    """`GET /v1/lists`, and `POST /v1/lists/{name}/edits`."""

    async def all_lists(_: Call) -> Reply:
        found = []
        for name, values in scorer.decider.lists.items():
            edits = await asyncio.to_thread(lists.store.latest, name, _SHOWN_EDITS)
            edited = sum(number for (of, _), number in lists.edited.items() if of == name)
            found.append(NamedList(name, tuple(values), tuple(map(_shown, edits)), edited))
        return Reply.json(found)

    async def edit(call: Call) -> Reply:
        name, new = call.names["name"], await call.json(NewEdit)
        if name not in scorer.decider.lists:
            raise NotFound(
                f"there is no such list{did_you_mean(name, scorer.decider.lists) or '.'}"
            )
        since = moment(new.since, None, field="since")
        until = moment(new.until, None, field="until")
        require_fit_note(new.note)
        try:
            value = listed_value(
                new.value,
                new.action,
                personal=new.personal,
                readers=list_readers(name, scorer.decider.policy, scorer.bundle),
                token=scorer.reader.token,
                numbers=scorer.bundle.numbers,
            )
            made = await asyncio.to_thread(
                lists.store.edit,
                name,
                value,
                new.action,
                by=call.caller,
                since=since,
                until=until,
                note=new.note,
            )
        except ConfigurationError as error:
            raise BadPayment(str(error)) from None
        await asyncio.to_thread(lists.refresh)
        await scorer.keep_lists()
        return Reply.json(_shown(made))

    return [
        Operation(
            method="GET",
            path="/v1/lists",
            name="lists",
            summary="The lists that rules read",
            handler=all_lists,
            scope="read",
            gives={JSON: (list[NamedList],)},
            fails=(problem.UNAVAILABLE,),
        ),
        Operation(
            method="POST",
            path="/v1/lists/{name}/edits",
            name="edit_list",
            summary="Edit a list",
            description="Payments are decided by it when it is answered; other workers follow "
            "within seconds.",
            handler=edit,
            scope="admin",
            takes={JSON: (NewEdit,)},
            gives={JSON: (ListEdit,)},
            status=201,
            done="The edit.",
            fails=(problem.BAD_PAYMENT, problem.UNAVAILABLE),
            any_media=True,
        ),
    ]


def _shown(edit: Edit) -> ListEdit:
    until = None if edit.until is None else _iso(edit.until)
    return ListEdit(
        id=edit.id,
        value=edit.value,
        action=edit.action,
        since=_iso(edit.since),
        until=until,
        note=edit.note,
        by=edit.made_by,
        at=_iso(edit.made_at),
    )
