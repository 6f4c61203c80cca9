"""Links over a table in memory: the input of the compiled walk, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import cast

import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.features.engines.batch import grouping, link_kernel
from shroff.features.engines.batch.encoded_table import KEPT, KNOWN, NO_LIVES, EncodedTable
from shroff.features.engines.batch.grouping import Int, Int32
from shroff.features.engines.batch.link_kernel import Chain, Frauds, Linking
from shroff.features.streams import Input, LinkOutput, Stream
from shroff.features.window import END_OF_TIME_US

_NO_CODES = np.empty(0, np.int32)
_NO_FRAUDS = Frauds(*(np.empty(0, np.int64) for _ in range(4)))
_NO_CHAIN = link_kernel.chain(_NO_CODES, 0, _NO_CODES, 0, _NO_CODES, 0)


def linked(table: EncodedTable, outputs: Sequence[LinkOutput], pool: Executor) -> list[pl.Series]:
    """The features of what is linked, by row."""
    return list(pool.map(lambda output: _linked(table, output), outputs))


def _linked(table: EncodedTable, output: LinkOutput) -> pl.Series:
    link, window = output.link, output.values.slot.window.window
    columns, facts, fact = table.columns, _NO_CHAIN, output.fact
    frauds = _NO_FRAUDS if link.function != "frauds" else _frauds(table, cast(Input, fact))
    if link.column is not None:
        facts = _chain(table, link.key, link.column)
    found: Floats = np.empty(len(table.frame))
    link_kernel.walk(
        columns[table.schema.time],
        columns[link.key],
        columns[link.by],
        _ranks(table, link.by),
        _chain(table, link.key, link.by),
        _linking(table, output.values.stream),
        window,
        link.hops,
        frauds,
        facts,
        link.column is not None,
        found,
    )
    return pl.Series(output.name, found, nan_to_null=True)


def _linking(table: EncodedTable, stream: Stream) -> Linking:
    """The payments that meet the condition of what links."""
    if stream.where is None:
        everything = np.arange(len(table.frame), dtype=np.int32)
        return Linking(everything, everything)
    where = stream.where.sql
    rows = np.flatnonzero(table.columns[KEPT, where]).astype(np.int32)
    if (KNOWN, where) not in table.columns:
        return Linking(rows, rows)
    known = table.columns[KNOWN, where][rows]
    order = np.argsort(known, kind="stable")
    return Linking(rows[order], known[order])


def _chain(table: EncodedTable, one: str, other: str) -> Chain:
    codes = table.columns[one], table.columns[other]
    pair, pairs = grouping.factorise(grouping.pairs(*codes), (codes[0] >= 0) & (codes[1] >= 0))
    return link_kernel.chain(pair, pairs, codes[0], table.names[one], codes[1], table.names[other])


def _ranks(table: EncodedTable, name: str) -> Int32:
    """The place of each code's value among all, by code point."""
    codes, many = table.columns[name], table.names[name]
    rows = np.empty(many, np.int64)
    there = np.flatnonzero(codes >= 0)
    rows[codes[there]] = there
    ranks = np.empty(many, np.int32)
    ranks[table.frame[name].gather(rows).arg_sort().to_numpy()] = np.arange(many, dtype=np.int32)
    return ranks


def _frauds(table: EncodedTable, fact: Input) -> Frauds:
    """The payments of each card that are labelled as fraud, with who sees the label."""
    where = fact.stream.where.sql if fact.stream.where else ""
    lives = table.lives.get(where, NO_LIVES)
    kept = np.flatnonzero(table.columns[KEPT, where])
    rows: Int = np.concatenate((kept, lives.places))
    known = np.concatenate((table.columns[KNOWN, where][kept], lives.known)).astype(np.int64)
    gone = np.concatenate((np.full(len(kept), END_OF_TIME_US), lives.gone))
    (card,) = fact.stream.columns
    starts, places, _ = grouping.group(table.columns[card][rows], table.names[card])
    times = table.columns[table.schema.time][rows]
    return Frauds(starts, times[places], known[places], gone[places])
