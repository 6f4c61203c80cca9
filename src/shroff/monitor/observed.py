"""What a model decided, or would have decided, in columns: what monitoring counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec
import polars as pl

from shroff.collect.payment import Value, payments, rows_of
from shroff.decide import LaneDecision
from shroff.decide.decider import scoring_decider
from shroff.errors import ConfigurationError
from shroff.evaluate.reference import PROBABILITY, TrainingReference
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan
from shroff.ledger import Head, StoredEntry
from shroff.ledger.archive import GENESIS_HEAD
from shroff.ledger.labels import UNKEYED, Labelled, history, verdict
from shroff.package import Bundle

DECIDED: Final = {
    "arrived": pl.Int64,
    "card": pl.String,
    "amount": pl.Float64,
    "action": pl.String,
    PROBABILITY: pl.Float64,
    "fraud": pl.Boolean,
    "labelled": pl.Int64,
    "policy": pl.String,
}
"""The columns of decisions; `arrived` and `labelled` are microseconds since the epoch. `labelled`
says since when labels have said what the one that stands says, `action` what was done, `policy` the
version of a published policy, null where the model's own decided.
"""
LANED: Final = {
    "decided": pl.String,
    "propensity": pl.Float64,
    "taken": pl.Boolean,
    "kept": pl.String,
}
"""What a control lane did, null where there was none: what the policy had `decided`, with which
`propensity` the lane took it, whether it was `taken`, and why it had no chance (`kept`).
"""
LABELS: Final = {"row": pl.Int64, "source": pl.String, "at": pl.Int64}
"""The columns of labels: the row of their payment, whose label, its arrival."""
_PART_PAYMENTS: Final = 50_000
_MAX_PARTS: Final = 100
"""Each look at a ledger adds parts of a table, and many small ones are slow to go through."""
_LOG: Final = "log"
"""The source of the labels of a log."""

Row = Mapping[str, Value]


class DecidedPayments(NamedTuple):
    """Payments that a model decided, in their order.

    Attributes:
        decisions: a row per payment, by `DECIDED` and `LANED`; `fraud` is the label that
            stands, or null.
        inputs: what the model read of each, a column for each of the reference.
        others: how many payments another model decided; they are left out.
        labels: the first label of each payment by each source, by `LABELS`.
    """

    decisions: pl.DataFrame
    inputs: pl.DataFrame
    others: int
    labels: pl.DataFrame = pl.DataFrame(schema=LABELS)


class _Decision(msgspec.Struct):
    """What is read of a payment's record."""

    payment: _Values
    features: dict[str, Value]
    probability: float | None
    action: str
    model: str
    policy: str | None = None
    lane: LaneDecision | None = None


class _Values(msgspec.Struct):
    values: dict[str, Value]


_decode: Final = msgspec.json.Decoder(_Decision).decode


def from_ledger(bundle: Bundle, entries: Iterable[StoredEntry]) -> DecidedPayments:
    """The decisions of a model, by the ledger's entries.

    Raises:
        ConfigurationError: the bundle keeps no reference.
    """
    found = LedgerDecisions(bundle)
    found.take(entries)
    return found.observed()


class LedgerDecisions:
    """The decisions of a model in a ledger, whose entries may come bit by bit.

    Raises:
        ConfigurationError: the bundle keeps no reference.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.last = GENESIS_HEAD
        """The record up to which it has all."""
        self._version, self._rank = bundle.version, bundle.schema.label_rank
        self._columns = _Columns(bundle)
        self._ids = list[str]()
        self._labels: dict[str, list[StoredEntry]] = {}
        self._others = 0

    def take(self, entries: Iterable[StoredEntry]) -> None:
        """Add the entries that come after `last`; where reading them fails, those before stay."""
        rest = iter(entries)
        while part := list(islice(rest, _PART_PAYMENTS)):
            decided = [
                (entry, _decode(entry.body))
                for entry in part
                if entry.kind == "payment" and entry.forgotten is None
            ]
            own = [(entry, record) for entry, record in decided if record.model == self._version]
            if own:
                self._columns.add(
                    [_Made(entry.arrived, *_how(record)) for entry, record in own],
                    [record.payment.values | record.features for _, record in own],
                )
            self._ids += [entry.payment_id for entry, _ in own]
            self._others += len(decided) - len(own)
            for entry in part:
                if entry.kind == "label":
                    self._labels.setdefault(entry.payment_id, []).append(entry)
            self.last = Head(part[-1].seq, part[-1].chain)

    def observed(self) -> DecidedPayments:
        """All that was taken, with the labels that stand now."""
        said = [history(self._labels.get(name, ())) for name in self._ids]
        stands = [verdict(one, self._rank) for one in said]
        return self._columns.observed(
            [None if one is None else one.fraud for one in stands],
            [None if one is None else one.since for one in stands],
            self._others,
            _first_labels(said),
        )


def _how(
    record: _Decision,
) -> tuple[str, float | None, str | None, LaneDecision | None]:
    policy = None if record.policy in (None, record.model) else record.policy
    return record.action, record.probability, policy, record.lane


def _first_labels(said: Sequence[Sequence[Labelled]]) -> pl.DataFrame:
    """The first label of each payment by each source."""
    rows = [
        (row, one.record.source or UNKEYED, one.arrived)
        for row, labels in enumerate(said)
        for one in labels
    ]
    table = pl.DataFrame(rows, schema=LABELS, orient="row")
    return table.unique(["row", "source"], keep="first", maintain_order=True)


def from_log(bundle: Bundle, frame: pl.DataFrame, *, since: int) -> DecidedPayments:
    """What a model decides on the payments of a clean log that arrived from `since` on (µs since
    the epoch), by its own policy; earlier payments are history.

    Raises:
        ConfigurationError: the bundle keeps no reference.
        BundleError: its model cannot be loaded.
    """
    columns, decider, schema = _Columns(bundle), scoring_decider(bundle), bundle.schema
    plan = Plan(bundle.groups, schema)
    judged = frame[schema.arrived_at or schema.time].dt.epoch("us") >= since
    features = rows_of(compute_plan(plan, frame).filter(judged), plan.names)
    frame = frame.filter(judged)
    rest = zip(payments(frame, schema), features, strict=True)
    while part := list(islice(rest, _PART_PAYMENTS)):
        rows = [payment.values | known for payment, known in part]
        assessed = decider.assess_all(rows, explain=False)
        columns.add(
            [
                _Made(payment.arrived, one.verdict.action, one.probability)
                for (payment, _), one in zip(part, assessed, strict=True)
            ],
            rows,
        )
    label = schema.label
    known = None if schema.labelled_at is None else frame[schema.labelled_at].dt.epoch("us")
    at: list[int | None] = [None] * len(frame) if known is None else known.to_list()
    labels = pl.DataFrame({"at": at}, schema={"at": pl.Int64}).with_row_index("row")
    return columns.observed(
        frame[label].to_list() if label else [None] * len(frame),
        at,
        labels=labels.drop_nulls("at").select(
            pl.col("row").cast(pl.Int64), pl.lit(_LOG).alias("source"), "at"
        ),
    )


class _Made(NamedTuple):
    """A decision: when, what, how probable a fraud, by which published policy, and its lane."""

    arrived: int
    action: str
    probability: float | None
    policy: str | None = None
    lane: LaneDecision | None = None


class _Columns:
    """Collects decisions and inputs, part by part."""

    def __init__(self, bundle: Bundle) -> None:
        self._types = {
            one.bins.name: pl.Float64 if one.bins.edges else pl.String
            for one in reference_of(bundle).columns
            if one.bins.name != PROBABILITY
        }
        self._card, self._amount = bundle.card_column, bundle.schema.amount
        self._decided = [pl.DataFrame(schema=DECIDED | LANED)]
        self._inputs = [pl.DataFrame(schema=self._types)]

    def add(self, decided: Sequence[_Made], rows: Sequence[Row]) -> None:
        """Add payments: how each was decided, and its values and features."""
        told = [
            (
                one.arrived,
                _text(row.get(self._card)) if self._card else None,
                row.get(self._amount),
                one.action,
                one.probability,
                None,
                None,
                one.policy,
                *_of_lane(one.lane),
            )
            for one, row in zip(decided, rows, strict=True)
        ]
        self._decided.append(pl.DataFrame(told, schema=DECIDED | LANED, orient="row"))
        self._inputs.append(
            pl.DataFrame(
                pl.Series(
                    name,
                    [row.get(name) if kind is pl.Float64 else _text(row.get(name)) for row in rows],
                    dtype=kind,
                    strict=False,
                )
                for name, kind in self._types.items()
            )
        )

    def observed(
        self,
        fraud: list[bool | None],
        labelled: list[int | None],
        others: int = 0,
        labels: pl.DataFrame | None = None,
    ) -> DecidedPayments:
        """All that was added, with what the labels that stand say, and since when."""
        self._decided, self._inputs = [_joined(self._decided)], [_joined(self._inputs)]
        decisions = self._decided[0].with_columns(
            pl.Series("fraud", fraud, dtype=pl.Boolean),
            pl.Series("labelled", labelled, dtype=pl.Int64),
        )
        known = pl.DataFrame(schema=LABELS) if labels is None else labels
        return DecidedPayments(decisions, self._inputs[0], others, known)


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    table = pl.concat(parts)
    return table.rechunk() if table.n_chunks() > _MAX_PARTS else table


def reference_of(bundle: Bundle) -> TrainingReference:
    """The bundle's reference.

    Raises:
        ConfigurationError: an earlier release made the bundle, without one.
    """
    if bundle.reference is None:
        raise ConfigurationError(
            f"expected a bundle that keeps what training saw, got one of an earlier release "
            f"({bundle.version}): train it again with this one."
        )
    return bundle.reference


def _of_lane(lane: LaneDecision | None) -> tuple[Value, ...]:
    if lane is None:
        return None, None, None, None
    return lane.decided, lane.propensity, lane.drawn, lane.kept


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
