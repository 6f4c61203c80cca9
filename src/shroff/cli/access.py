"""Who let whom in, printed: the changes of users and API keys."""

from __future__ import annotations

from typing import Literal, get_args

from shroff.cli.terminal import moment, out, print_rows, show
from shroff.settings import Settings


def print_access(of: Literal["users", "keys"], as_json: bool) -> None:
    """Print the changes of users or of keys, and the head of the chain of both."""
    from shroff.control.access_history import AccessHistory, KeyStep, UserStep

    steps = get_args(UserStep if of == "users" else KeyStep)
    changes = AccessHistory(Settings.read().control).all()
    rows = [
        {
            "at": moment(one.at),
            "by": one.by,
            "what": one.what,
            "of": one.of,
            "detail": one.detail,
        }
        for one in changes
        if one.what in steps
    ]
    head = f"{len(changes)}:{changes[-1].chain}" if changes else None
    if as_json:
        show({"changes": rows, "head": head})
        return
    if rows:
        print_rows(rows, "at", "by", "what", "of", "detail")
    else:
        out.print("No change was made since this release keeps a history.")
    if head is not None:
        out.print(f"The history of users and keys holds; its head is {head}.", soft_wrap=True)
