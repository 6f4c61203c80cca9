"""Estimates from a control lane, and before labels mature, against a truth that is known.

    python -m benchmarks.control_lane [--runs 100] [--ends 20]

Simulates payments of cards whose frauds come in bursts, a model whose probabilities are wrong, a
policy by cost, and labels that arrive late. The control lane is planned on earlier days, drawn by
ids, and stops at its budget, as in a service. Prints how often intervals of 95 % hold the truth,
and what was estimated at the end of a month beside what labels gave in the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from shroff import ControlLane, Cost
from shroff.collect.times import DAY_US
from shroff.decide.lane import Draws, Lane
from shroff.evaluate import DailyCosts
from shroff.evaluate.control_lane import plan
from shroff.evaluate.expected import cheapest_actions
from shroff.evaluate.reference import PROBABILITY
from shroff.evaluate.weighted import Estimate
from shroff.monitor.early import EarlyFrauds, early_by_month
from shroff.monitor.lane import lane_by_month

BEGIN: Final = 1_704_067_200_000_000
"""2024-01-01 in UTC."""
COST: Final = Cost(review=4.0, declined=15.0)
LANES: Final = {
    "approve": ControlLane(share=0.1, money_per_day=3_000.0, of=["decline"]),
    "review": ControlLane(share=0.05, money_per_day=1_000.0, action="review"),
}
DELAY_DAYS: Final = 45.0
A_DAY: Final = 1_500
DAYS: Final = 91
LAST_MONTH: Final = BEGIN + 60 * DAY_US


Pair = tuple[float, Estimate]
"""A truth and its estimate."""


class Simulated(NamedTuple):
    """Decisions as monitoring reads them, with the truth of each payment [n]."""

    decisions: pl.DataFrame
    fraud: np.ndarray


class _Payments(NamedTuple):
    time: np.ndarray
    card: np.ndarray
    amount: np.ndarray
    fraud: np.ndarray
    probability: np.ndarray


def _payments(random: np.random.Generator, days: int, a_day: int) -> _Payments:
    number = days * a_day
    card = random.integers(0, number // 8, number)
    day = random.integers(0, days, number)
    # a stolen card pays several times on one or two days
    stolen = random.random(number // 8) < 0.06
    since = random.integers(0, days, number // 8)
    hit = stolen[card] & (np.abs(day - since[card]) <= days // 8)
    true = np.where(hit, random.beta(6.0, 2.0, number), random.beta(0.3, 30.0, number))
    fraud = random.random(number) < true
    # the model is too sure of itself, and blind to a part
    odds = 1.4 * np.log(true / (1.0 - true)) + 0.4 + random.normal(0.0, 1.0, number)
    order = np.sort(day + random.random(number))
    place = np.argsort(day, kind="stable")
    time = BEGIN + (order * DAY_US).astype(np.int64)
    return _Payments(
        time,
        card[place],
        np.round(random.lognormal(4.0, 0.9, number), 2)[place],
        fraud[place],
        np.clip(1.0 / (1.0 + np.exp(-odds)), 1e-6, 1.0 - 1e-6)[place],
    )


def simulate(seed: int, lane: ControlLane, *, days: int, a_day: int = A_DAY) -> Simulated:
    """Payments decided by a policy with a control lane, with labels as they arrive."""
    random = np.random.default_rng(seed)
    made = _payments(random, days, a_day)
    before = _payments(random, 30, a_day)
    action = _actions(made)
    lanes = _lane(lane, before)
    draws, spent, today = Draws(seed.to_bytes(4, "big")), 0.0, -1
    decided: list[tuple[object, ...]] = []
    for number, one in enumerate(action):
        day = int(made.time[number] // DAY_US)
        spent, today = (spent, today) if day == today else (0.0, day)
        if one not in lanes.taken:
            decided.append((one, None, None, None, None))
            continue
        chance = lanes.chance((), float(made.probability[number]), float(made.amount[number]))
        found = lanes.decide(
            one, chance, draws, f"{number}", spent=spent, budget=lane.money_per_day
        )
        spent += found.at_stake if found.drawn else 0.0
        done = lane.action if found.drawn else one
        decided.append((done, one, found.propensity, found.drawn, found.kept))
    names = {
        "action": pl.String,
        "decided": pl.String,
        "propensity": pl.Float64,
        "taken": pl.Boolean,
        "kept": pl.String,
    }
    table = pl.DataFrame(decided, schema=names, orient="row")
    return Simulated(_labelled(random, made, table), made.fraud)


def _actions(made: _Payments) -> list[str]:
    declined = np.full(len(made.time), COST.number("declined"))
    actions: list[str] = cheapest_actions(
        made.probability, made.amount, declined, COST, 0.0
    ).tolist()
    return actions


def _lane(lane: ControlLane, before: _Payments) -> Lane:
    day = before.time // DAY_US
    daily = DailyCosts.of(before.fraud, before.probability, before.amount, day)
    full_to = plan(
        daily,
        COST,
        np.isin(daily.actions(COST, 0.0), lane.taken),
        money_per_day=lane.money_per_day,
        share=lane.share,
        reviewed=lane.action == "review",
    )
    return Lane(lane, COST, full_to)


def _labelled(random: np.random.Generator, made: _Payments, table: pl.DataFrame) -> pl.DataFrame:
    """The decisions with the labels that will ever arrive: those of one card together."""
    action = table["action"].to_numpy()
    late = np.minimum(random.gamma(2.0, 9.0, int(made.card.max()) + 1)[made.card], DELAY_DAYS)
    delay = np.where(action == "review", random.gamma(2.0, 0.7, len(action)), late)
    shown = made.fraud & (action != "decline")
    at = made.time + (np.minimum(delay, DELAY_DAYS) * DAY_US).astype(np.int64)
    return table.with_columns(
        pl.Series("arrived", made.time),
        pl.Series("card", made.card.astype(str)),
        pl.Series("amount", made.amount),
        pl.Series(PROBABILITY, made.probability),
        pl.Series("fraud", [True if one else None for one in shown], dtype=pl.Boolean),
        pl.Series("labelled", at).zip_with(pl.Series(shown), pl.Series([None], dtype=pl.Int64)),
    )


FIGURES: Final = ("false_declines", "precision", "recall", "saved", "refused")


def truths(made: Simulated) -> dict[str, float]:
    """What the figures of a lane estimate, of the payments that had a chance."""
    table, fraud = made.decisions, made.fraud
    decided = table["decided"].fill_null(table["action"]).to_numpy()
    covered = (decided == "decline") & (table["propensity"].fill_null(0.0) > 0).to_numpy()
    amount = table["amount"].to_numpy()
    caught = int(fraud[covered | (decided == "review")].sum())
    return {
        "false_declines": float((covered & ~fraud).sum()),
        "precision": float(fraud[covered].mean()),
        "recall": caught / (caught + int(fraud[decided == "approve"].sum())),
        "saved": float(amount[covered & fraud].sum()),
        "refused": float(amount[covered & ~fraud].sum()),
    }


def one_run(
    seed: int, lane: ControlLane, *, a_day: int = A_DAY
) -> dict[str, tuple[float, Estimate]]:
    """Truth and estimate of each figure on one simulated month."""
    made = simulate(seed, lane, days=31, a_day=a_day)
    until = int(made.decisions["arrived"].max())  # type: ignore[arg-type]  # integers
    (found,) = lane_by_month(made.decisions, until=until)
    told = {name: getattr(found, name) for name in FIGURES}
    return {name: (truth, told[name]) for name, truth in truths(made).items() if told[name]}


def coverage(runs: int) -> None:
    """Print how often the intervals of the lane hold the truth."""
    table = Table(box=box.SIMPLE, title="A month, by the control lane")
    for name in ("lane", "figure", "95 % interval holds the truth", "mean error", "width"):
        table.add_column(name, justify="left" if name in ("lane", "figure") else "right")
    for action, lane in LANES.items():
        found = [one_run(seed, lane) for seed in range(runs)]
        for name in FIGURES:
            table.add_row(action, name.replace("_", " "), *told([one[name] for one in found]))
    Console().print(table)


def told(pairs: Sequence[Pair]) -> tuple[str, str, str]:
    """How often intervals hold the truth, the mean error, and the median width, of the truth."""
    held = sum(one.low <= truth <= one.high for truth, one in pairs)
    off = np.mean([one.value / truth - 1.0 for truth, one in pairs])
    wide = np.median([(one.high - one.low) / truth for truth, one in pairs])
    return f"{held} of {len(pairs)}", f"{off:+.1%}", f"{wide:.0%}"


def before_labels(runs: int) -> None:
    """Print what was estimated at the end of a month beside what labels gave in the end."""
    found: dict[tuple[str, str, str], list[Pair]] = {}
    known: dict[tuple[str, str, str], list[float]] = {}
    for seed, (action, lane) in product(range(1_000, 1_000 + runs), LANES.items()):
        for month, truth in early_run(seed, lane):
            for way in ("by_delay", "by_lane"):
                one = getattr(month, way)
                if one is not None:
                    key = action, month.decided, way.replace("_", " ")
                    found.setdefault(key, []).append((truth, one))
                    known.setdefault(key, []).append(month.known / truth)
    table = Table(box=box.SIMPLE, title="Frauds of a month, estimated at its end")
    for name in ("lane", "decided", "estimate", "known then", "holds the truth", "error", "width"):
        table.add_column(name, justify="left" if name in ("lane", "decided") else "right")
    for key, pairs in sorted(found.items()):
        table.add_row(*key, f"{np.mean(known[key]):.0%}", *told(pairs))
    Console().print(table)


def early_run(
    seed: int, lane: ControlLane, *, a_day: int = A_DAY
) -> list[tuple[EarlyFrauds, float]]:
    """The estimates of the last of three months at its end, each with the truth."""
    made = simulate(seed, lane, days=DAYS, a_day=a_day)
    now = BEGIN + 2 * DAYS * DAY_US
    decisions = made.decisions.with_columns(pl.coalesce("decided", "action").alias("decided"))
    chance = decisions["propensity"].fill_null(0.0).to_numpy() > 0
    months = early_by_month(decisions, now=now, until=now, delay_days=DELAY_DAYS)
    last = (decisions["arrived"] >= LAST_MONTH).to_numpy()
    pairs = []
    for one in (month for month in months if month.month == "2024-03"):
        own = last & (decisions["decided"] == one.decided).to_numpy()
        # those that were old enough come first
        rows = own & (np.cumsum(own) <= one.payments)
        rows &= chance | (one.decided != "decline")
        pairs.append((one, float(made.fraud[rows].sum())))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="months judged by the lane")
    parser.add_argument("--ends", type=int, default=20, help="ends of months, before labels")
    asked = parser.parse_args()
    if asked.runs:
        coverage(asked.runs)
    if asked.ends:
        before_labels(asked.ends)


if __name__ == "__main__":
    main()
