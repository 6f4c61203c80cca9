"""`shroff users`: who may sign in to the console."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.access import print_access
from shroff.cli.terminal import AsJson, err, moment, operator, out, print_rows, show, visible
from shroff.settings import Settings

if TYPE_CHECKING:
    from shroff.control.users import User, Users

app = typer.Typer(
    help="Add, list and change the people who sign in to the console.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The name to sign in with.", show_default=False)]
FromInput = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input, to its first line break."
    ),
]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="analyst, modeller or admin.", show_default=False)],
    without_password: Annotated[
        bool,
        typer.Option(
            "--without-password", help="They sign in through OpenID Connect, under this name."
        ),
    ] = False,
    password_stdin: FromInput = False,
    as_json: AsJson = False,
) -> None:
    """Add a user; asks for the password, at least 12 characters, of which a hash is kept."""
    password = None if without_password else _read_password(password_stdin)
    made = _users().add(
        name,
        role,  # type: ignore[arg-type]  # checked there
        password=password,
        by=operator(),
    )
    if as_json:
        show({"user": _plain(made)})
    else:
        out.print(visible(f"{made.name} may sign in as {made.role}."), markup=False)


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List everybody, the disabled too."""
    rows = [_plain(one) for one in _users().all()]
    if as_json:
        show({"users": rows})
    elif rows:
        print_rows(rows, "name", "role", "added", "disabled")
    else:
        out.print("Nobody yet: add somebody with `shroff users add NAME --role admin`.")


@app.command()
def role(
    name: Name,
    new: Annotated[
        str, typer.Argument(metavar="ROLE", help="analyst, modeller or admin.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Give a user another role, at once."""
    _users().set_role(name, new, by=operator())  # type: ignore[arg-type]  # checked there
    _changed(name, as_json)


@app.command()
def password(name: Name, password_stdin: FromInput = False, as_json: AsJson = False) -> None:
    """Give a user another password; their sessions end."""
    _users().set_password(name, _read_password(password_stdin), by=operator())
    _changed(name, as_json)


@app.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Let a user sign in no longer; their sessions end."""
    _users().disable(name, by=operator())
    _changed(name, as_json)


@app.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Let a disabled user sign in again."""
    _users().enable(name, by=operator())
    _changed(name, as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Show who added and changed users, and when; fails if the history was changed."""
    print_access("users", as_json)


def _changed(name: str, as_json: bool) -> None:
    user = _users().named(name)
    if as_json:
        show({"user": _plain(user)})
        return
    state = "disabled" if user.disabled is not None else "active"
    out.print(visible(f"{user.name}: {user.role}, {state}."), markup=False)


def _read_password(from_input: bool) -> str:
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "there is no terminal to ask on: give the password with --password-stdin."
        )
    err.print("At least 12 characters.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _plain(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "role": user.role,
        "added": moment(user.created),
        "disabled": moment(user.disabled),
    }


def _users() -> Users:
    from shroff.control.users import Users

    return Users(Settings.read().control)
