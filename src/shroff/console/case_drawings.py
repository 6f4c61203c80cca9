"""Drawings of a case as SVG coordinates: payments over time, and who shares what with it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from shroff.act import Case
from shroff.act.context import CaseTimeline
from shroff.act.similar import CaseLink

WIDTH: Final = 640
TIMELINE_HEIGHT: Final = 130
_LEFT: Final = 16
_BOTTOM: Final = 108
_TOP: Final = 18
_ROW: Final = 30
_MAX_CASES: Final = 24
_SHOWN_CHARACTERS: Final = 24


class PaymentDot(NamedTuple):
    """A payment: where it is, whether it is of this case, and what was decided or found."""

    x: float
    y: float
    own: bool
    kind: str
    payment_id: str


class TimelineDrawing(NamedTuple):
    """Payments over time, higher the larger the amount (its square root)."""

    dots: tuple[PaymentDot, ...]
    first: int
    last: int
    largest: float
    width: int = WIDTH
    height: int = TIMELINE_HEIGHT


class LinkBox(NamedTuple):
    """A box of the graph: its place, text, the case that it leads to, and what it stands for."""

    x: float
    y: float
    text: str
    kind: str
    case: int | None = None


class LinkLine(NamedTuple):
    """A line between two boxes."""

    x1: float
    y1: float
    x2: float
    y2: float


class LinkDrawing(NamedTuple):
    """Three columns: the case, the values that it shares, and the cases that share them."""

    nodes: tuple[LinkBox, ...]
    edges: tuple[LinkLine, ...]
    width: int
    height: int


def draw_timeline(timeline: CaseTimeline, own: Collection[str]) -> TimelineDrawing | None:
    """Payments over time; None of fewer than two.

    Args:
        own: the payments of the case itself.
    """
    paid = timeline.payments
    if len(paid) < 2:
        return None
    first, last = paid[0].at, max(paid[-1].at, paid[0].at + 1)
    largest = max(one.amount for one in paid) or 1.0
    dots = [
        PaymentDot(
            x=round(_LEFT + (WIDTH - 2 * _LEFT) * (one.at - first) / (last - first), 1),
            y=round(_BOTTOM - (_BOTTOM - _TOP) * math.sqrt(max(one.amount, 0) / largest), 1),
            own=one.payment_id in own,
            kind={True: "fraud", False: "genuine", None: one.action}[one.fraud],
            payment_id=one.payment_id,
        )
        for one in paid
    ]
    return TimelineDrawing(tuple(dots), paid[0].at, paid[-1].at, largest)


def draw_links(case: Case, links: Sequence[CaseLink]) -> LinkDrawing | None:
    """The graph of a case's links; None without one."""
    if not links:
        return None
    others = list({one.id: one for link in links for one in link.cases}.values())[:_MAX_CASES]
    rows = max(len(links), len(others))
    height = rows * _ROW + 2 * _TOP
    middle = height / 2
    nodes = [LinkBox(0, middle, _short(f"{case.kind} {case.subject}"), "own")]
    edges: list[LinkLine] = []
    places = {one.id: _place(at, len(others), height) for at, one in enumerate(others)}
    for at, link in enumerate(links):
        y = _place(at, len(links), height)
        nodes.append(LinkBox(230, y, _short(f"{link.kind} {link.value}"), "value"))
        edges.append(LinkLine(180, middle, 230, y))
        edges += [LinkLine(410, y, 460, places[one.id]) for one in link.cases if one.id in places]
    for one in others:
        text = _short(f"{one.id} {one.subject}")
        nodes.append(LinkBox(460, places[one.id], text, one.outcome or "open", one.id))
    return LinkDrawing(tuple(nodes), tuple(edges), WIDTH, height)


def _place(at: int, rows: int, height: float) -> float:
    """The middle of a row, where rows stand evenly."""
    return round(height * (at + 0.5) / rows, 1)


def _short(text: str) -> str:
    """A text as long as a box is wide.

    >>> _short("email " + 40 * "a")
    'email aaaaaaaaaaaaaaaaa…'
    """
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
