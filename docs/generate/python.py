"""A page for each room that people import from: its contract, and what it exports.

What has a page of its own, such as what projects are written with, is linked there.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from docs.generate.docstrings import code, error_table, read, rendered, signature, table

ROOMS: Final = (
    "client",
    "collect",
    "simulate",
    "features",
    "embed",
    "store",
    "detect",
    "evaluate",
    "experiment",
    "package",
    "report",
)


def pages(elsewhere: Mapping[str, str]) -> dict[str, str]:
    """The pages by path below `docs/reference`.

    Args:
        elsewhere: where a name is documented that has a page of its own, from that folder on.
    """
    return {f"python/{room}.md": _page(room, elsewhere) for room in ROOMS}


def _page(room: str, elsewhere: Mapping[str, str]) -> str:
    face = import_module(f"shroff.{room}")
    # `Room: what it does.`
    contract = (inspect.getdoc(face) or "").partition(": ")[2]
    parts = [f"# shroff.{room}", rendered(contract[:1].upper() + contract[1:])]
    linked = [f"[{name}](../{elsewhere[name]})" for name in face.__all__ if name in elsewhere]
    if linked:
        parts.append(f"With pages of their own: {', '.join(linked)}.")
    for name in sorted(face.__all__, key=str.lower):
        if name not in elsewhere:
            parts += _section(name, getattr(face, name))
    return "\n\n".join(parts) + "\n"


def _section(name: str, thing: Any) -> Iterator[str]:
    yield f"## {name}"
    if not callable(thing) or not inspect.getdoc(thing):
        yield f"A value of the type `{type(thing).__name__}`."
        return
    yield from _described(name, thing)
    if inspect.isclass(thing):
        for verb, method in _methods(thing):
            yield f"### {name}.{verb}"
            yield from _described(verb, method)


def _described(name: str, thing: Any) -> Iterator[str]:
    """Signature, what it does, arguments, errors and examples."""
    written = signature(thing)
    if written is not None:
        yield code(f"{name}{written}")
    text = read(thing)
    # a doctest within the prose
    prose = re.sub(r"(?m)^(?:>>>|\.\.\.).*(?:\n(?!\n).*)*", lambda one: code(one[0]), text.prose)
    yield rendered(prose)
    arguments = text.entries("Args")
    if arguments:
        yield table(
            ["argument", "meaning"], [[f"`{one}`", what] for one, what in arguments.items()]
        )
    attributes = text.entries("Attributes")
    if attributes:
        yield table(["attribute", "is"], [[f"`{one}`", what] for one, what in attributes.items()])
    if "Returns" in text.sections:
        yield f"Returns {' '.join(textwrap.dedent(text.sections['Returns']).split())}"
    if text.entries("Raises"):
        yield error_table(text)
    if text.examples:
        yield code(text.examples)


def _methods(thing: type) -> Iterator[tuple[str, Any]]:
    """What a class defines itself and says something of."""
    for name, found in vars(thing).items():
        method = getattr(found, "__func__", found)
        if not name.startswith("_") and inspect.isfunction(method) and inspect.getdoc(method):
            yield name, method
