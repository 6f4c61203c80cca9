"""A page for each command, from what `--help` knows."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from docs.generate.docstrings import code, table

from shroff.cli import app
from shroff.location import Location

_TYPES = {
    Path: "path",
    Location: "table",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "switch",
}
_LENGTHS = {"DURATION": "duration"}
"""Types of options that are texts or numbers in Python, by what `--help` calls them."""


def pages() -> dict[str, str]:
    """The commands by name; those of a group share a page."""
    group: Any = typer.main.get_command(app)
    return {
        f"commands/{name}.md": _page(name, command)
        for name, command in sorted(group.commands.items())
    }


def _page(name: str, command: Any) -> str:
    parts = [f"# shroff {name}", _help(command)]
    within = getattr(command, "commands", None)
    if within is None:
        parts += _usage(f"shroff {name}", command)
    for verb, one in sorted((within or {}).items()):
        parts += [f"## shroff {name} {verb}", _help(one), *_usage(f"shroff {name} {verb}", one)]
    return "\n\n".join(parts) + "\n"


def _help(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _usage(line: str, command: Any) -> list[str]:
    types = get_type_hints(command.callback)
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    needed = [f"{one.opts[0]} {one.name.upper()}" for one in options if one.required]
    named = [_name(one) if one.required else f"[{_name(one)}]" for one in arguments]
    parts = [code(" ".join([line, *named, *needed, "[OPTIONS]"]), "sh")]
    if arguments:
        rows = [
            [f"`{_name(one)}`", _type(types[one.name]), _default(one), one.help or ""]
            for one in arguments
        ]
        parts.append(table(["argument", "type", "default", "meaning"], rows))
    rows = [
        [_flags(one), _LENGTHS.get(one.metavar) or _type(types[one.name]), _default(one), one.help]
        for one in options
    ]
    return [*parts, table(["option", "type", "default", "meaning"], rows)]


def _name(argument: Any) -> str:
    """What `--help` calls it."""
    return str(argument.metavar or argument.name.upper())


def _flags(option: Any) -> str:
    return ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))


def _type(annotation: Any) -> str:
    """What is written after an option, in words."""
    kinds = [one for one in get_args(annotation) if one is not NoneType] or [annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{one}`" for one in kinds)
    if get_origin(annotation) is list:
        return f"{_type(kinds[0])}, repeatable"
    return _TYPES.get(kinds[0]) or _type(kinds[0])


def _default(one: Any) -> str:
    if one.required:
        return "required"
    # nought is a default too, and equals False
    return "" if one.default in (None, "") or one.default is False else f"`{one.default}`"
