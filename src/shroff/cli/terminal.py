"""Output shared by all commands: consoles, progress of steps, `--json`."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# a pipe has no width of its own: do not squeeze tables into 80 columns
out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False)

WARMED: Final = "A service that was started with `--warm` saw that history too: pass it with `--data`."
"""The hint if a ledger's decisions differ and no history was given."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@contextmanager
def steps(*, quiet: bool) -> Iterator[Any]:
    """Show the current step and its time on standard error; yields the function that names a step.

    Where that is no terminal, such as a log file, each step is a line when it begins and another when it is done.
    """
    if not (quiet or err.is_terminal):
        with _lines() as step:
            yield step
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet) as progress:
        current: list[Any] = []

        def step(name: str) -> None:
            if current:
                progress.stop_task(current[-1])
            current.append(progress.add_task(name, total=None))

        yield step


@contextmanager
def _lines() -> Iterator[Callable[[str], None]]:
    begun: list[tuple[str, float]] = []

    def done() -> None:
        if begun:
            name, since = begun.pop()
            _say(f"{name}: done after {monotonic() - since:.1f} s")

    def step(name: str) -> None:
        done()
        begun.append((name, monotonic()))
        _say(f"{name} …")

    yield step
    done()


def _say(line: str) -> None:
    err.print(line, soft_wrap=True, markup=False)
    err.file.flush()


def show(document: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_dropped(dropped: Mapping[str, int], first: Mapping[str, int]) -> None:
    """Print the dropped rows by reason on standard error."""
    for reason, count in dropped.items():
        where = f" (first in row {first[reason]:,})" if reason in first else ""
        err.print(f"dropped {count:,} {'row' if count == 1 else 'rows'}: {reason}{where}", soft_wrap=True, markup=False)


def print_currencies(currencies: Mapping[str, int], base: str | None) -> None:
    """Print the converted payments by currency on standard error."""
    from shroff.collect.currencies import told  # imports Polars

    sentence = told(currencies, base)
    if sentence is not None:
        err.print(sentence, soft_wrap=True)


def print_notices(notices: Sequence[str]) -> None:
    """Print notices on standard error."""
    for notice in notices:
        err.print(f"notice: {notice}", soft_wrap=True, markup=False)


def moment(micros: int | None) -> str | None:
    """A time in ISO 8601 for people; None without a time."""
    from shroff.collect.times import iso_time  # imports Polars, which most commands do not need

    return None if micros is None else iso_time(micros, "seconds")


def operator() -> str:
    """The user who runs this command, by name or else by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def print_rows(rows: Sequence[Mapping[str, object]], *columns: str) -> None:
    """Print rows as a table; missing values are blank, lists are joined by commas."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    out.print(table)


def _cell(value: object) -> Text:
    text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    # as text: a note such as `[/a]` is no markup
    return Text(visible(text))


def visible(text: str) -> str:
    """A text that somebody wrote, such as a note, so that it commands no terminal and hides nothing.

    >>> visible("case [7] café\x1b[2J\u202e")
    'case [7] café\\\\x1b[2J\\\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)
