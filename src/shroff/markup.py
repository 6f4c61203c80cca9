"""HTML that is safe by construction: text is escaped on entry, only `Html` passes unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(*parts: str) -> Html:
    """The parts one after another; what is not `Html` is escaped.

    >>> html("1 < 2 ", Html("<br>"))
    '1 &lt; 2 <br>'
    """
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def tag(name: str, /, *children: str, **attributes: str | bool) -> Html:
    """An element; `True` is an attribute without a value, `False` is none; `for_` is `for`,
    `aria_label` `aria-label`.

    >>> tag("a", "<script>", href='/x"y', class_="quiet", hidden=False)
    '<a href="/x&quot;y" class="quiet">&lt;script&gt;</a>'
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    closing = "" if name in ("input", "br") else f"</{name}>"
    return Html(f"<{name}{written}>{html(*children)}{closing}")


def join(parts: Iterable[str], between: str = "") -> Html:
    """`html` of many parts, with something between them."""
    return html(
        *(
            piece
            for at, part in enumerate(parts)
            for piece in ((between, part) if at and between else (part,))
        )
    )


def prose(text: str) -> Html:
    """Text in which `names` between backticks are code.

    >>> prose("header `a<b`")
    'header <code>a&lt;b</code>'
    """
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backtick without its partner is a backtick
        return html(text)
    return join(tag("code", piece) if at % 2 else piece for at, piece in enumerate(pieces))
