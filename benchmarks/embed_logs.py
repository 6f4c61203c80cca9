"""The logs of `embed_ablation.py`, and the features that each may have besides those of velocity.

`simulated`: each seed makes another log, a fifth of whose frauds are of rings; a payment's place is
the capital of its country. `handbook`: five weeks of one log, one a seed, with the payments of
every third customer, by the book's protocol: a week to learn from, a week until its labels are
known, a week to judge. Its terminals have no places and are too many to be tokens.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
from msgspec.structs import replace

from shroff import Entity, FeatureGroup, Project, Schema, sql
from shroff.collect import clean
from shroff.embed import TokenVectors, Vectors
from shroff.features.group import Feature
from shroff.pipeline import collect_table
from shroff.project import load_project
from shroff.simulate import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAUD_RATE = 0.01
RINGS = 0.2
"""Of the simulated logs, the share of payments that are frauds, and of frauds that are of rings."""
LAST_WEEK = date(2018, 7, 25)
"""When the example's training week begins; a seed's begins so many weeks before."""
THIRDS = 3
"""A case has the payments of every third customer, so that five are done in minutes."""
HISTORY_DAYS = 37
"""Before a training week: 30 days of a window, and a week until labels are known."""
CAPITALS = {
    "DE": (52.52, 13.40),
    "FR": (48.86, 2.35),
    "GB": (51.51, -0.13),
    "DK": (55.68, 12.57),
    "SE": (59.33, 18.07),
    "NO": (59.91, 10.75),
    "NL": (52.37, 4.90),
    "ES": (40.42, -3.70),
    "IT": (41.90, 12.50),
    "PL": (52.23, 21.01),
    "CH": (46.95, 7.45),
    "US": (38.91, -77.04),
    "JP": (35.68, 139.69),
    "KW": (29.38, 47.99),
}


class Case(NamedTuple):
    """A log and what is computed of it.

    `schema` is the project's with the columns that links and journeys read; `other` is the entity
    besides the card that has a habit.
    """

    log: str
    seed: int
    project: Project
    schema: Schema
    frame: pl.DataFrame
    split: str
    vectors: Vectors
    card: Entity
    other: Entity
    links: FeatureGroup
    helpers: frozenset[str] = frozenset()

    def habits(self, found: TokenVectors) -> FeatureGroup:
        """The features of vectors."""
        windows = ["7d", "30d"]
        features: list[Feature] = [
            *self.vectors.features(),
            *self.card.habit(self.vectors, windows),
            *self.card.distance(self.vectors, windows),
            *self.other.distance(self.vectors, "7d"),
        ]
        return FeatureGroup("habits", features, vectors=[found.table])


def simulated(payments: int, seed: int) -> Case:
    """A log of the simulator with the example's project."""
    project = load_project(EXAMPLES / "payments")
    (vectors,) = project.vectors
    places = [
        pl.col("request_country")
        .replace_strict({code: place[axis] for code, place in CAPITALS.items()}, default=None)
        .cast(pl.Float64)
        .alias(name)
        for axis, name in enumerate(("latitude", "longitude"))
    ]
    raw = simulate(payments, fraud_rate=FRAUD_RATE, rings=RINGS, seed=seed).with_columns(places)
    schema = replace(project.plan.schema, numeric=["latitude", "longitude"])
    card = Entity("card", "card_id")
    before = [
        feature
        for column in ("latitude", "longitude", "request_country")
        for feature in card.last(column, "7d")
    ]
    journey: list[Feature] = [
        *before,
        *card.seconds_since_last("7d"),
        sql("moved", "request_country <> card_last_request_country_7d"),
        sql(
            "km_per_hour",
            "3600 * DISTANCE_KM(latitude, longitude, card_last_latitude_7d, card_last_longitude_7d)"
            " / GREATEST(card_seconds_since_last_7d, 60)",
        ),
    ]
    linked: list[Feature] = [
        feature
        for column in ("host_id", "email")
        for links in [card.linked_by(column, "30d")]
        for feature in (*links.count(), *links.frauds())
    ]
    return Case(
        log="simulated",
        seed=seed,
        project=project,
        schema=schema,
        frame=clean(raw, schema, key=b"k" * 32, max_bad=0.1).frame,
        split="time:70/30",
        vectors=vectors,
        card=card,
        other=Entity("merchant", "merchant_id"),
        links=FeatureGroup("links_and_journeys", [*linked, *journey]),
        helpers=frozenset(feature.name for feature in before),
    )


def handbook(file: Path, seed: int) -> Case:
    """One of the handbook's weeks with its classic features."""
    project = load_project(EXAMPLES / "handbook")
    first = LAST_WEEK - timedelta(weeks=seed)
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=HISTORY_DAYS)
    time = pl.col(project.schema.time)
    frame = collect_table(project, file, key=bytes(16)).frame.filter(
        time.is_between(begin, begin + timedelta(days=HISTORY_DAYS + 21), closed="left"),
        pl.col("CUSTOMER_ID").cast(pl.Int64) % THIRDS == seed % THIRDS,
    )
    # the book's labels are known a week after their payment
    labelled = (time + timedelta(days=7)).alias("LABELLED_AT")
    customer = Entity("customer", "CUSTOMER_ID")
    near = customer.linked_by("TERMINAL_ID", "30d")
    return Case(
        log="handbook",
        seed=seed,
        project=project,
        schema=replace(project.plan.schema, labelled_at="LABELLED_AT"),
        frame=frame.with_columns(labelled),
        split=f"time:{first}/7/7/7,known_cards=drop",
        vectors=Vectors(name="purchases", entity=customer, tokens=["TX_AMOUNT", "TX_DATETIME"]),
        card=customer,
        other=Entity("terminal", "TERMINAL_ID"),
        links=FeatureGroup("links", [near.count(), near.frauds()]),
    )
