"""The payments of a ledger to learn from, as they were known at a moment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Ints
from shroff.collect import Schema
from shroff.collect.labels import require_label
from shroff.features.engines.batch import compute_plan
from shroff.ledger import Records, StoredEntry
from shroff.monitor.recorded import plan_over_ledger, recorded_payments, with_history
from shroff.project import Project
from shroff.retrain.outcomes import outcomes

UNLABELLED: Final = "history without a label"
_FORGOTTEN: Final = "forgotten"


class LedgerDataset(NamedTuple):
    """Payments whose outcome is known, features computed as the service computed them; and the
    history without a label, by which the doctor sees on which days few payments have one.

    Attributes:
        frame: a clean table by the project's schema, and `features` in its order.
        stands: how many payments each row stands for [n].
        repeats: how often detectors learn from each row besides [n]: labels of investigators.
        left_out: payments whose outcome is not known, and frauds among them, by reason.
        feedback: how many payments have a label by an investigator.
        lane: how many of the control lane stand for others.
        known: of how many payments the outcome is known.
    """

    frame: pl.DataFrame
    features: pl.DataFrame
    stands: Ints
    repeats: Ints
    left_out: Mapping[str, tuple[int, int | None]]
    feedback: int
    lane: int
    known: int


def ledger_dataset(
    project: Project,
    entries: Records | Sequence[StoredEntry],
    *,
    mature: int,
    feedback: Collection[str] = (),
    repeats: int = 1,
    history: pl.DataFrame | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> LedgerDataset:
    """The recorded payments whose outcome is known by `entries`.

    Args:
        mature: the moment until which a payment without a label is genuine, in microseconds since
            the epoch.
        feedback: sources of labels that are investigators, who choose what they look at.
        repeats: how often detectors learn from a payment that they labelled.
        history: the clean table that the service was started from, if it was.

    Raises:
        ConfigurationError: the schema names no label.
    """
    schema = project.plan.schema
    require_label(schema)
    plan = plan_over_ledger(project.features, schema)
    progress("read the recorded payments")
    table = recorded = recorded_payments(plan, entries)
    if history is not None:
        table = with_history(recorded, history, schema, plan, entries)
    progress("compute features over the ledger")
    features = compute_plan(plan, table)
    joined = _joined(table, len(table) - len(recorded), plan.schema, entries, mature)
    told = joined["fraud"].is_not_null()
    said = joined["source"].is_in([*feedback]).fill_null(value=False)
    seen = told | (joined["why"] == UNLABELLED)
    kept = joined.filter(seen)
    return LedgerDataset(
        frame=_by_schema(table, plan.schema, schema, joined).filter(seen),
        features=features.filter(seen),
        stands=kept["stands"].fill_null(1).to_numpy(),
        repeats=np.where(said.filter(seen).to_numpy(), repeats, 1),
        left_out={
            str(why): (int(many), None)
            for why, many in joined.filter(~told).group_by("why").len().sort("why").iter_rows()
        },
        feedback=int(said.sum()),
        lane=int((kept["stands"] > 1).sum()),
        known=int(told.sum()),
    )


def _joined(
    table: pl.DataFrame,
    past: int,
    schema: Schema,
    entries: Iterable[StoredEntry],
    mature: int,
) -> pl.DataFrame:
    """What is known of each row, by `OUTCOMES`; the first `past` rows are history with labels of
    its own.
    """
    known = outcomes(entries, schema, mature=mature)
    own = table.select(  # renamed: a project's label may be called as an outcome is
        pl.col(schema.id).alias("id"),
        pl.col(str(schema.label)).alias("logged"),
        pl.col(str(schema.labelled_at)).dt.epoch("us").alias("logged_at"),
    )
    joined = own.with_row_index("row").join(known, on="id", how="left", maintain_order="left")
    history = pl.col("row") < past
    return joined.with_columns(
        pl.when(history).then("logged").otherwise("fraud").alias("fraud"),
        pl.when(history).then("logged_at").otherwise("labelled").alias("labelled"),
        pl.when(history)
        .then(pl.lit(UNLABELLED))
        .otherwise(pl.col("why").fill_null(_FORGOTTEN))
        .alias("why"),
    )


def _by_schema(
    table: pl.DataFrame, ledger: Schema, schema: Schema, joined: pl.DataFrame
) -> pl.DataFrame:
    """A table over the ledger's arrivals as one of the project's schema, with what is known."""
    pairs = ((ledger.arrived_at, schema.arrived_at), (ledger.result_at, schema.result_at))
    renamed = {str(one): other for one, other in pairs if other is not None}
    known = {str(schema.label): joined["fraud"]}
    if schema.labelled_at is not None:
        known[schema.labelled_at] = joined["labelled"].cast(pl.Datetime("us", "UTC"))
    return (
        table.rename(renamed)
        .with_columns(column.alias(name) for name, column in known.items())
        .select(*schema.scales)
    )
