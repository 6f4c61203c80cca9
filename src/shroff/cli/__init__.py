"""Cli: parse what the user typed, call the room that does it, print what came of it. No logic lives
here.

Reads arguments and the environment. Promises that every command takes `--json` and then prints one
JSON document on standard output and nothing else. Exit codes: 0 done, 1 a check failed, 2 bad usage
or bad input, with one sentence on standard error.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from shroff import __version__, speedups
from shroff.cli.commands import Commands
from shroff.errors import CheckFailed, ShroffError, one_line
from shroff.private import private_file

_NO_ROOM = os.strerror(errno.ENOSPC)
_OF_A_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM)
_MAX_SHOWN_NAME = 200
app = typer.Typer(
    name="shroff",
    cls=Commands,
    help="Payment-fraud detection from a raw payment log to a live decision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        loops = "with" if speedups.compiled is not None else "without"
        sys.stdout.write(f"shroff {__version__}, {loops} compiled loops\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Payment-fraud detection from a raw payment log to a live decision."""


def main() -> NoReturn:
    """Run the command line; errors become one sentence and an exit code."""
    try:
        app()
    except ShroffError as error:
        _complain(str(error), style="bold red")
        sys.exit(1 if isinstance(error, CheckFailed) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except MemoryError:
        _complain(
            "there is not enough memory for this: give it more, or less to read at once. A file in "
            ".csv.gz is unzipped in memory; one in .parquet is read in parts."
        )
        sys.exit(2)
    except OSError as error:
        if error.errno not in _OF_A_NAME or error.filename is None:
            _say_defect(error)
        else:
            name = one_line(str(error.filename))[:_MAX_SHOWN_NAME]
            _complain(f"{name}: expected a file that can be opened, got: {error.strerror}.")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001  # the last line of defence: no traceback reaches a user
        _say_defect(error)
        sys.exit(2)
    sys.exit(0)


def _say_defect(error: Exception) -> None:
    """Report an error that nobody expected as a defect, unless its cause is a full disk."""
    if _NO_ROOM in str(error):
        # libraries raise it as errors of their own, also of temporary files
        _complain("a disk is full: make room, or name a folder for temporary files in TMPDIR.")
        return
    _complain(
        f"unexpected {type(error).__name__}; this is a defect of Shroff, "
        f"{_keep(traceback.format_exc())}."
    )


def _complain(text: str, style: str | None = None) -> None:
    from shroff.cli.terminal import err, visible  # imports Rich, which takes longer than help

    err.print(f"shroff: {visible(text)}", style=style, markup=False, soft_wrap=True)


def _keep(details: str) -> str:
    """Write the details of a defect to a file for its report; returns where they are."""
    from shroff.settings import home

    crash = home() / "crash.log"
    try:
        private_file(crash)
        crash.write_text(details)
    except OSError as error:
        return f"its details cannot be written to {crash} ({error.strerror})"
    return f"its details are in {crash}"
