"""Lists: the values that rules read, and their edits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from litestar.params import FromQuery

from shroff.collect.personal import forms, is_token, tokenizer
from shroff.collect.times import parse_time
from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.console.given import GivenBackend, GivenForm, GivenPerson
from shroff.console.problems import status_of
from shroff.console.views import lead, view
from shroff.console.web import Request, Response
from shroff.control import listed_value
from shroff.control.changes import ListChange
from shroff.control.proposal import Person
from shroff.decide.standing import kinds_of
from shroff.errors import ConfigurationError, NotFound, ShroffError
from shroff.expression import Expression, InList, parse

_SHOWN_VALUES = 200
_SHOWN_EDITS = 100


@page("/lists", role="admin")
def show_lists(backend: GivenBackend) -> Response:
    """Every list of the policy in force."""
    try:
        held, rules = backend.bench.lists, _parsed_rules(backend)
    except ShroffError as error:
        return view("lists.html", {"problem": str(error), "lists": None})
    read = {name: [rule for rule, one in rules.items() if name in one.lists] for name in held}
    return view("lists.html", {"problem": "", "lists": held, "read": read})


@page("/lists/values", role="admin")
def show_list(backend: GivenBackend, name: FromQuery[str] = "", q: FromQuery[str] = "") -> Response:
    """One list: its values, those that have a text, and its edits."""
    return view("list.html", _context(backend, name, q))


@action("/lists/values", role="admin")
def search_list(backend: GivenBackend, form: GivenForm) -> Response:
    """The same for a text that no address keeps, as it may be somebody's."""
    return view("list.html", _context(backend, form.text("name"), form.text("q")))


@action("/lists/edit", role="admin")
def edit_list(
    request: Request, backend: GivenBackend, person: GivenPerson, form: GivenForm
) -> Response:
    """Add a value or remove one, or propose it where that needs a second person."""
    name = form.text("list")
    try:
        said, target = _edited(backend, person, form, name)
    except NotFound:
        raise
    except ShroffError as error:
        typed = {one: form.text(one) for one in ("value", "until", "note")}
        context = _context(backend, name, "", str(error)) | {"typed": typed}
        return view("list.html", context, status=status_of(error))
    return lead(request, target, said=said)


def _edited(backend: ConsoleBackend, person: Person, form: Form, name: str) -> tuple[str, str]:
    change = _asked(backend, form, name)
    note = form.text("note") or None
    if backend.settings.needs_consent("lists"):
        made = backend.proposals.propose_edit(change, by=person, note=note)
        return f"Proposal {made.id} is drafted: another admin agrees.", f"/proposals/{made.id}"
    backend.lists.edit(
        change.name, change.value, change.action, by=person.name, until=change.until, note=note
    )
    verb = "is on the list" if change.action == "add" else "is not on the list any more"
    return f"{change.value} {verb}.", f"/lists/values?name={quote(name)}"


def _asked(backend: ConsoleBackend, form: Form, name: str) -> ListChange:
    _require_list(backend, name)
    step, until = form.text("step"), form.text("until")
    if step not in ("add", "remove"):
        raise ConfigurationError("expected to add or to remove a value.")
    bundle, key = backend.bench.in_use.contender.bundle, backend.settings.hmac_key()
    typed = form.text("value")
    hashed = is_token(typed)
    personal = _personal_columns(backend, name)
    if step == "add" and personal and not hashed and "personal" not in form:
        raise ConfigurationError(
            f"expected a value of the personal column {personal[0]}, which rules compare this list "
            "with: tick that its keyed hash is kept, or it would equal no payment's."
        )
    value = listed_value(
        typed,
        "add" if step == "add" else "remove",
        # a token, such as a receipt shows, is a keyed hash already
        personal="personal" in form and not hashed,
        token=tokenizer(key),
        numbers=bundle.numbers,
    )
    return ListChange(
        name=name,
        value=value,
        action="add" if step == "add" else "remove",
        until=_moment(until) if until else None,
    )


def _personal_columns(backend: ConsoleBackend, name: str) -> list[str]:
    """The personal columns that rules in force compare a list with."""
    rules = _parsed_rules(backend).values()
    return [
        column
        for column in backend.bench.in_use.contender.bundle.schema.personal
        if any(
            isinstance(one, InList) and one.name == name
            for rule in rules
            for one in rule.compared_with(column)
        )
    ]


def _parsed_rules(backend: ConsoleBackend) -> dict[str, Expression]:
    """The conditions of the rules in force, by the names of the rules."""
    bundle, standing = backend.bench.in_use.contender
    columns, policy = kinds_of(bundle), standing.policy
    return {one.name: parse(one.condition, columns, [*policy.lists]) for one in policy.rules}


def _moment(text: str) -> int:
    """A date as a browser sends it, until whose end, in UTC, an edit holds."""
    try:
        return parse_time(f"{text}T23:59:59Z", None)
    except ValueError:
        raise ConfigurationError("expected a date such as 2026-03-01, or nothing.") from None


def _require_list(backend: ConsoleBackend, name: str) -> None:
    if name not in backend.bench.in_use.contender.standing.policy.lists:
        raise NotFound("there is no such list in the policy in force: choose one under Lists.")


def _with_text(backend: ConsoleBackend, values: Collection[str], text: str) -> list[str]:
    """The values that have a text, and the keyed hash of one that was typed as it is sent."""
    hashes = forms(text, backend.settings.hmac_key())[1:] if text.strip() else []
    return [one for one in values if text.casefold() in one.casefold() or one in hashes]


def _context(backend: ConsoleBackend, name: str, q: str, problem: str = "") -> dict[str, Any]:
    _require_list(backend, name)
    values, now = backend.bench.lists[name], backend.clock()
    edits = backend.lists.latest(name, _SHOWN_EDITS)[::-1]
    found = _with_text(backend, values, q)
    shown = found[:_SHOWN_VALUES]
    ends = {one.value: one.until for one in backend.lists.of(name, shown) if one.covers(now)}
    proposed = [one for one in backend.proposals.open() if one.edit and one.edit.name == name]
    return {
        "name": name,
        "q": q,
        "problem": problem,
        "values": shown,
        "found": len(found),
        "all": len(values),
        "ends": ends,
        "edits": edits,
        "now": now,
        "proposed": proposed,
        "two": backend.settings.needs_consent("lists"),
        "personal": _personal_columns(backend, name),
        "typed": {"value": "", "until": "", "note": ""},
    }


ROUTES = (show_lists, show_list, search_list, edit_list)
