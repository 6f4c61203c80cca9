"""From a docstring to a page: summary, parameters with type and default, errors, examples."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, NamedTuple

import shroff

_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes):$", re.MULTILINE)
_ENTRY = re.compile(r"^(\S[^:]*): ", re.MULTILINE)
_NO_DEFAULT = (inspect.Parameter.empty, MISSING)


class Docstring(NamedTuple):
    """A docstring in parts: prose, then the sections by name, then the examples."""

    prose: str
    sections: Mapping[str, str]
    examples: str

    def entries(self, section: str) -> dict[str, str]:
        """What a section says, by name: `name: text`, continued on indented lines."""
        text = self.sections.get(section, "")
        parts = _ENTRY.split(text)[1:]
        return {
            name.strip(): _flowing(what) for name, what in zip(parts[::2], parts[1::2], strict=True)
        }


def read(documented: object) -> Docstring:
    """The parts of a docstring; raises ValueError where there is none."""
    text = inspect.getdoc(documented)
    if text is None:
        raise ValueError(f"expected a docstring, {documented!r} has none")
    blocks = re.split(r"\n\n(?=\S)", text)
    examples = [block for block in blocks if block.startswith(">>>")]
    sections, prose = {}, []
    for block in blocks:
        head, _, rest = block.partition("\n")
        if _SECTION.match(head):
            sections[head.removesuffix(":")] = textwrap.dedent(rest)
        elif block not in examples:
            prose.append(block)
    return Docstring("\n\n".join(prose), sections, "\n\n".join(examples))


def page(documented: Callable[..., Any], *, shared: Mapping[str, str] | None = None) -> str:
    """A page of something that is called.

    Args:
        shared: what parameters mean that its own docstring does not tell.

    Raises:
        ValueError: a parameter that neither tells.
    """
    name = documented.__name__
    text = read(documented)
    parts = [f"# {name}", code(f"{name}{_signature(documented)}"), rendered(text.prose)]
    meanings = dict(shared or {}) | text.entries("Args")
    parts += [table(["parameter", "type", "default", "meaning"], parameters(documented, meanings))]
    if "Raises" in text.sections:
        parts += ["## Errors", error_table(text)]
    if text.examples:
        parts += ["## Example", code(_imported(text.examples))]
    return "\n\n".join(parts) + "\n"


def error_table(text: Docstring) -> str:
    """Which errors there are, and when."""
    return table(
        ["error", "when"], [[f"`{error}`", when] for error, when in text.entries("Raises").items()]
    )


def parameters(documented: Callable[..., Any], meanings: Mapping[str, str]) -> list[list[str]]:
    """A row for each parameter; raises ValueError for one without a meaning."""
    rows = []
    for one in _parameters(documented):
        if one.name not in meanings:
            raise ValueError(
                f"{documented.__qualname__}: expected a line on `{one.name}` in the docstring's "
                "Args"
            )
        rows.append(
            [f"`{one.name}`", f"`{type_name(one.annotation)}`", _default(one), meanings[one.name]]
        )
    return rows


def type_name(annotation: object) -> str:
    """An annotation as a reader writes it."""
    text = annotation if isinstance(annotation, str) else _written(annotation)
    short = re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)
    return re.sub(r"^Optional\[(.*)\]$", r"\1 | None", short)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def code(text: str, language: str = "python") -> str:
    """A fenced block."""
    return f"```{language}\n{text}\n```"


def rendered(prose: str) -> str:
    """Prose in which indented blocks are code."""
    return re.sub(
        r"(?:^    .*\n?)+",
        lambda block: code(textwrap.dedent(block[0]).rstrip(), "text") + "\n",
        prose,
        flags=re.M,
    )


def _imported(examples: str) -> str:
    """Examples that run as they are copied: what they use of `shroff` is imported first."""
    names = [name for name in shroff.__all__ if re.search(rf"\b{name}\(", examples)]
    if not names or "from shroff import" in examples:
        return examples
    return f">>> from shroff import {', '.join(names)}\n{examples}"


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _parameters(documented: Callable[..., Any]) -> list[inspect.Parameter]:
    every = _signed(documented).parameters.values()
    return [
        one for one in every if one.name != "self" and one.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def _signed(documented: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(documented, eval_str=True)
    except NameError:
        # a type that is only imported for type checkers stays as it is written
        return inspect.signature(documented)


def signature(documented: Callable[..., Any]) -> str | None:
    """How it is called, names only; None for what is not, such as a type of values."""
    try:
        return _signature(documented)
    except (TypeError, ValueError):
        return None


def _signature(documented: Callable[..., Any]) -> str:
    """Names only, a star before those that are given by name."""
    names: list[str] = []
    for one in inspect.signature(documented).parameters.values():
        if one.name == "self":
            continue
        if one.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        variable = one.kind is inspect.Parameter.VAR_KEYWORD
        names.append(
            f"**{one.name}"
            if variable
            else one.name
            if one.default in _NO_DEFAULT
            else f"{one.name}=…"
        )
    return f"({', '.join(names)})"


def _default(one: inspect.Parameter) -> str:
    if one.default in _NO_DEFAULT:
        return "required"
    # made anew for each
    if (
        type(one.default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS"
        or repr(one.default) == "<factory>"
    ):
        return (
            "empty"
            if "Mapping" in type_name(one.annotation)
            else f"`{type_name(one.annotation)}()`"
        )
    return "empty" if one.default == () else f"`{one.default!r}`"


def _written(annotation: Any) -> str:
    return (
        annotation.__name__
        if isinstance(annotation, type) and not hasattr(annotation, "__args__")
        else str(annotation)
    )
