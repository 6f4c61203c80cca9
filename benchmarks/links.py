"""Whether links find rings that no card shows alone, and what they cost a payment.

    python -m benchmarks.links [--payments 100000] [--seeds 3]

Rings are planted by the simulator: cards that share hosts and e-mails in pairs, each of which pays
twice as its owner would. `without` are the inputs of the example's project; `with` also has how
many cards are linked to this one by host and by e-mail, in one hop and two, and their frauds.
Recall is the share of frauds among the most suspicious 0.5 % of the test part.

The second table is the online engine alone, in memory: processor microseconds a payment, of the
example's log without and with links, and of payments at an office whose one host 5,000 cards use.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import process_time

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.embed_ablation import scored
from shroff import Entity, FeatureGroup, Project
from shroff.arrays import Floats
from shroff.collect import clean
from shroff.collect.payment import Payment, payments
from shroff.evaluate import average_precision, fit_split, parse_split
from shroff.experiment import Dataset
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.online import OnlineEngine
from shroff.features.plan import Plan
from shroff.project import load_project
from shroff.simulate import simulate

EXAMPLE = "examples/payments"
OFFICE_CARDS = 5_000
card = Entity("card", "card_id")
LINKS = FeatureGroup(
    "links",
    [
        feature
        for column in ("host_id", "email")
        for hops in (1, 2)
        for links in [card.linked_by(column, "30d", hops=hops)]
        for feature in (links.count(), links.frauds())
    ],
)


def ringed(rows: int, seed: int, project: Project) -> pl.DataFrame:
    """Clean payments, a third of the frauds by rings, with the pattern of each."""
    raw = simulate(rows, fraud_rate=0.006, rings=1 / 3, seed=seed)
    frame = clean(raw, project.plan.schema, key=b"k" * 32, max_bad=0.1).frame
    patterns = raw.select(project.schema.id, "fraud_pattern")
    return frame.join(patterns, on=project.schema.id, how="left", maintain_order="left")


def recalls(
    project: Project, frame: pl.DataFrame, seed: int, more: Sequence[FeatureGroup]
) -> Floats:
    """Of the test part: recall of rings and of all frauds at the alerts, and average precision."""
    plan = Plan([*project.features, *more], project.schema)
    clean_frame = frame.drop("fraud_pattern")
    added = [feature.name for group in more for feature in group.definitions]
    data = Dataset.build(
        clean_frame,
        plan,
        features=compute_plan(plan, clean_frame),
        inputs=[*project.inputs, *added] if project.inputs else None,
        card=project.card_column,
    )
    _, rows = fit_split(parse_split("time:70/30"), data.time, data.y, data.cards)
    scores, fraud, worst = scored(data, rows, seed)
    ring = (frame["fraud_pattern"] == "ring").fill_null(value=False).to_numpy()[rows.test]
    recall = [float(kind[worst].sum() / kind.sum()) for kind in (ring, fraud.astype(np.bool_))]
    return np.array([*recall, average_precision(fraud, scores)])


def micros(engine: OnlineEngine, stream: Sequence[Payment]) -> float:
    """Microseconds a payment."""
    started = process_time()
    for payment in stream:
        engine.observe(payment)
    return (process_time() - started) / len(stream) * 1e6


def office(like: Payment) -> list[Payment]:
    """Payments of an hour by many cards behind one host, of which each also has one at home."""
    found = []
    for at in range(4 * OFFICE_CARDS):
        number = at % OFFICE_CARDS
        host = "office" if at % 2 else f"home {number}"
        values = like.values | {"card_id": f"worker {number}", "host_id": host, "email": None}
        time = like.time + at * 200_000
        found.append(Payment(f"o{at}", time, time, like.minor, like.units, values))
    return found


def costs(frame: pl.DataFrame, project: Project, table: Table) -> None:
    """Rows of what a payment costs."""
    stream = list(payments(frame.drop("fraud_pattern"), project.plan.schema))
    for name, groups in (
        ("example", project.features),
        ("links alone", [LINKS]),
        ("both", [*project.features, LINKS]),
    ):
        engine = OnlineEngine(groups, project.schema)
        usual, crowd = micros(engine, stream), office(stream[-1])
        micros(engine, crowd[: len(crowd) // 2])
        table.add_row(name, f"{usual:.1f}", f"{micros(engine, crowd[len(crowd) // 2 :]):.1f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    project = load_project(EXAMPLE)
    figures: dict[str, list[Floats]] = {"without": [], "with": []}
    for seed in range(given.seeds):
        frame = ringed(given.payments, seed, project)
        figures["without"].append(recalls(project, frame, seed, []))
        figures["with"].append(recalls(project, frame, seed, [LINKS]))
    heads = [part for one in ("rings", "all frauds", "AP") for part in (one, "least–most")]
    found = Table("features", *heads, box=box.SIMPLE_HEAD)
    for way, each in figures.items():
        columns = np.array(each).T
        row = [
            part
            for one in columns
            for part in (f"{one.mean():.3f}", f"{one.min():.3f}–{one.max():.3f}")
        ]
        found.add_row(way, *row)
    spent = Table("features", "µs a payment", "µs at the office", box=box.SIMPLE_HEAD)
    costs(frame, project, spent)
    console = Console()
    console.print(found)
    console.print(spent)


if __name__ == "__main__":
    main()
