"""Embed: payments as words, a card's history as a sentence (transactions2vec).

Reads a definition (`Vectors`) and clean payments. `learn` (on a cluster `learn_spark`) counts which
tokens of payments (a merchant category, a band of amounts, a part of the day) stand near each other
in the histories of cards, and factorises the counts.
`TokenVectors` is what was learned: a vector of whole numbers for each token. It never reads results
or labels.

Promises that the same payments give the same file, to the byte: in any order of rows, with any
number of threads, and with the cards counted apart and the counts added, as Spark does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.embed.cluster import learn_spark
    from shroff.embed.define import Vectors
    from shroff.embed.learned import Neighbour, TokenVectors, read_vectors
    from shroff.embed.learner import learn
    from shroff.embed.mapping import plot
    from shroff.embed.png import picture

__all__ = [
    "Neighbour",
    "TokenVectors",
    "Vectors",
    "learn",
    "learn_spark",
    "picture",
    "plot",
    "read_vectors",
]

__getattr__ = loading(
    __name__,
    {
        "TokenVectors": "learned",
        "Neighbour": "learned",
        "Vectors": "define",
        "learn": "learner",
        "learn_spark": "cluster",
        "picture": "png",
        "plot": "mapping",
        "read_vectors": "learned",
    },
)
