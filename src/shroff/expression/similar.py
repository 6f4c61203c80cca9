"""SIMILARITY: how alike two texts are, by the pairs of neighbouring characters they share.

The coefficient of Dice and Sørensen over pairs takes time linear in the texts, and a changed order
of words costs little: `Ada Lovelace` and `Lovelace, Ada` are alike. It compares characters as they
are: write LOWER to ignore case.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

# the characters compared; names, streets and host names fit, and hostile texts cost no more
LONGEST: Final = 128
_EDGE: Final = "\0"


def similarity(left: str, right: str) -> float:
    """From 0 (no pair in common) to 1 (the same pairs), over the first 128 characters of each text.

    A text of n characters has n + 1 pairs: its edges count as characters, so that beginnings and
    ends matter.

    >>> similarity("night", "nacht"), similarity("ab", "ab"), similarity("", "a")
    (0.5, 1.0, 0.0)
    >>> round(similarity("Ada Lovelace", "Lovelace, Ada"), 2)
    0.67
    """
    pairs, others = _pairs(left), _pairs(right)
    return 2.0 * (pairs & others).total() / (pairs.total() + others.total())


def _pairs(text: str) -> Counter[tuple[str, str]]:
    edged = f"{_EDGE}{text[:LONGEST]}{_EDGE}"
    return Counter(pairwise(edged))
