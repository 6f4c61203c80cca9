"""The HTML that sections of a report are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from shroff.markup import Html, html, join, tag

_TAG: Final = re.compile(r"<[^>]*>")


def section(title: str, *parts: Html) -> Html:
    """A section under its heading."""
    return tag("section", tag("h2", title), *parts)


def prose(text: str) -> Html:
    """A paragraph."""
    return tag("p", text)


def table(caption: str, head: Iterable[str], rows: Iterable[tuple[Html, ...]]) -> Html:
    """A table whose rows begin with their title; it scrolls where it is wider than the page.

    Columns of words have the class `text`; others are numbers, which end at the same place.
    """
    known, titles = list(rows), list(head)
    columns = zip(*known, strict=True) if known else ((),) * len(titles)
    classes = ["text" if _is_text(column) else False for column in columns]
    body = (
        tag(
            "tr",
            tag("th", first, scope="row"),
            *(tag("td", cell, class_=one) for cell, one in zip(cells, classes[1:], strict=True)),
        )
        for first, *cells in known
    )
    heads = (
        tag("th", title, scope="col", class_=one) if title else tag("td")
        for title, one in zip(titles, classes, strict=True)
    )
    made = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body)
    )
    return tag("div", made, class_="wide", tabindex="0", role="region", aria_label=caption)


def _is_text(column: Iterable[Html]) -> bool:
    """Whether the cells of a column begin with letters, those that say something."""
    shown = (_TAG.sub("", cell).strip() for cell in column)
    said = [one for one in shown if one not in ("", "–")]
    return bool(said) and all(one[0].isalpha() for one in said)


def detector_name(name: str, *, best: bool = False) -> Html:
    """The name of a detector in a table, and whether it is the best."""
    # a long name may go on in the next line
    code = tag("code", join(name.split("_"), Html("_<wbr>")))
    return html(code, tag("small", " best", class_="best") if best else "")


def words(name: str) -> str:
    """The name of a detector in a sentence."""
    return name.replace("_", " ").capitalize()


def share(part: int, whole: int, *, digits: int = 1) -> str:
    """A share in percent, a dash where the whole is nothing."""
    return f"{part / whole:.{digits}%}" if whole else "–"
