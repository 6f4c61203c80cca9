"""The parts of a document, without its form, and their two forms: HTML and Markdown.

Names between backticks are code in both. Every text is escaped; characters that hide or reorder
text are shown as what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shroff.errors import one_line
from shroff.markup import Html, html, prose, tag
from shroff.report.blocks import section, table

_SPECIAL: Final = re.compile(r"([\\*_\[\]<>|~&#$])")
_MARKER: Final = re.compile(r"^(\d{0,9}[.)]|[-+=]+)(?=\s|$)")
"""What begins a list, or is a rule, at the start of a line."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names with what is known of each."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Grid:
    """A table."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Missing:
    """What is not there and should be."""

    sentence: str


Part = Paragraph | Bullets | Facts | Grid | Missing


@dataclass(frozen=True)
class Chapter:
    """A heading and what stands under it."""

    title: str
    parts: Sequence[Part]


def as_html(title: str, chapters: Iterable[Chapter]) -> Html:
    """The document as the content of an HTML page."""
    sections = (section(_shown(one.title), *map(_html, one.parts)) for one in chapters)
    return html(tag("header", tag("h1", _shown(title))), *sections)


def as_markdown(title: str, chapters: Iterable[Chapter]) -> str:
    """The document as Markdown (CommonMark, with the tables of GitHub's)."""
    blocks = [f"# {_markdown(title)}"]
    for one in chapters:
        blocks += [f"## {_markdown(one.title)}", *map(_block, one.parts)]
    return "\n\n".join(blocks) + "\n"


def _html(part: Part) -> Html:
    match part:
        case Paragraph(text):
            return tag("p", _shown(text))
        case Bullets(items):
            return tag("ul", *(tag("li", _shown(item)) for item in items))
        case Facts(pairs):
            both = (
                each
                for name, text in pairs
                for each in (tag("dt", _shown(name)), tag("dd", _shown(text)))
            )
            return tag("dl", *both, class_="facts")
        case Grid(caption, head, rows):
            cells = [tuple(map(_shown, row)) for row in rows]
            return table(_plain(caption), map(_shown, head), cells)
        case Missing(sentence):
            return tag("p", tag("strong", "Missing: ", class_="failure"), _shown(sentence))


def _block(part: Part) -> str:
    match part:
        case Paragraph(text):
            return _markdown(text)
        case Bullets(items):
            return "\n".join(f"- {_markdown(item)}" for item in items)
        case Facts(pairs):
            return "\n".join(f"- **{_markdown(name)}**: {_markdown(text)}" for name, text in pairs)
        case Grid(caption, head, rows):
            first, *rest = ([_cell(cell) for cell in row] for row in (head, *rows))
            lines = (f"| {' | '.join(row)} |" for row in (first, ["---"] * len(head), *rest))
            return "\n".join([f"{_markdown(caption)}:", "", *lines])
        case Missing(sentence):
            return f"> **Missing**: {_markdown(sentence)}"


def _shown(text: str) -> Html:
    return prose(_plain(text))


def _plain(text: str) -> str:
    return one_line(" ".join(text.split()))


def _markdown(text: str) -> str:
    pieces = _plain(text).split("`")
    if len(pieces) % 2 == 0:  # a backtick without its partner is a backtick
        return _escaped("`".join(pieces)).replace("`", "\\`")
    written = (f"`{one}`" if at % 2 and one else _escaped(one) for at, one in enumerate(pieces))
    return _MARKER.sub(lambda found: f"{found[1][:-1]}\\{found[1][-1]}", "".join(written))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _cell(text: str) -> str:
    # a bar ends a cell even within code
    return re.sub(r"(?<!\\)\|", r"\\|", _markdown(text))
