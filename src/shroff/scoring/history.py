"""The history that a service starts from: a clean table of payments, before the first live one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import polars as pl

from shroff.collect import Cleaned, clean, local_copies, read, read_joined
from shroff.collect.currencies import require_only
from shroff.package import Bundle

_log = logging.getLogger(__name__)


def history_of(
    bundle: Bundle,
    path: str | os.PathLike[str],
    key: bytes,
    max_bad: float,
    join: str | os.PathLike[str] | None = None,
) -> pl.DataFrame:
    """The clean table that a service starts from.

    Args:
        join: a second table, joined on the column that the bundle's project named.

    Raises:
        ConfigurationError: a second table where the project joined none.
        DataError: the table is unusable.
        MixedCurrencies: its payments are in another currency than those that the bundle was trained
            on.
        SourceUnavailable: the database or service that has it does not answer, or breaks off.
    """
    cleaned = clean_history(bundle, path, key, max_bad, join)
    for reason, many in cleaned.dropped.items():
        _log.warning("%s: left out %d: %s", path, many, reason)
    for notice in cleaned.notices(bundle.schema):
        _log.warning("%s: %s", path, notice)
    return cleaned.frame


def clean_history(
    bundle: Bundle,
    path: str | os.PathLike[str],
    key: bytes,
    max_bad: float,
    join: str | os.PathLike[str] | None = None,
) -> Cleaned:
    """The table of `history_of`, with what cleaning found."""
    schema = bundle.schema
    on = None if join is None else bundle.joined_on
    with local_copies(schema, key=key, join=on) as local:
        table = local(path, alone=join is None)
        raw = (
            read(table, dialect=schema.csv_dialect)
            if on is None
            else read_joined(
                table, local(join or ""), on=on, max_bad=max_bad, dialect=schema.csv_dialect
            )
        )
        cleaned = clean(raw, schema, key=key, max_bad=max_bad, source=str(table))
        cleaned = cleaned.with_findings(local.findings)
    require_only(bundle.currency, cleaned.currencies, schema, str(table))
    return cleaned


class History:
    """Makes the table that a service starts from, the first at once, to report errors early.

    Raises:
        DataError: the table is unusable.
    """

    def __init__(self, make: Callable[[], pl.DataFrame]) -> None:
        self._make = make
        self._first: pl.DataFrame | None = make()

    def __call__(self) -> pl.DataFrame:
        table, self._first = self._first, None
        return self._make() if table is None else table
