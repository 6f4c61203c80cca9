"""The table that a packaged model takes: a column for each of its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.collect.currencies import in_major
from shroff.features.plan import Plan
from shroff.package.bundle import Bundle

if TYPE_CHECKING:
    import polars as pl


def model_inputs(bundle: Bundle, clean: pl.DataFrame) -> pl.DataFrame:
    """The id and the inputs of each payment of a clean table, as `shroff collect` writes one.

    Features see what arrived before, in the table itself. Amounts are in major units. Give the
    table's pandas form, without the id, to the model that `write_pyfunc` wrote.

    Raises:
        DataError: the table is not clean, or lacks a column of the schema.
        MixedCurrencies: features read amounts that are in several currencies.
    """
    from shroff.features.engines.batch.engine import compute_plan

    schema = bundle.schema
    features = compute_plan(Plan(bundle.groups, schema), clean).drop(schema.id)
    table = clean.with_columns(*in_major(schema, schema.scales), *features.get_columns())
    return table.select(schema.id, *bundle.preparation.names)
