"""The HTML that sections of a report are made of."""

from __future__ import annotations

from collections.abc import Iterable

from shroff.markup import Html, html, join, tag


def section(title: str, *parts: Html) -> Html:
    """A section under its heading."""
    return tag("section", tag("h2", title), *parts)


def prose(text: str) -> Html:
    """A paragraph."""
    return tag("p", text)


def table(caption: str, head: Iterable[str], rows: Iterable[tuple[Html, ...]]) -> Html:
    """A table whose rows begin with their title; it scrolls where it is wider than the page."""
    body = (
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells))
        for first, *cells in rows
    )
    heads = (tag("th", title, scope="col") if title else tag("td") for title in head)
    made = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *body)
    )
    return tag("div", made, class_="wide", tabindex="0", role="region", aria_label=caption)


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
