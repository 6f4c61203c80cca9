"""SIMILARITY: how alike two texts are, by the character pairs (bigrams) that they share.

The Sørensen–Dice coefficient over bigrams takes linear time, and tolerates a changed order of
words: `Ada Lovelace` and `Lovelace, Ada` are alike. It is case-sensitive: write LOWER to ignore
case.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

# characters compared: enough for names, streets and host names, and a bound for hostile texts
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
