"""A map of tokens in the plane, where near is alike, as HTML without scripts; PNG is in `png`."""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

import numpy as np

from shroff.embed.factorise import MAX_COMPONENT, factorise
from shroff.embed.learned import TokenVectors

SIZE_PX: Final = 900
"""Width and height of a map, in pixels."""
_MARGIN_PX: Final = 60


class Dot(NamedTuple):
    """A token in the plane, in pixels from the upper left; its radius grows with its count."""

    text: str
    occurrences: int
    x: int
    y: int
    radius: int


def title(learned: TokenVectors, column: str) -> str:
    """The content of a map."""
    return (
        f"{learned.lesson.definition.name}: tokens of {column}, learned from "
        f"{learned.lesson.payments:,} payments"
    )


def dots(learned: TokenVectors, column: str) -> list[Dot]:
    """A column's tokens by the principal coordinates of the cosines between their vectors.

    Raises:
        ConfigurationError: the column has no tokens that were learned.
    """
    learned.require_column(column)
    places = [at for at, (name, _) in enumerate(learned.tokens) if name == column]
    most = max(learned.occurrences[at] for at in places)
    return [
        Dot(learned.tokens[at][1], many, int(x), int(y), 2 + round(10 * (many / most) ** 0.5))
        for at, (x, y) in zip(places, _coordinates(learned, places), strict=True)
        for many in [learned.occurrences[at]]
    ]


def plot(learned: TokenVectors, column: str) -> str:
    """The map as an HTML page.

    Raises:
        ConfigurationError: the column has no tokens that were learned.
    """
    marks = "\n".join(map(_mark, dots(learned, column)))
    head = escape(title(learned, column))
    return (
        '<!doctype html>\n<html lang="en"><meta '
        f'charset="utf-8"><title>{head}</title>\n<h1>{head}</h1>\n'
        f"<p>Near is alike.</p>\n"
        f'<svg viewBox="0 0 {SIZE_PX} {SIZE_PX}" width="{SIZE_PX}" font-family="sans-serif" '
        f'font-size="13">\n{marks}\n'
        "</svg></html>\n"
    )


def _coordinates(learned: TokenVectors, places: list[int]) -> list[tuple[float, float]]:
    cosines = np.array([[learned.cosine(one, other) for other in places] for one in places])
    middle = cosines.mean(axis=0)
    centred = cosines - middle[:, None] - middle[None, :] + cosines.mean()
    half = (SIZE_PX - 2 * _MARGIN_PX) / 2
    found = factorise(centred, 2).astype(np.float64) / MAX_COMPONENT * half + SIZE_PX / 2
    return [(float(x), float(y)) for x, y in found]


def _mark(dot: Dot) -> str:
    text = escape(dot.text)
    return (
        f'<circle cx="{dot.x}" cy="{dot.y}" r="{dot.radius}" fill="#36c" fill-opacity="0.4">'
        f"<title>{text}: {dot.occurrences:,} times</title></circle>"
        f'<text x="{dot.x + dot.radius + 2}" y="{dot.y + 4}">{text}</text>'
    )
