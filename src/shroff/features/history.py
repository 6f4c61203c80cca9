"""The features of a raw payment log: cleaned by the project's schema, then computed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol

import polars as pl

from shroff.collect import Schema, clean
from shroff.errors import BadFile
from shroff.features.engines.batch import compute_plan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.settings import Settings


class Definitions(Protocol):
    """What features are computed by, such as a `shroff.Project`."""

    @property
    def schema(self) -> Schema:
        """The schema of the log."""

    @property
    def features(self) -> Sequence[FeatureGroup]:
        """The feature groups."""


def compute(
    project: Definitions, raw: object, *, key: bytes | None = None, max_bad: float = 0.0
) -> pl.DataFrame:
    """The id and the features of every payment of a raw log.

    The log is cleaned first, as `shroff collect` does: amounts are in major units (12.50), times
    may be text. Ambiguous values are reported as warnings.

    Args:
        project: the schema and the features.
        raw: a Polars or pandas DataFrame, an Arrow table, or another with Arrow's C stream; one row
            per payment.
        key: of the HMAC over personal columns; by default the one of `SHROFF_PERSONAL_KEY` or
            `SHROFF_HOME`.
        max_bad: largest share of unusable rows that is accepted, 0 to 1; they are left out.

    Returns:
        The id column and one column per feature (Float64 or String, nullable), in order of arrival.

    Raises:
        BadFile: it is no table, a column is missing or of another type, or holds card numbers in
            the open.
        TooManyBadRows: more than `max_bad` of the rows are unusable; by default any.
        MixedCurrencies: a feature adds or compares amounts in several currencies.

    >>> from shroff import Entity, FeatureGroup, Project, Schema
    >>> card = Entity("card", "card_id")
    >>> velocity = FeatureGroup("velocity", card.total("euro", "1h"))
    >>> project = Project(schema=Schema(id="id", time="at", amount="euro"), features=[velocity])
    >>> at = ["2024-05-04 10:00:00 UTC", "2024-05-04 10:05:00 UTC"]
    >>> raw = pl.DataFrame(
    ...     {"id": ["a", "b"], "at": at, "euro": [12.5, 900.0], "card_id": ["c", "c"]}
    ... )
    >>> compute(project, raw).rows()
    [('a', 0.0), ('b', 12.5)]
    """
    plan = Plan(project.features, project.schema)
    if key is None:
        key = Settings.read().hmac_key() if plan.schema.personal else b""
    cleaned = clean(_table(raw), plan.schema, key=key, max_bad=max_bad)
    for notice in cleaned.notices(plan.schema):
        warnings.warn(notice, stacklevel=2)
    return compute_plan(plan, cleaned.frame)


def _table(raw: object) -> pl.DataFrame:
    if isinstance(raw, pl.DataFrame):
        return raw
    if isinstance(raw, pl.LazyFrame):
        return raw.collect()
    kind = f"{type(raw).__module__.partition('.')[0]}.{type(raw).__name__}"
    if not hasattr(raw, "__arrow_c_stream__"):
        raise BadFile(f"expected a Polars or pandas DataFrame, or an Arrow table, got `{kind}`.")
    try:
        return pl.DataFrame(raw)
    except ImportError:
        raise BadFile(f"expected pyarrow to read a `{kind}`: pip install pyarrow.") from None
    except (TypeError, ValueError):
        raise BadFile(
            f"expected values of one type in each column of the `{kind}`, got several: cast them "
            "to text."
        ) from None
