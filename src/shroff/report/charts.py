"""Charts as inline SVG, drawn by classes and attributes, which a strict CSP lets pages style."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Final

from shroff.markup import Html, html, join, tag

Points = Sequence[tuple[float, float]]

_WIDTH_PX: Final = 460
_HEIGHT_PX: Final = 320
_LEFT_PX: Final = 52
_TOP_PX: Final = 12
_RIGHT_PX: Final = 12
_BOTTOM_PX: Final = 44
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_MAX_SIDE_LABEL_CHARACTERS: Final = 22
"""Characters of a name that fit before its bars."""
_MAX_TOP_LABEL_CHARACTERS: Final = 60
"""Characters of a name in one line above its bars."""


def lines(
    title: str,
    curves: Mapping[str, Points],
    *,
    x: str,
    y: str,
    diagonal: bool = False,
    dots: bool = False,
) -> Html:
    """Curves of values in [0, 1] by name; the position gives the colour and the dashes."""
    drawn = [_grid(x, y)]
    if diagonal:
        drawn.append(tag("path", d=_path([(0, 0), (1, 1)]), class_="even"))
    for place, points in enumerate(curves.values()):
        if points:
            drawn.append(tag("path", d=_path(points), class_=f"curve s{place % 8}"))
        if dots:
            drawn += [
                tag(
                    "circle",
                    cx=f"{_x(a):.1f}",
                    cy=f"{_y(b):.1f}",
                    r="3",
                    class_=f"dot s{place % 8}",
                )
                for a, b in points
            ]
    return _figure(title, join(drawn), legend(curves) if len(curves) > 1 else "")


def bars(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float, str]]]]) -> Html:
    """Horizontal bars: per row its name and for each bar a class, a length in [0, 1] and the text
    at its end. Where a name is too long to stand before its bars, all stand above them.
    """
    drawn, top = [], 4
    above = any(len(name) > _MAX_SIDE_LABEL_CHARACTERS for name, _ in rows)
    left, longest = (4, 390) if above else (158, 210)
    for name, each in rows:
        if above:
            for line in wrap(name, _MAX_TOP_LABEL_CHARACTERS):
                drawn.append(tag("text", line, x=str(left), y=str(top + 10), class_="label"))
                top += 15
        else:
            middle = top + 7 * len(each) + 4
            drawn.append(tag("text", name, x="150", y=str(middle), class_="label end"))
        for kind, length, text in each:
            drawn.append(
                tag(
                    "rect",
                    x=str(left),
                    y=str(top),
                    width=f"{max(length, 0) * longest:.1f}",
                    height="12",
                    class_=kind,
                )
            )
            drawn.append(
                tag(
                    "text",
                    text,
                    x=f"{left + 6 + max(length, 0) * longest:.1f}",
                    y=str(top + 10),
                    class_="label",
                )
            )
            top += 14
        top += 5
    return _figure(title, join(drawn), height=top + 2)


def legend(names: Iterable[str]) -> Html:
    """The names of curves with their lines."""
    return tag(
        "ul",
        *(
            tag(
                "li",
                _svg(tag("path", d="M0 6H28", class_=f"curve s{place % 8}"), 28, 12, hidden=True),
                " ",
                name,
            )
            for place, name in enumerate(names)
        ),
        class_="legend",
    )


def thin(points: Points, most: int = 160) -> Points:
    """At most so many points, with both ends, evenly spread along the curve."""
    if len(points) <= most:
        return points
    step = (len(points) - 1) / (most - 1)
    return [points[round(place * step)] for place in range(most)]


def _figure(title: str, drawn: Html, below: str = "", height: int = _HEIGHT_PX) -> Html:
    return tag(
        "figure",
        _svg(html(tag("title", title), drawn), _WIDTH_PX, height),
        below,
        tag("figcaption", title),
    )


def _svg(drawn: Html, width: int, height: int, *, hidden: bool = False) -> Html:
    size = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    return tag("svg", drawn, **size, **({"aria_hidden": "true"} if hidden else {"role": "img"}))


def _grid(x: str, y: str) -> Html:
    drawn = []
    for tick in _TICKS:
        drawn.append(
            tag("path", d=f"M{_LEFT_PX} {_y(tick):.1f}H{_WIDTH_PX - _RIGHT_PX}", class_="grid")
        )
        drawn.append(
            tag(
                "text",
                f"{tick:g}",
                x=str(_LEFT_PX - 6),
                y=f"{_y(tick) + 4:.1f}",
                class_="label end",
            )
        )
        drawn.append(
            tag(
                "text",
                f"{tick:g}",
                x=f"{_x(tick):.1f}",
                y=str(_HEIGHT_PX - _BOTTOM_PX + 16),
                class_="label middle",
            )
        )
    middle = (_HEIGHT_PX - _BOTTOM_PX + _TOP_PX) / 2
    drawn.append(tag("text", x, x=f"{_x(0.5):.1f}", y=str(_HEIGHT_PX - 8), class_="label middle"))
    turned = f"rotate(-90 12 {middle:.0f})"
    drawn.append(tag("text", y, x="12", y=f"{middle:.0f}", transform=turned, class_="label middle"))
    return join(drawn)


def _x(value: float) -> float:
    return _LEFT_PX + value * (_WIDTH_PX - _LEFT_PX - _RIGHT_PX)


def _y(value: float) -> float:
    return _HEIGHT_PX - _BOTTOM_PX - value * (_HEIGHT_PX - _TOP_PX - _BOTTOM_PX)


def _path(points: Points) -> str:
    return "M" + "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
