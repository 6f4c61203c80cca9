"""Output shared by all commands: consoles, progress of steps, `--json`."""

from __future__ import annotations

import getpass
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import typer
from rich.console import Console
from rich.errors import MarkupError
from rich.markup import escape
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shroff.cli.as_json import AsJson as AsJson
from shroff.cli.as_json import show as show
from shroff.errors import ShroffError, one_line

# a pipe has no width of its own: do not squeeze tables into 80 columns
out = Console(width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False)

WARMED_ADVICE: Final = (
    "A service that was started with `--warm` saw that history too: pass it with `--data`."
)
"""The hint if a ledger's decisions differ and no history was given."""
OTHER_HISTORY_ADVICE: Final = (
    "Features differ where `--data` is not the table that `serve --warm` read before this "
    "decision, such as a newer export of it; also where --bundle is not the model that decided."
)
"""The hint if a decision differs and a history was given."""

_SECONDS_BETWEEN_COUNTS: Final = 10.0


class Steps(ABC):
    """Shows what a command does: `step("read")`, and while it reads `step.count(2_000, 10_000)`."""

    def __call__(self, name: str) -> None:
        """The step before is done, and this one begins; it may name what somebody typed."""
        self._begin(one_line(name))

    @abstractmethod
    def count(self, done: int, total: int | None) -> None:
        """How many rows of the current step are done, and of how many, where that is known."""

    @abstractmethod
    def _begin(self, name: str) -> None: ...


@contextmanager
def steps(*, quiet: bool) -> Iterator[Steps]:
    """Show the current step, its rows where they are counted, and its time on standard error.

    Where that is no terminal, such as a log file, each step is a line when it begins and another
    when it is done.
    """
    if not (quiet or err.is_terminal):
        lines = _Lines()
        yield lines
        lines.done()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Rows(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet) as progress:
        yield _Tasks(progress)


class _Rows(ProgressColumn):
    """A bar and the number of rows, where rows are counted."""

    def render(self, task: Task) -> Text | Table:
        rows = task.fields.get("rows")
        if rows is None:
            return Text()
        done, total = rows
        if not total:
            return Text(f"{done:,} rows")
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(total, min(done, total), width=30), f"{done:,} of {total:,} rows")
        return line


class _Tasks(Steps):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._current: list[TaskID] = []

    def count(self, done: int, total: int | None) -> None:
        if done:
            self._progress.update(self._current[-1], rows=(done, total))

    def _begin(self, name: str) -> None:
        if self._current:
            self._progress.stop_task(self._current[-1])
        # a name such as a URL with `[::1]` is no markup
        self._current.append(self._progress.add_task(escape(name), total=None))


class _Lines(Steps):
    def __init__(self) -> None:
        self._begun: tuple[str, float] | None = None
        self._counted = 0.0

    def count(self, done: int, total: int | None) -> None:
        if not done or self._begun is None or monotonic() < self._counted + _SECONDS_BETWEEN_COUNTS:
            return
        self._counted = monotonic()
        _say(f"{self._begun[0]}: {done:,}{'' if total is None else f' of {total:,}'} rows")

    def done(self) -> None:
        if self._begun is not None:
            name, since = self._begun
            _say(f"{name}: done after {monotonic() - since:.1f} s")
        self._begun = None

    def _begin(self, name: str) -> None:
        self.done()
        self._begun = (name, monotonic())
        _say(f"{name} …")


def _say(line: str) -> None:
    err.print(line, soft_wrap=True, markup=False)
    err.file.flush()


def broken_chain(error: ShroffError, *, as_json: bool) -> typer.Exit:
    """Print why a chain does not hold; the exit to raise."""
    if as_json:
        show({"holds": False, "problem": str(error)})
    else:
        err.print(visible(str(error)), soft_wrap=True, markup=False)
    return typer.Exit(1)


def print_dropped(dropped: Mapping[str, int], first: Mapping[str, int]) -> None:
    """Print the dropped rows by reason on standard error."""
    for reason, count in dropped.items():
        where = f" (first in row {first[reason]:,})" if reason in first else ""
        err.print(
            f"dropped {count:,} {'row' if count == 1 else 'rows'}: {reason}{where}",
            soft_wrap=True,
            markup=False,
        )


def print_currencies(
    currencies: Mapping[str, int], base: str | None, what: str = "payments"
) -> None:
    """Print by currency how many payments were converted, of `what` was counted, on standard
    error.
    """
    from shroff.collect.currencies import told  # imports Polars

    sentence = told(currencies, base, what)
    if sentence is not None:
        err.print(sentence, soft_wrap=True)


def print_notices(notices: Sequence[str]) -> None:
    """Print notices on standard error."""
    for notice in notices:
        err.print(f"notice: {notice}", soft_wrap=True, markup=False)


def moment(micros: int | None) -> str | None:
    """A time in ISO 8601 for people; None without a time."""
    from shroff.collect.times import iso_time  # imports Polars, which most commands do not need

    return iso_time(micros, "seconds")


def read_moment(text: str | None) -> int | None:
    """`typed_moment`; None without a text."""
    return None if text is None else typed_moment(text)


def typed_moment(text: str, option: str = "") -> int:
    """The microseconds since the epoch of a time that somebody typed; of a day, its begin in UTC.

    Args:
        option: begins the message.

    Raises:
        ConfigurationError: it is neither a day nor a time with its zone.

    >>> typed_moment("2026-01-31") == typed_moment("2026-01-31T01:00+01:00")
    True
    """
    from datetime import date

    from shroff.collect.times import parse_time
    from shroff.errors import ConfigurationError

    try:
        whole = f"{date.fromisoformat(text)}T00:00Z"
    except ValueError:
        whole = text
    try:
        return parse_time(whole, None)
    except ValueError as error:
        raise ConfigurationError(
            f"{option and option + ': '}expected a day such as 2026-01-31 (UTC), or a time with "
            f"its zone such as 2026-01-31T09:00Z, got `{text}`: {error}."
        ) from None


def operator() -> str:
    """The user who runs this command, by name or else by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def as_written(what: str, error: type[ShroffError]) -> Iterator[None]:
    """Turn what reading figures of other parts or types raises into one sentence.

    Args:
        what: holds them, such as the path of a bundle.
    """
    try:
        yield
    except ShroffError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        MarkupError,
    ) as caught:
        raise error(
            f"{what}: the figures are not as this release writes them ({type(caught).__name__}); "
            "train it again."
        ) from None


def seen(value: Any) -> Any:
    """A value of JSON in which `visible` shows every text, names of fields too."""
    if isinstance(value, Mapping):
        return {seen(name): seen(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [seen(one) for one in value]
    return escape(visible(value)) if isinstance(value, str) else value


def print_rows(rows: Sequence[Mapping[str, object]], *columns: str) -> None:
    """Print rows as a table, whose values are those of its columns in their order; missing ones are
    blank, lists are joined by commas, and what is longer than its column goes on in the next line.
    """
    table = Table()
    for column in columns:
        table.add_column(_cell(column), overflow="fold")
    for row in rows:
        # the table itself would add columns without a name
        cells = [_cell(value) for _, value in zip(columns, row.values(), strict=True)]
        table.add_row(*cells)
    out.print(table)


def _cell(value: object) -> Text:
    text = (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else ""
        if value is None
        else str(value)
    )
    # as text: a note such as `[/a]` is no markup
    return Text(visible(text))


def visible(text: str) -> str:
    """A text that somebody wrote, such as a note, so that it commands no terminal and hides
    nothing.

    >>> visible("case [7] café\x1b[2J\u202e")
    'case [7] café\\\\x1b[2J\\\\u202e'
    """
    return "\n".join(map(one_line, text.split("\n")))
