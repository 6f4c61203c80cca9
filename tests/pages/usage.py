"""Commands in the documentation that are not run: whether they exist, with these options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from shroff.cli import app

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = typer.main.get_command(app)


def commands(script: str) -> Iterator[list[str]]:
    """The words of each command of Shroff, or of its benchmarks, in a script for a shell."""
    text = re.sub(r"<<'END'\n.*?^END$", "", script, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\\\n\s*", " ", text)
    for line in re.split(r"\n|\||&&|;(?= )|\$\(", _without_comments(text)):
        if not re.match(r"\s*(?:\S+=\S* )*(?:\S*shroff|python) ", line + " "):
            continue
        # an optional word, and the end of `$(…)`
        words = shlex.split(re.sub(r"[\[\]]|\)(?=\"?\s*$)", "", line).replace("'\"", '"'))
        while words and re.match(r"\w+=", words[0]):
            del words[0]
        if words and (words[0].endswith("shroff") or words[:1] == ["python"]):
            yield [word for word in words if word not in {"…", "..."}]


def problem(words: list[str]) -> str:
    """What is wrong with a command, or nothing."""
    program, *rest = words
    if program == "python":
        return _benchmark(rest)
    command: Any = PROGRAM
    path = [program]
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        if rest[0] not in command.commands:
            return f"`{' '.join(path)}` has no command `{rest[0]}`"
        command = command.commands[rest[0]]
        path.append(rest.pop(0))
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for word in rest:
        option = word.partition("=")[0]
        if re.match(r"--?[a-z]", option) and option not in known | {"--help"}:
            return f"`{' '.join(path)}` has no option `{option}`"
    return ""


def _benchmark(words: list[str]) -> str:
    """A program of this repository, whose source or a module it imports has the options."""
    if words[:1] == ["-m"]:
        words = [words[1].replace(".", "/") + ".py", *words[2:]] if len(words) > 1 else words
    if not words or not words[0].startswith("benchmarks"):
        return ""
    file = ROOT / words[0]
    folder = file.with_suffix("")
    if not file.is_file() and not (folder / "__main__.py").is_file():
        return f"no program {words[0]}"
    files = [file] if file.is_file() else []
    source = _source([*files, *folder.rglob("*.py")])
    source += _source(
        ROOT / "benchmarks" / f"{module}.py"
        for module in re.findall(r"(?m)^from benchmarks\.(\w+) import", source)
    )
    missing = [one for one in words[1:] if re.match(r"--[a-z]", one) and f'"{one}"' not in source]
    return f"{words[0]} has no option {missing[0]}" if missing else ""


def _source(files: Iterable[Path]) -> str:
    return "".join(file.read_text("utf-8") for file in files if file.is_file())


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)(?:^|\s)#\s.*$", "", text)
