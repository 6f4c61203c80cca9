"""Spoils what is good: bytes, and documents of JSON at any place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any, Final

Way = tuple[Any, ...]

VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.5, 1e308, -1e308, 5e-324, 1e14,
    "", " ", "x", "NaN", "Infinity", "1e999", "x" * 9_000, "\u202e", "é" * 300, "\x00", "../../x",
    "/dev/zero", "a b", "SELECT 1", "1 / 0", "amount > 1e308", [], {}, [[]], [None], {"": None},
    [0] * 5_000, ["x"] * 5_000, {"x": {"x": {"x": []}}},
)  # fmt: skip


def spoilt_bytes(random: Random, good: bytes) -> bytes:
    """Bytes with some of them flipped, cut, doubled, moved or replaced."""
    at, other = sorted(random.randrange(len(good) + 1) for _ in range(2))
    flipped = bytearray(good)
    for _ in range(random.choice((1, 1, 4, 64))):
        flipped[random.randrange(len(good))] ^= 1 << random.randrange(8)
    return random.choice(
        (
            bytes(flipped),
            bytes(flipped),
            good[:at],
            good[at:],
            good[:at] + good[other:],
            good[:at] + good[at:other] * 3 + good[other:],
            good[:at] + random.randbytes(other - at) + good[other:],
            good[:at] + bytes(other - at) + good[other:],
            good + random.randbytes(100),
            random.randbytes(len(good)),
            b"",
        )
    )


def spoilt(random: Random, document: Any, times: int = 1) -> Any:
    """A document with values replaced, removed, doubled or put in the place of others."""
    changed = copy.deepcopy(document)
    for _ in range(times):
        ways = list(_ways(changed))
        if not ways:
            break
        way = random.choice(ways)
        node, last = _reached(changed, way[:-1]), way[-1]
        deed = random.random()
        if deed < 0.15:
            del node[last]
        elif deed < 0.3:
            node[last] = copy.deepcopy(_reached(changed, random.choice(ways)))
        elif deed < 0.4 and isinstance(node, list):
            node[last:last] = [node[last]] * random.choice((1, 1_000))
        elif deed < 0.5 and isinstance(node, dict):
            node[random.choice(("", "x", "x" * 9_000, f"{last} "))] = node.pop(last)
        else:
            node[last] = random.choice(VALUES)
    return changed


def _ways(node: Any, way: Way = ()) -> Iterator[Way]:
    """The way to every value in a document."""
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        # of a long list some are as good as all
        items = list(enumerate(node))[:40]
    for name, value in items:
        yield (*way, name)
        yield from _ways(value, (*way, name))


def _reached(document: Any, way: Way) -> Any:
    for name in way:
        document = document[name]
    return document
