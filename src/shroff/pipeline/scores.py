"""A log scored by a bundle: its features by the batch engine, decisions as the service makes them.

A log goes by disk, so that a Parquet file may be larger than memory.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl

from shroff.collect import (
    CleanFiles,
    Schema,
    clean,
    clean_large,
    local_copies,
    read,
    read_joined,
)
from shroff.collect.currencies import codes_of, require_only
from shroff.collect.label_table import LabelTable
from shroff.collect.labels import with_labels
from shroff.collect.large import with_absent
from shroff.collect.payment import payments, rows_of
from shroff.collect.remote import Count, uncounted
from shroff.collect.sources import scan, written_whole
from shroff.decide.decider import Decider, scoring_decider
from shroff.features.engines.batch.disk import compute_slices, slice_rows
from shroff.features.engines.batch.time_chunks import Slice
from shroff.features.plan import Plan
from shroff.features.streams import Later
from shroff.location import Location
from shroff.package import Bundle
from shroff.pipeline.progress import Progress, silent
from shroff.plain import require_replaceable

_PART_PAYMENTS: Final = 1 << 16
"""Payments whose decisions are in memory at once."""
_GIVEN: Final[Mapping[Later, str]] = {
    "label": "give the table that has them with --labels, or join it with the payments first "
    "(docs/howto/own-data.md)",
    "result": "join them with the payments first (docs/howto/own-data.md)",
}
_REASON: Final = pl.Struct({"code": pl.String, "feature": pl.String, "text": pl.String})


@dataclass(frozen=True, kw_only=True)
class ScoredLog:
    """What became of a log: its payments by action, and its unusable rows by reason.

    `unscored` payments got no number from the model, and the policy decided without one. `known`
    payments of the history were in the log too, and count once.
    """

    payments: int
    actions: Mapping[str, int]
    unscored: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()
    known: int = 0


def score_log(
    bundle: Bundle,
    data: str | os.PathLike[str],
    target: Path,
    *,
    key: bytes,
    memory: int,
    history: str | os.PathLike[str] | None = None,
    join: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    max_bad: float = 0.01,
    progress: Progress = silent,
    count: Count = uncounted,
) -> ScoredLog:
    """Score a raw log and write its decisions as Parquet, whole or not at all.

    A payment's features see those that arrived before it, in `history` or in the log itself, so its
    decision is the one that a service would have given which saw the same, and that accepts any
    lateness. The lists, costs and thresholds are those of the bundle. The log may lack what is
    known only later: labels and results.

    Args:
        data, history: a file, or the URL of a table in a database or service.
        join: a second table, joined with `data` on the column that the bundle's project named.
        labels: a table with the history of labels (`shroff.collect.labels`) of both.
        memory: about the bytes that the process may take, if the log is a Parquet file.
        count: called with the payments scored so far, and the number of all.

    Raises:
        BundleError: the model cannot score.
        ConfigurationError: a second table where the project joined none, or a table of labels where
            the schema does not say when they arrive.
        DataError: the log or the history is unusable.
        MixedCurrencies: its payments are in another currency than those that the bundle learned
            from.
        SourceUnavailable: a database or service does not answer, or breaks off.
    """
    require_replaceable(target)  # before the work, not after it
    plan, decider = Plan(bundle.groups, bundle.schema), scoring_decider(bundle)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".shroff-", dir=target.parent) as made:
        folder, rows = Path(made), slice_rows(plan, memory)

        def cleaned(
            source: str | os.PathLike[str],
            name: str,
            join: str | os.PathLike[str] | None = None,
        ) -> CleanFiles:
            progress(f"read and clean {source}")
            (folder / name).mkdir()
            on = None if join is None else bundle.joined_on
            with local_copies(bundle.schema, key=key, join=on, count=count) as local:
                table = local(source, alone=join is None)
                if on is not None:
                    table = _joined(bundle, table, local(join or ""), on, folder, max_bad)
                found = _clean_files(
                    table, plan, folder / name, key, rows, max_bad, labelled=labels is not None
                )
                found = found.with_findings(local.findings)
            _require_currency(bundle, found, str(source))
            return found

        log = cleaned(data, "log", join)
        before = None if history is None else cleaned(history, "history")
        past = [] if before is None else before.files
        strange, behind = (
            ({}, [])
            if labels is None
            else _with_labels([*past, *log.files], labels, bundle.schema, key, count)
        )
        kept = _without(past, [path for path, _ in log.files], bundle.schema.id)
        progress("compute features")
        slices = list(_slices([*kept, *log.files]))
        compute_slices(plan, slices, folder / "features", memory=memory)
        progress("decide")
        features, parts = scan(folder / "features"), folder / "parts"
        parts.mkdir()
        actions: Counter[str] = Counter()
        unscored = 0
        for piece in _pieces(slices[len(kept) :]):
            known = features.slice(piece.first, piece.rows).collect()
            decided = decide(decider, bundle, piece.table.collect(), known)
            actions.update(decided["action"])
            unscored += decided["probability"].null_count()
            decided.write_parquet(parts / f"{piece.first:015d}.parquet")
            count(actions.total(), log.payments)
        with written_whole(target) as file:
            pl.scan_parquet(sorted(parts.iterdir()), glob=False).sink_parquet(
                file, compression="zstd"
            )
        return ScoredLog(
            payments=log.payments,
            actions=dict(actions.most_common()),
            unscored=unscored,
            dropped=log.dropped | strange,
            first=log.first,
            notices=[
                *log.notices(bundle.schema),
                *([] if before is None else before.told),
                *behind,
            ],
            known=sum(many for _, many in past) - sum(many for _, many in kept),
        )


def columns_decided(schema: Schema) -> dict[str, pl.DataType]:
    """The columns of scored payments, with their types."""
    return {
        schema.id: pl.String(),
        schema.time: pl.Datetime("us", "UTC"),
        "action": pl.String(),
        "probability": pl.Float64(),
        "rules": pl.List(pl.String),
        "reasons": pl.List(_REASON),
        "model": pl.String(),
        "policy": pl.String(),
    }


def decide(
    decider: Decider, bundle: Bundle, frame: pl.DataFrame, features: pl.DataFrame
) -> pl.DataFrame:
    """The decisions on clean payments [n] with these features [n], row by row."""
    names = [name for name in features.columns if name != bundle.schema.id]
    values = [
        payment.values | known
        for payment, known in zip(
            payments(frame, bundle.schema),
            rows_of(features, names),
            strict=True,
        )
    ]
    assessed = list(decider.assess_all(values))
    types = columns_decided(bundle.schema)
    decided: dict[str, Any] = {
        "action": [one.verdict.action for one in assessed],
        "probability": [one.probability for one in assessed],
        "rules": [list(one.verdict.rules) for one in assessed],
        "reasons": [
            [{"code": why.code, "feature": why.feature, "text": why.text} for why in one.reasons]
            for one in assessed
        ],
    }
    columns = [pl.Series(name, each, dtype=types[name]) for name, each in decided.items()]
    return (
        frame.select(bundle.schema.id, bundle.schema.time)
        .hstack(columns)
        .with_columns(
            pl.lit(bundle.version).alias("model"), pl.lit(decider.policy_version).alias("policy")
        )
    )


def _joined(
    bundle: Bundle, facts: Location, statistics: Location, on: str, folder: Path, max_bad: float
) -> Location:
    """Two tables as one file."""
    dialect = bundle.schema.csv_dialect
    both = read_joined(facts, statistics, on=on, max_bad=max_bad, dialect=dialect)
    both.write_parquet(folder / "joined.parquet", compression="lz4", statistics=False)
    return Location(str(folder / "joined.parquet"), facts.shown)


def _with_labels(
    files: Sequence[tuple[Path, int]],
    labels: str | os.PathLike[str],
    schema: Schema,
    key: bytes,
    count: Count,
) -> tuple[dict[str, int], list[str]]:
    """Put a table of labels into clean files; which labels were left out, and notices."""
    with local_copies(schema, key=key, count=count) as local:
        table = LabelTable.read(local(labels), schema)
    ids = []
    for path, _ in files:
        frame = pl.read_parquet(path, glob=False)
        ids.append(frame[schema.id])
        of_these = table.labels.filter(pl.col(schema.id).is_in(ids[-1].implode()))
        with_labels(frame, of_these, schema).write_parquet(
            path, compression="lz4", statistics=False
        )
    return table.strange(ids), table.notices()


def _clean_files(
    source: Location,
    plan: Plan,
    folder: Path,
    key: bytes,
    rows: int,
    max_bad: float,
    *,
    labelled: bool,
) -> CleanFiles:
    """A raw table as clean files of at most so many rows, in order of arrival.

    Args:
        labelled: whether a table of its own has the labels.
    """
    schema = plan.schema
    elsewhere = {schema.label} if labelled else set()
    if os.fspath(source).lower().endswith(".parquet"):
        absent = schema.later.difference(scan(source).collect_schema())
        found = clean_large(
            source, schema, folder, key=key, rows=rows, max_bad=max_bad, absent=absent
        )
        return replace(found, told=_unknown(plan, absent - elsewhere, source))
    raw = read(source, dialect=schema.csv_dialect)
    absent = schema.later.difference(raw.columns)
    raw = with_absent(raw.lazy(), absent).collect()
    cleaned = clean(raw, schema, key=key, max_bad=max_bad, source=str(source))
    files = []
    for at in range(0, max(len(cleaned.frame), 1), rows):
        piece = cleaned.frame[at : at + rows]
        piece.write_parquet(folder / f"{at:015d}", compression="lz4", statistics=False)
        files.append((folder / f"{at:015d}", len(piece)))
    return CleanFiles(
        files=files,
        rows=cleaned.rows,
        dropped=cleaned.dropped,
        first=cleaned.first,
        alike=cleaned.alike,
        twice=cleaned.twice,
        told=_unknown(plan, absent - elsewhere, source),
    )


def _unknown(plan: Plan, absent: Collection[str], source: Location) -> list[str]:
    """Which features a log cannot feed, as it lacks the column of labels or of results."""
    columns: tuple[tuple[Later, str | None], ...] = (
        ("label", plan.schema.label), ("result", plan.schema.result),
    )  # fmt: skip
    return [
        f"{source} has no column `{column}`: no payment of it has a {later} for "
        f"{', '.join(f'`{name}`' for name in read)}. A service that gets {later}s decides "
        f"otherwise; {_GIVEN[later]}."
        for later, column in columns
        if column in absent and (read := plan.readers_of(later))
    ]


def _require_currency(bundle: Bundle, cleaned: CleanFiles, source: str) -> None:
    schema = bundle.schema
    if schema.currency is not None:
        codes = {
            code
            for path, _ in cleaned.files
            for code in codes_of(pl.read_parquet(path, columns=[schema.currency]), schema)
        }
        require_only(bundle.currency, codes, schema, source)


def _without(
    files: Sequence[tuple[Path, int]], others: Sequence[Path], identifier: str
) -> list[tuple[Path, int]]:
    """Files without the payments that other files have too."""
    if not files:
        return []
    column = [identifier]
    # hashes of ids take less memory than the ids
    hashes = pl.concat(pl.read_parquet(one, columns=column)[identifier].hash() for one in others)
    kept = []
    for path, rows in files:
        ids = pl.read_parquet(path, columns=column)[identifier]
        suspects = ids.filter(ids.hash().is_in(hashes.implode()))
        if not len(suspects):
            kept.append((path, rows))
            continue
        there = pl.concat(
            ids.filter(ids.is_in(suspects.implode()))
            for ids in (pl.read_parquet(one, columns=column)[identifier] for one in others)
        )
        frame = pl.read_parquet(path).filter(~pl.col(identifier).is_in(there.implode()))
        frame.write_parquet(path, compression="lz4", statistics=False)
        kept.append((path, len(frame)))
    return kept


def _slices(files: Sequence[tuple[Path, int]]) -> Iterator[Slice]:
    first = 0
    for path, rows in files:
        yield Slice(pl.scan_parquet(path, glob=False), first, rows)
        first += rows


def _pieces(slices: Sequence[Slice]) -> Iterator[Slice]:
    """Slices of at most `_PART_PAYMENTS` rows; at least one."""
    for piece in slices:
        for at in range(0, max(piece.rows, 1), _PART_PAYMENTS):
            rows = min(_PART_PAYMENTS, piece.rows - at)
            yield Slice(piece.table.slice(at, rows), piece.first + at, rows)
