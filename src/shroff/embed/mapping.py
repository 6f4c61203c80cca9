"""A map of tokens in the plane, as one HTML file without a script: near is alike."""

from __future__ import annotations

from html import escape

import numpy as np

from shroff.embed.factorise import LARGEST, factorise
from shroff.embed.learned import TokenVectors
from shroff.errors import ConfigurationError, did_you_mean

_SIZE, _EDGE = 900, 60


def plot(learned: TokenVectors, column: str) -> str:
    """The map of a column's tokens: principal coordinates of the cosines between their vectors.

    A token's dot is larger the more often it occurs.

    Raises:
        ConfigurationError: the column has no tokens that were learned.
    """
    places = [at for at, (name, _) in enumerate(learned.tokens) if name == column]
    if not places:
        columns = learned.lesson.definition.tokens
        raise ConfigurationError(f"no tokens of column `{column}` were learned{did_you_mean(column, columns) or '.'}")
    points = _coordinates(learned, places)
    most = max(learned.occurrences[at] for at in places)
    marks = [
        _mark(learned.tokens[at][1], learned.occurrences[at], most, int(x), int(y))
        for at, (x, y) in zip(places, points, strict=True)
    ]
    title = f"{escape(learned.lesson.definition.name)}: tokens of {escape(column)}"
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<h1>{title}</h1>\n'
        f"<p>{learned.lesson.payments:,} payments; near is alike.</p>\n"
        f'<svg viewBox="0 0 {_SIZE} {_SIZE}" width="{_SIZE}" font-family="sans-serif" font-size="13">\n'
        + "\n".join(marks)
        + "\n</svg></html>\n"
    )


def _coordinates(learned: TokenVectors, places: list[int]) -> list[tuple[float, float]]:
    cosines = np.array([[learned.cosine(one, other) for other in places] for one in places])
    middle = cosines.mean(axis=0)
    centred = cosines - middle[:, None] - middle[None, :] + cosines.mean()
    half = (_SIZE - 2 * _EDGE) / 2
    found = factorise(centred, 2).astype(np.float64) / LARGEST * half + _SIZE / 2
    return [(float(x), float(y)) for x, y in found]


def _mark(text: str, occurrences: int, most: int, x: int, y: int) -> str:
    radius = 2 + round(10 * (occurrences / most) ** 0.5)
    return (
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="#36c" fill-opacity="0.4">'
        f"<title>{escape(text)}: {occurrences:,} times</title></circle>"
        f'<text x="{x + radius + 2}" y="{y + 4}">{escape(text)}</text>'
    )
