"""`shroff policy propose`, `proposals`, `approve` …: changes that a second person agrees to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.arguments import AddedRules, Note, WithoutRules
from shroff.cli.models import published
from shroff.cli.policy import app, read_policy
from shroff.cli.terminal import AsJson, moment, operator, out, print_rows, show, visible
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control.proposal import Person, Proposal
    from shroff.control.proposals import Proposals

Number = Annotated[int, typer.Argument(help="The proposal.", show_default=False)]


@app.command()
def propose(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Another policy: a project, or a JSON file as `shroff policy show --json` prints.",
            show_default=False,
        ),
    ] = None,
    rule: AddedRules = None,
    without: WithoutRules = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Draft a change of the policy in force, which a second person has to agree to."""
    from shroff.backtest import rule_of, variant
    from shroff.control.changes import changes_between

    given = published().in_production()[1].given
    asked = variant(
        given if source is None else read_policy(source), map(rule_of, rule or []), without or []
    )
    print_proposal(
        proposals().propose(changes_between(given, asked), by=person(), note=note), as_json
    )


@app.command("proposals")
def show_proposals(
    number: Annotated[
        int | None,
        typer.Argument(help="One of them, with its history; default: all.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is proposed, for the policy and for lists, and at which stage it is."""
    if number is not None:
        print_proposal(proposals().find(number), as_json)
        return
    rows = [_row(one) for one in proposals().latest()]
    if as_json:
        show({"proposals": rows})
    else:
        print_rows(rows, "id", "stage", "base", "change", "by", "at", "note")


@app.command()
def shadow(number: Number, note: Note = None, as_json: AsJson = False) -> None:
    """Try a proposed policy on live payments, without effect."""
    print_proposal(proposals().shadow(number, by=person(), note=note), as_json)


@app.command()
def approve(number: Number, note: Note = None, as_json: AsJson = False) -> None:
    """Agree to a proposal as a second person, which puts it in force."""
    print_proposal(proposals().approve(number, by=person(), note=note), as_json)


@app.command()
def refuse(number: Number, note: Note = None, as_json: AsJson = False) -> None:
    """Refuse a proposal as a second person."""
    print_proposal(proposals().refuse(number, by=person(), note=note), as_json)


@app.command()
def withdraw(number: Number, note: Note = None, as_json: AsJson = False) -> None:
    """Take a proposal back."""
    print_proposal(proposals().withdraw(number, by=person(), note=note), as_json)


@app.command()
def rebase(number: Number, as_json: AsJson = False) -> None:
    """Draft a proposal anew, against the policy that is in force now."""
    print_proposal(proposals().rebase(number, by=person()), as_json)


def proposals() -> Proposals:
    """The proposals of this installation."""
    from shroff.control.proposals import Proposals

    return Proposals(Settings.read().control, published())


def person() -> Person:
    """The user who runs this command, an admin: they can read and write all that is kept."""
    from shroff.control.proposal import Person

    return Person(operator(), "admin")


def print_proposal(one: Proposal, as_json: bool) -> None:
    """Print a proposal: what it changes, its history, and what comes next."""
    from shroff.control.proposal import STATES

    if as_json:
        show(
            _row(one)
            | {"changes": list(one.words), "result": one.moves[-1].result}
            | ({} if one.edit is None else {"values": list(one.edit.values)})
            | {"moves": [move._asdict() | {"at": moment(move.at)} for move in one.moves]}
        )
        return
    after = {
        "draft": "another person can agree to it: `shroff policy approve"
        if one.edit
        else "try it on live payments: `shroff policy shadow",
        "shadow": "another person can agree to it: `shroff policy approve",
    }.get(one.stage)
    out.print(
        f"Proposal {one.id} is {STATES[one.stage]}{f'; {after} {one.id}`' if after else ''}.",
        soft_wrap=True,
    )
    for sentence in one.words:
        out.print(visible(f"  {sentence}"), soft_wrap=True, markup=False)
    for value in one.edit.values if one.edit is not None and one.edit.more else ():
        # who agrees has seen what they agree to
        out.print(visible(f"    {value}"), soft_wrap=True, markup=False)
    for move in one.moves:
        why = f": {move.note}" if move.note else ""
        out.print(
            visible(f"  {moment(move.at)} {move.stage} by {move.by}{why}"),
            soft_wrap=True,
            markup=False,
        )


def _row(one: Proposal) -> dict[str, object]:
    first, *more = one.words
    return {
        "id": one.id,
        "stage": one.stage,
        "base": one.base,
        "change": f"{first} (and {len(more)} more)" if more else first,
        "by": one.made_by,
        "at": moment(one.made_at),
        "note": one.note,
    }
