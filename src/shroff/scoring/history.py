"""The history that a service starts from: a clean table of payments, before the first live one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, cast

import polars as pl

from shroff import __version__
from shroff.collect import Cleaned, clean, local_copies, read, read_joined
from shroff.collect.currencies import require_only
from shroff.collect.label_table import LabelTable, labelled
from shroff.collect.large import with_absent
from shroff.errors import BadFile, did_you_mean
from shroff.features.plan import Plan
from shroff.location import Location
from shroff.package import Bundle
from shroff.plain import open_plain

_log = logging.getLogger(__name__)


def history_of(
    bundle: Bundle,
    path: str | os.PathLike[str],
    key: bytes,
    max_bad: float,
    join: str | os.PathLike[str] | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    spare_labels: bool | None = None,
) -> pl.DataFrame:
    """The clean table that a service starts from.

    Args:
        join: a second table, joined on the column that the bundle's project named.
        labels: a table with the history of labels (`shroff.collect.labels`); with it, the payments
            may lack the columns of labels.
        spare_labels: whether the table may lack the columns of labels, which none of its payments
            has then; None: where no feature reads labels.

    Raises:
        ConfigurationError: a second table where the project joined none, or a table of labels where
            the schema does not say when they arrive.
        DataError: a table is unusable.
        MixedCurrencies: its payments are in another currency than those that the bundle was trained
            on.
        SourceUnavailable: the database or service that has it does not answer, or breaks off.
    """
    cleaned = clean_history(
        bundle, path, key, max_bad, join, labels=labels, spare_labels=spare_labels
    )
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
    *,
    labels: str | os.PathLike[str] | None = None,
    spare_labels: bool | None = None,
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
        absent = (
            _absent_labels(bundle, raw.columns, spare_labels)
            if labels is None
            else schema.later & {schema.label, schema.labelled_at} - {*raw.columns}
        )
        raw = with_absent(raw.lazy(), absent).collect()
        cleaned = clean(raw, schema, key=key, max_bad=max_bad, source=str(table))
        cleaned = cleaned.with_findings(local.findings)
        if labels is not None:
            cleaned = labelled(cleaned, LabelTable.read(local(labels), schema))
    if absent and labels is None and spare_labels is None:
        notice = f"there is no column `{schema.label}`: these payments have no labels."
        cleaned = replace(cleaned, told=[*cleaned.told, notice])
    require_only(bundle.currency, cleaned.currencies, schema, str(table))
    return cleaned


def _absent_labels(bundle: Bundle, columns: Sequence[str], spared: bool | None) -> frozenset[str]:
    """The columns of labels that a raw table lacks and may lack."""
    schema = bundle.schema
    # a name that is nearly the label's is a mistake in one of them
    if schema.label is None or schema.label in columns or did_you_mean(schema.label, columns):
        return frozenset()
    if spared is None:
        spared = "label" not in Plan(bundle.groups, schema).later
    said = schema.later & {schema.label, schema.labelled_at}
    return said.difference(columns) if spared else frozenset()


class History:
    """Makes the table that a service starts from.

    Args:
        make: reads it.
        source: a digest of its source; None where only reading it tells.
        later: read it when it is first needed; else at once, so that errors are reported early.

    Raises:
        DataError: the table is unusable.
    """

    def __init__(
        self,
        make: Callable[[], pl.DataFrame],
        *,
        source: Callable[[], str | None] = lambda: None,
        later: bool = False,
    ) -> None:
        self._make = make
        self.source = source
        self.read: str | None = None
        """The source of the table that was made last; None if it changed meanwhile."""
        self._first: pl.DataFrame | None = None if later else self._made()

    def __call__(self) -> pl.DataFrame:
        table, self._first = self._first, None
        return self._made() if table is None else table

    def _made(self) -> pl.DataFrame:
        before = self.source()
        table = self._make()
        self.read = before if before == self.source() else None
        return table


def source_of(
    bundle: Bundle,
    path: str | os.PathLike[str],
    max_bad: float,
    labels: str | os.PathLike[str] | None = None,
) -> str | None:
    """A digest of what the table of `history_of` depends on: the bytes of its files, the bundle,
    `max_bad` and the release; None for what is no regular file, such as a database. Hashing takes a
    small part of the time of reading.
    """
    contents = []
    for one in (path,) if labels is None else (path, labels):
        if Location.of(one).scheme is not None:
            return None
        try:
            with open_plain(Path(one), follow=True) as file:
                contents.append(file_digest(cast(Any, file), "sha256").hexdigest())
        except (OSError, BadFile):
            return None
    content = " ".join(contents)
    return sha256(f"{__version__} {bundle.digest} {max_bad} {content}".encode()).hexdigest()
