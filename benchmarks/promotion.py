"""How often a challenger is promoted that should not be, and how soon one that should be.

    python -m benchmarks.promotion

Each simulation draws cards with bursts of payments, frauds among them, and two models that suspect
them: most of what they see is common to both, the rest is each one's own. Actions are priced as
`shroff promote` prices them, and one looks after every card: a challenger counts as promoted if the
evidence is enough at any time. Beside it stands what a t-test of the same cards does that is looked
at as often (p < 0.05, one-sided, from the thirtieth card on).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.evaluate import Cost, total_cost
from shroff.evaluate.sequential import ENOUGH_EVIDENCE
from shroff.promotion import PairedDecisions, PairedResult, compare_pairs

COST: Final = Cost(review=4.0, missed="amount", declined=15.0)
MEAN_FRAUD: Final = 150.0
LARGEST: Final = 10 * MEAN_FRAUD
_DAY_US: Final = 86_400_000_000
_COMMON: Final = 0.7
"""The share of a model's suspicion, as variance, that both models see alike."""
_FIRST_LOOK_CARDS: Final = 30
_P_95: Final = 1.645


@dataclass(frozen=True)
class World:
    """What a simulation draws.

    `lift` is how much more suspicious frauds are to the challenger, in standard deviations;
    `spread` the sigma of log-normal amounts; `campaign` how many cards in a row are decided alike.
    """

    title: str
    lift: float = 0.0
    spread: float = 1.0
    campaign: int = 1
    frauds: int = 3_000


WORLDS: Final = (
    World("equal challenger"),
    World("equal, amounts with a heavy tail", spread=1.8),
    World("worse: saves 5 % less", lift=-0.08),
    World("equal, campaigns of 5 cards decided alike", campaign=5),
    World("saves 5 % more", lift=0.08, frauds=6_000),
    World("saves 10 % more", lift=0.16, frauds=6_000),
    World("saves 20 % more", lift=0.33, frauds=6_000),
)


def simulate(world: World, seed: int) -> tuple[PairedDecisions, float]:
    """Payments that two models decided, and what the challenger saves more than the incumbent, as a
    share of what that one saves against no detector.
    """
    random = np.random.default_rng(seed)
    cards = 4 * world.frauds
    fraud_card = random.random(cards) < 0.25
    payments = 1 + random.poisson(1.0, cards)
    card = np.repeat(np.arange(cards), payments)
    fraud = fraud_card[card]
    scale = MEAN_FRAUD / np.exp(world.spread**2 / 2) / 2
    amount = scale * random.lognormal(0.0, world.spread, card.size)
    common = random.normal(size=cards)
    actions = [
        _actions(_suspicion(random, common, card, fraud, lift, world.campaign))
        for lift in (0.0, world.lift)
    ]
    time = np.sort(random.integers(0, 365 * _DAY_US, cards))[card] + np.arange(card.size) % 3
    pairs = PairedDecisions(
        time=time,
        card=card.astype(str).astype(object),
        fraud=fraud,
        known=np.ones(card.size, dtype=np.bool_),
        amount=amount,
        incumbent=actions[0],
        challenger=actions[1],
        until=400 * _DAY_US,
    )
    nothing, *costs = (
        total_cost(fraud, action, amount, COST)
        for action in (np.full(card.size, "approve", dtype=object), *actions)
    )
    return pairs, (nothing - costs[1]) / (nothing - costs[0]) - 1


def _suspicion(
    random: np.random.Generator,
    common: Floats,
    card: Ints,
    fraud: Bools,
    lift: float,
    campaign: int,
) -> Floats:
    own = np.repeat(random.normal(size=-(-common.size // campaign)), campaign)[: common.size]
    seen: Floats = np.sqrt(_COMMON) * common + np.sqrt(1 - _COMMON) * own
    suspicion: Floats = seen[card] + np.where(fraud, 2.2 + lift, 0.0)
    return suspicion


def _actions(suspicion: Floats) -> Texts:
    # two in a hundred genuine payments are above the line
    return np.select([suspicion > 3.2, suspicion > 2.0], ["decline", "review"], "approve").astype(
        object
    )


def promoted_at(result: PairedResult) -> int | None:
    """How many known frauds it took until the evidence was enough; None where it never was."""
    enough = result.evidence >= ENOUGH_EVIDENCE
    return int(result.frauds[np.argmax(enough)]) if enough.any() else None


def peeked(saved: Floats) -> bool:
    """Whether a t-test that is looked at after each card ever says that the challenger saves."""
    cards = np.arange(1, saved.size + 1)
    mean = np.cumsum(saved) / cards
    spread = np.sqrt(np.maximum(np.cumsum(saved**2) / cards - mean**2, 1e-12) / cards)
    return bool((mean / spread > _P_95)[_FIRST_LOOK_CARDS:].any())


def run(worlds: Sequence[World], simulations: int) -> Table:
    """One row per world."""
    table = Table(
        "Challenger",
        "saves",
        "promoted",
        "known frauds until then (median, 80 %)",
        "peeked t-test",
        title=f"{simulations} simulations, looked at after every card",
    )
    for world in worlds:
        needed, lifts, naive = list[int](), list[float](), 0
        for seed in range(simulations):
            pairs, lift = simulate(world, seed)
            result = compare_pairs(pairs, COST, largest=LARGEST)
            lifts.append(lift)
            naive += peeked(result.differences)
            at = promoted_at(result)
            if at is not None:
                needed.append(at)
        middle = (
            f"{np.median(needed):,.0f} ({np.percentile(needed, 10):,.0f}–"
            f"{np.percentile(needed, 90):,.0f})"
            if len(needed) > simulations / 2
            else ""
        )
        table.add_row(
            world.title,
            f"{np.mean(lifts):+.1%}",
            f"{len(needed)} of {simulations}",
            middle,
            f"{naive} of {simulations}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--simulations", type=int, default=200)
    Console(width=120).print(run(WORLDS, parser.parse_args().simulations))


if __name__ == "__main__":
    main()
