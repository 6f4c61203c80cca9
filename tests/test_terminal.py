"""What commands show while they work."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.console import Console

from shroff.cli import terminal

PROGRAM = """
from shroff.cli.terminal import steps
with steps(quiet=QUIET) as step:
    step("read [the] log")
    input()
    step("train\\x1b")
    input()
"""


def started(*, quiet: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.replace("QUIET", str(quiet))]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def test_a_log_file_has_each_step_when_it_begins_and_when_it_ends() -> None:
    with started(quiet=False) as program:
        assert program.stdin is not None
        assert program.stderr is not None
        # the program waits for what comes next, so its line must have left already
        assert program.stderr.readline() == "read [the] log …\n"
        program.stdin.write("\n")
        assert program.stderr.readline().startswith("read [the] log: done after ")
        assert program.stderr.readline() == "train\\x1b …\n"
        program.stdin.write("\n")
        assert program.stderr.readline().startswith("train\\x1b: done after ")
        assert program.stderr.read() == ""


def test_one_json_document_comes_without_steps() -> None:
    with started(quiet=True) as program:
        _, said = program.communicate("\n\n")
    assert said == ""


def test_what_somebody_wrote_is_no_markup_and_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "out", Console(width=120))
    terminal.print_rows([{"note": "[/a] [red]x", "value": "a\x1b[2J\u202e\0b"}], "note", "value")
    told = capsys.readouterr().out
    assert "[/a] [red]x" in told
    assert "a\\x1b[2J\\u202e\\x00b" in told
    assert "\x1b" not in told
