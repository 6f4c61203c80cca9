"""`shroff lists`: the lists that rules read, edited while the service runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import Note
from shroff.cli.models import published
from shroff.cli.terminal import (
    AsJson,
    err,
    moment,
    operator,
    out,
    print_notices,
    print_rows,
    read_moment,
    show,
    visible,
)
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control import Edit, Lists
    from shroff.decide.lists import Action, Values
    from shroff.decide.standing import Standing
    from shroff.package import Bundle

app = typer.Typer(
    help="Show and edit the lists that rules read; services follow within seconds.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The list, as the policy names it.", show_default=False)]
Value = Annotated[str, typer.Argument(help="The value, as payments have it.", show_default=False)]
Since = Annotated[
    str | None, typer.Option(help="Start of the edit, ISO 8601; default: now.", show_default=False)
]
Until = Annotated[
    str | None,
    typer.Option(help="End of the edit, ISO 8601; default: for good.", show_default=False),
]
Personal = Annotated[
    bool,
    typer.Option(
        "--personal", help="The list is for a personal column: store the value's keyed hash."
    ),
]
OfBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        help="The bundle with the lists; default: the policy in production.",
        show_default=False,
    ),
]


@app.command("show")
def show_all(bundle: OfBundle = None, as_json: AsJson = False) -> None:
    """Show the values of the lists now."""
    from shroff.clock import system_time
    from shroff.control import effective

    held = effective(_seed(bundle), _lists().edits(), system_time()).values
    if as_json:
        show({"lists": {name: list(values) for name, values in held.items()}})
        return
    for name, values in held.items():
        out.print(
            visible(f"{name}: {', '.join(values) or 'nothing'}"), soft_wrap=True, markup=False
        )


@app.command()
def add(
    name: Name,
    value: Value,
    since: Since = None,
    until: Until = None,
    note: Note = None,
    personal: Personal = False,
    bundle: OfBundle = None,
    as_json: AsJson = False,
) -> None:
    """Add a value to a list."""
    _edit(name, value, "add", personal, since, until, note, bundle, as_json)


@app.command()
def remove(
    name: Name,
    value: Value,
    since: Since = None,
    until: Until = None,
    note: Note = None,
    personal: Personal = False,
    bundle: OfBundle = None,
    as_json: AsJson = False,
) -> None:
    """Remove a value from a list."""
    _edit(name, value, "remove", personal, since, until, note, bundle, as_json)


@app.command("import")
def import_values(
    name: Name,
    file: Annotated[
        Path, typer.Argument(help="A CSV file in UTF-8, or Parquet.", show_default=False)
    ],
    column: Annotated[str, typer.Option(help="The column with the values.")] = "value",
    note: Note = None,
    personal: Personal = False,
    bundle: OfBundle = None,
    as_json: AsJson = False,
) -> None:
    """Add the values of a file to a list, all of them or none; its columns `until` and `note` say
    until when each holds, and why.
    """
    from shroff.cli.proposals import person, print_proposal, proposals
    from shroff.clock import system_time
    from shroff.control.list_import import plan_rows, rows_of_file

    standing, listed = _door(name, "add", personal, bundle)
    read = rows_of_file(file, column)
    if read.words is not None:
        print_notices([visible(read.words)])
    done = plan_rows(
        _lists(),
        name,
        read.rows,
        seed=standing.policy.lists,
        now=system_time(),
        listed=listed,
        note=note,
    )
    if Settings.read().needs_consent("lists"):
        change, why = done.proposed()
        print_proposal(proposals().propose_edit(change, by=person(), note=why), as_json)
        return
    _lists().edit_all(done.edits, by=operator())
    if as_json:
        counts = {"there": done.there, "repeated": done.repeated, "blank": done.blank}
        show({"added": len(done.edits), **counts})
    else:
        out.print(visible(done.words), soft_wrap=True, markup=False)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show every edit with its author."""
    rows = [_row(edit) for edit in _lists().edits()]
    if as_json:
        show({"edits": rows})
        return
    print_rows(rows, "id", "list", "value", "action", "since", "until", "note", "by", "at")


def _edit(
    name: str,
    value: str,
    action: Action,
    personal: bool,
    since: str | None,
    until: str | None,
    note: str | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    from shroff.cli.proposals import person, print_proposal, proposals
    from shroff.clock import system_time
    from shroff.control import effective
    from shroff.control.changes import ListChange

    standing, listed = _door(name, action, personal, bundle)
    value = listed(value)
    if Settings.read().needs_consent("lists"):
        edit = ListChange(
            name=name,
            value=value,
            action=action,
            since=read_moment(since),
            until=read_moment(until),
        )
        print_proposal(proposals().propose_edit(edit, by=person(), note=note), as_json)
        return
    held = value in effective(standing.policy.lists, _lists().edits(), system_time()).values[name]
    made = _lists().edit(
        name,
        value,
        action,
        by=operator(),
        since=read_moment(since),
        until=read_moment(until),
        note=note,
    )
    if as_json:
        show(_row(made))
    else:
        out.print(
            visible(f"{name}: {action} {value}, edit {made.id}."), soft_wrap=True, markup=False
        )
    if held == (action == "add"):
        was = "was on the list already" if held else "was not on the list"
        err.print(visible(f"It {was}: see `shroff lists show`."), soft_wrap=True, markup=False)


def _door(
    name: str, action: Action, personal: bool, bundle: Path | None
) -> tuple[Standing, Callable[[str], str]]:
    """The policy that has the list, and a function that turns a value into the one that payments
    have.
    """
    from shroff.collect.personal import tokenizer
    from shroff.control import listed_value
    from shroff.decide.standing import list_readers
    from shroff.errors import NotFound, did_you_mean

    deciding, standing = _deciding(bundle)
    known = standing.policy.lists
    if name not in known:
        others = f": the policy has {', '.join(f'`{one}`' for one in known)}." if known else "."
        hint = did_you_mean(name, known) or f"{others} `Policy(lists=…)` declares one."
        raise NotFound(f"there is no list `{name}`{hint}")

    def token(text: str) -> str:
        return tokenizer(Settings.read().hmac_key())(text)

    return standing, partial(
        listed_value,
        action=action,
        personal=personal,
        readers=list_readers(name, standing.policy, deciding),
        token=token,
        numbers=deciding.numbers,
    )


def _seed(bundle: Path | None) -> Values:
    """The lists of a policy: a bundle's, or the one in production."""
    return _deciding(bundle)[1].policy.lists


def _deciding(bundle: Path | None) -> tuple[Bundle, Standing]:
    """A bundle and its own policy, or those in production."""
    from shroff.decide.standing import own
    from shroff.package import load

    if bundle is None:
        return published().in_production()
    loaded = load(bundle)
    return loaded, own(loaded)


def _lists() -> Lists:
    from shroff.control import Lists

    return Lists(Settings.read().control)


def _row(edit: Edit) -> dict[str, object]:
    return {
        "id": edit.id,
        "list": edit.name,
        "value": edit.value,
        "action": edit.action,
        "since": moment(edit.since),
        "until": moment(edit.until),
        "note": edit.note,
        "by": edit.made_by,
        "at": moment(edit.made_at),
    }
