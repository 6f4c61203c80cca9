"""What a model decided, or would have decided, in columns: what monitoring counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from shroff.ledger import StoredEntry
from shroff.ledger.labels import Labelled, history, standing
from shroff.package import Bundle

DECIDED: Final = {
    "arrived": pl.Int64,
    "card": pl.String,
    "amount": pl.Float64,
    "action": pl.String,
    PROBABILITY: pl.Float64,
    "fraud": pl.Boolean,
    "labelled": pl.Int64,
}
"""The columns of decisions; `arrived` and `labelled` are microseconds since the epoch, `action` is
what was done.
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
_PART_PAYMENTS: Final = 50_000

Row = Mapping[str, Value]


class DecidedPayments(NamedTuple):
    """Payments that a model decided, in their order.

    Attributes:
        decisions: a row per payment, by `DECIDED` and `LANED`; `fraud` is the label that
            stands, or null.
        inputs: what the model read of each, a column for each of the reference.
        others: how many payments another model decided; they are left out.
    """

    decisions: pl.DataFrame
    inputs: pl.DataFrame
    others: int


class _Decision(msgspec.Struct):
    """What is read of a payment's record."""

    payment: _Values
    features: dict[str, Value]
    probability: float | None
    action: str
    model: str
    lane: LaneDecision | None = None


class _Values(msgspec.Struct):
    values: dict[str, Value]


_decode: Final = msgspec.json.Decoder(_Decision).decode


def from_ledger(bundle: Bundle, entries: Iterable[StoredEntry]) -> DecidedPayments:
    """The decisions of a model, by the ledger's entries.

    Raises:
        ConfigurationError: the bundle keeps no reference.
    """
    labels: dict[str, list[StoredEntry]] = {}
    others = 0

    def own() -> Iterator[tuple[StoredEntry, _Decision]]:
        nonlocal others
        for entry in entries:
            if entry.kind == "label":
                labels.setdefault(entry.payment_id, []).append(entry)
            elif entry.kind == "payment" and entry.forgotten is None:
                record = _decode(entry.body)
                if record.model == bundle.version:
                    yield entry, record
                else:
                    others += 1

    columns = _Columns(bundle)
    ids, rest = list[str](), own()
    while part := list(islice(rest, _PART_PAYMENTS)):
        ids += [entry.payment_id for entry, _ in part]
        columns.add(
            [
                (entry.arrived, record.action, record.probability, record.lane)
                for entry, record in part
            ],
            [record.payment.values | record.features for _, record in part],
        )
    stands = [_standing(labels.get(name, ()), bundle) for name in ids]
    return columns.observed(
        [None if one is None else one.record.value is True for one in stands],
        [None if one is None else one.arrived for one in stands],
        others,
    )


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
                (payment.arrived, one.verdict.action, one.probability, None)
                for (payment, _), one in zip(part, assessed, strict=True)
            ],
            rows,
        )
    label = schema.label
    at = None if schema.labelled_at is None else frame[schema.labelled_at].dt.epoch("us")
    return columns.observed(
        frame[label].to_list() if label else [None] * len(frame),
        at.to_list() if at is not None else [None] * len(frame),
    )


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

    def add(
        self,
        decided: Sequence[tuple[int, str, float | None, LaneDecision | None]],
        rows: Sequence[Row],
    ) -> None:
        """Add payments: arrival, action, probability and lane of each, its values and features."""
        told = [
            (
                arrived,
                _text(row.get(self._card)) if self._card else None,
                row.get(self._amount),
                action,
                probability,
                None,
                None,
                *_of_lane(lane),
            )
            for (arrived, action, probability, lane), row in zip(decided, rows, strict=True)
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
        self, fraud: list[bool | None], labelled: list[int | None], others: int = 0
    ) -> DecidedPayments:
        """All that was added, with the labels that stand and their arrivals."""
        decisions = pl.concat(self._decided).with_columns(
            pl.Series("fraud", fraud, dtype=pl.Boolean),
            pl.Series("labelled", labelled, dtype=pl.Int64),
        )
        return DecidedPayments(decisions, pl.concat(self._inputs), others)


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


def _standing(entries: Iterable[StoredEntry], bundle: Bundle) -> Labelled | None:
    return standing(history(entries), bundle.schema.label_rank)


def _of_lane(lane: LaneDecision | None) -> tuple[Value, ...]:
    if lane is None:
        return None, None, None, None
    return lane.decided, lane.propensity, lane.drawn, lane.kept


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
