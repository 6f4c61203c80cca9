"""Lists: the values that rules read, and their edits."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from shroff.control.list_import import plan_rows, rows_of_text
from shroff.control.proposal import Person
from shroff.decide.lists import Action
from shroff.decide.standing import ListReaders, kinds_of, list_readers
from shroff.errors import ConfigurationError, NotFound, ShroffError
from shroff.expression import Expression, parse

_SHOWN_VALUES = 200
_SHOWN_EDITS = 100
_DONE = {
    ("add", False): "is on the list",
    ("add", True): "was on the list already; the edit is kept",
    ("remove", True): "is not on the list any more",
    ("remove", False): "was not on the list; the edit is kept",
}
"""What became of an edit, by what it does and whether the value was on the list."""


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


@action("/lists/import", role="admin")
def import_values(
    request: Request, backend: GivenBackend, person: GivenPerson, form: GivenForm
) -> Response:
    """Add the values that somebody pasted, one a line: all of them or none; or propose them."""
    name = form.text("list")
    _require_list(backend, name)
    try:
        until = form.text("until")
        done = plan_rows(
            backend.lists,
            name,
            rows_of_text(form.text("values"), _moment(until) if until else None),
            seed=backend.bench.in_use.contender.standing.policy.lists,
            now=backend.clock(),
            listed=_door(backend, name, "add", personal="personal" in form),
            note=form.text("note") or None,
        )
        if backend.settings.needs_consent("lists"):
            change, why = done.proposed()
            made = backend.proposals.propose_edit(change, by=person, note=why)
            said = f"Proposal {made.id} is drafted: another admin agrees."
            return lead(request, f"/proposals/{made.id}", said=said)
        backend.lists.edit_all(done.edits, by=person.name)
    except ShroffError as error:
        pasted = {one: form.text(one) for one in ("values", "until", "note")}
        context = _context(backend, name, "", str(error)) | {"pasted": pasted}
        return view("list.html", context, status=status_of(error))
    return lead(request, f"/lists/values?name={quote(name)}", said=done.words)


def _edited(backend: ConsoleBackend, person: Person, form: Form, name: str) -> tuple[str, str]:
    change = _asked(backend, form, name)
    note = form.text("note") or None
    held = change.value in backend.bench.lists[name]
    if backend.settings.needs_consent("lists"):
        made = backend.proposals.propose_edit(change, by=person, note=note)
        return f"Proposal {made.id} is drafted: another admin agrees.", f"/proposals/{made.id}"
    backend.lists.edit(
        change.name, change.value, change.action, by=person.name, until=change.until, note=note
    )
    verb = _DONE[change.action, held]
    return f"{change.value} {verb}.", f"/lists/values?name={quote(name)}"


def _asked(backend: ConsoleBackend, form: Form, name: str) -> ListChange:
    _require_list(backend, name)
    step, until = form.text("step"), form.text("until")
    if step not in ("add", "remove"):
        raise ConfigurationError("expected to add or to remove a value.")
    chosen: Action = "add" if step == "add" else "remove"
    value = _door(backend, name, chosen, personal="personal" in form)(form.text("value"))
    return ListChange(
        name=name,
        value=value,
        action=chosen,
        until=_moment(until) if until else None,
    )


def _door(
    backend: ConsoleBackend, name: str, step: Action, *, personal: bool
) -> Callable[[str], str]:
    """A function that turns a value that somebody typed into the one that payments have."""
    token, readers = tokenizer(backend.settings.hmac_key()), _readers(backend, name)

    def listed(typed: str) -> str:
        if personal and is_token(typed):
            # the box is ticked beforehand, so it does not say which of both was meant
            raise ConfigurationError(
                "expected a value as payments are sent with it, got 64 hex digits, which may be "
                "the keyed hash that a receipt shows: then untick the box, and it is kept as it "
                "is. If payments are sent with such digits, `shroff lists add --personal` keeps "
                "their hash."
            )
        return listed_value(
            typed,
            step,
            personal=personal,
            readers=readers,
            token=token,
            numbers=backend.bench.in_use.contender.bundle.numbers,
        )

    return listed


def _readers(backend: ConsoleBackend, name: str) -> ListReaders:
    """The columns that rules compare a list with."""
    bundle, standing = backend.bench.in_use.contender
    return list_readers(name, standing.policy, bundle)


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
    readers = _readers(backend, name).personal
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
        "personal": readers,
        "idle": {one for one in shown if readers and not is_token(one)},
        "typed": {"value": "", "until": "", "note": ""},
        "pasted": {"values": "", "until": "", "note": ""},
    }


ROUTES = (show_lists, show_list, search_list, edit_list, import_values)
