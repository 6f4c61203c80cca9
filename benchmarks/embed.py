"""Whether tokens stand near those of their kind, on simulated payments: purity of the five nearest,
against chance.

    python -m benchmarks.embed [--payments 100000] [--seeds 5] [--groups 8]

Two logs. `simulated` is what `shroff simulate` makes, whose honest cards choose merchants by
country, not by category. `planted` is a log in which each card has one of several kinds of purchase
and pays four times in five within it. A token's purity is the share of its five nearest that are of
its kind; chance is the share among all others. Kinds: of amounts, the two bands next to one on
either side; of categories, digital goods and services; planted ones. Prints the mean over seeds and
the least and most of them. The seed makes the log; learning has none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np
import polars as pl

from shroff import Entity, Schema
from shroff.collect import clean
from shroff.embed import TokenVectors, Vectors, learn
from shroff.simulate import simulate

MOST = 5
DIGITAL = frozenset("4814 5815 5816 5817 5968 8398 6051 7995".split())
SCHEMA = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    nominal=["mcc"],
    keys=["card_id"],
    required=["card_id"],
)
VECTORS = Vectors(name="purchases", entity=Entity("card", "card_id"), tokens=["mcc", "amount"])
Alike = Callable[[str, str], bool]


def purity(found: TokenVectors, column: str, alike: Alike) -> tuple[float, float]:
    """The mean purity of a column's tokens that have others of their kind, and what chance would
    give.
    """
    texts = [text for name, text in found.tokens if name == column]
    shares, chances = [], []
    for text in texts:
        kind = [other for other in texts if other != text and alike(text, other)]
        if kind:
            nearest = found.neighbours(column, text, MOST)
            shares.append(sum(one.token in kind for one in nearest) / min(MOST, len(kind)))
            chances.append(len(kind) / (len(texts) - 1) * MOST / min(MOST, len(kind)))
    return float(np.mean(shares)), float(np.mean(chances))


def planted(payments: int, seed: int, groups: int) -> pl.DataFrame:
    """Payments of cards that stay within one of several kinds of category, four times in five."""
    random = np.random.default_rng(seed)
    cards = random.integers(0, payments // 50, payments)
    kinds = np.where(
        random.random(payments) < 0.8, cards % groups, random.integers(0, groups, payments)
    )
    seconds = np.sort(random.integers(0, 90 * 86_400, payments))
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    return pl.DataFrame(
        {
            "transaction_id": [f"p{at}" for at in range(payments)],
            "created_at": pl.from_epoch(pl.Series(start + seconds)).dt.strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "amount": random.integers(1, 100, payments).astype(float),
            "mcc": [
                f"{kind}{one}"
                for kind, one in zip(kinds, random.integers(0, 6, payments), strict=True)
            ],
            "card_id": [f"c{card}" for card in cards],
        }
    )


def next_bands(one: str, other: str) -> bool:
    """Whether two bands of amounts lie next to each other, or next but one."""
    edges = [
        int(text.lstrip("<>=").split("-")[0]) if text[0] != "<" else 0 for text in (one, other)
    ]
    steps = [
        0 if edge == 0 else 1 + 3 * (len(str(edge)) - 1) + "125".index(str(edge)[0])
        for edge in edges
    ]
    return abs(steps[0] - steps[1]) <= 2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--groups", type=int, default=8)
    given = parser.parse_args()
    cases: list[tuple[str, str, Callable[[int], pl.DataFrame], Alike]] = [
        ("simulated", "amount", partial(_simulated, given.payments), next_bands),
        (
            "simulated",
            "mcc",
            partial(_simulated, given.payments),
            lambda a, b: (a in DIGITAL) == (b in DIGITAL),
        ),
        (
            "planted",
            "mcc",
            lambda seed: planted(given.payments, seed, given.groups),
            lambda one, other: one[0] == other[0],
        ),
    ]
    print(f"{'log':<10} {'tokens':<7} {'purity@5':>9} {'least':>6} {'most':>6} {'chance':>7}")
    for log, column, make, alike in cases:
        found = []
        for seed in range(given.seeds):
            frame = clean(make(seed), SCHEMA, key=b"k" * 32, max_bad=0.1).frame
            found.append(purity(learn(VECTORS, SCHEMA, frame), column, alike))
        shares, chances = np.array(found).T
        print(
            f"{log:<10} {column:<7} {shares.mean():>9.3f} {shares.min():>6.3f} {shares.max():>6.3f}"
            f" {chances.mean():>7.3f}"
        )


def _simulated(payments: int, seed: int) -> pl.DataFrame:
    return simulate(payments, seed=seed)


if __name__ == "__main__":
    main()
