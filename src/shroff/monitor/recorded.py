"""The ledger as a table: what the service saw, in its order, for batch code to verify."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import polars as pl

from shroff.collect import Schema
from shroff.collect.labels import HISTORY, SOURCE, with_labels, with_one_label
from shroff.collect.money import EXPONENT, minor_units
from shroff.collect.times import parse_time
from shroff.features.engines.batch import compute_plan
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.ledger import StoredEntry, unreadable
from shroff.monitor.parity import Parity, compare, explain
from shroff.package import Bundle
from shroff.scoring.start import stored_start

_MOMENT = pl.Datetime("us", "UTC")
_TYPES: Final[Mapping[str, type[pl.DataType]]] = {
    "time": pl.Int64,
    "amount": pl.Int64,
    "original": pl.Int64,
    "label": pl.Boolean,
    "numeric": pl.Float64,
}
"""How recorded values are kept, by their scale; others are text."""
_SLICE_ROWS: Final = 50_000
_Label = tuple[str, bool, int, str | None]
# column names that no payment has
_ARRIVED = {name: f"{name} (ledger)" for name in ("arrived_at", "result_at", "labelled_at")}


class _Decided(msgspec.Struct):
    model: str
    features: dict[str, Any]


_decode: Final = msgspec.json.Decoder(_Decided).decode


def ledger_parity(
    bundle: Bundle,
    entries: Iterable[StoredEntry],
    *,
    history: pl.DataFrame | None = None,
    own: bool = False,
    only: Collection[str] | None = None,
) -> Parity:
    """Recompute in batch the features that every recorded decision was made on, and compare.

    Args:
        history: the clean table that the service was started from, if it was: windows see it before
            the ledger.
        own: compare only what this very bundle decided.
        only: the ids of the payments that are compared; by default all.
    """
    plan = recorded_plan(bundle)
    identifier = plan.schema.id
    noted = _Noted(bundle.version if own else None, only)
    frame = recorded_payments(plan, noted.reading(entries))
    table = (
        frame
        if history is None
        else with_history(frame, history, bundle.schema, plan, noted.starts)
    )
    features = noted.features
    # without a state the policy decided, and no feature was computed
    asked = frame[identifier].is_in(
        [name for name, seen in features.items() if seen or not plan.names]
    )
    logged = [features[name] for name in frame[identifier].filter(asked)]
    columns = [
        pl.Series(
            name, [row[name] for row in logged], dtype=pl.String if kind == "text" else pl.Float64
        )
        for name, kind in plan.kinds.items()
    ]
    decided = pl.DataFrame([frame[identifier].filter(asked), *columns])
    again = compute_plan(plan, table)[len(table) - len(frame) :].filter(asked)
    found = replace(compare(again, decided, "batch", "as decided"), lacking=noted.lacking)
    return explain(found, table, plan)


class _Noted:
    """What is compared of records, noted while they are read: `features` by the ids of payments,
    `starts` of services, and how many payments are `lacking` since they were forgotten.

    Args:
        model: the version whose decisions count; None: all.
        only: the ids of the payments that count; None: all.
    """

    def __init__(self, model: str | None, only: Collection[str] | None) -> None:
        self._model, self._only = model, only
        self.features: dict[str, dict[str, Any]] = {}
        self.starts = list[StoredEntry]()
        self.lacking = 0

    def reading(self, entries: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
        for entry in entries:
            if entry.kind == "start":
                self.starts.append(entry)
            elif entry.kind == "payment" and entry.gone:
                self.lacking += 1
            elif self._counts(entry):
                record = _decode(entry.body)
                if self._model in (None, record.model):
                    self.features[entry.payment_id] = record.features
            yield entry

    def _counts(self, entry: StoredEntry) -> bool:
        asked = self._only is None or entry.payment_id in self._only
        return entry.kind == "payment" and entry.forgotten is None and asked


def with_history(
    frame: pl.DataFrame,
    history: pl.DataFrame,
    schema: Schema,
    plan: Plan,
    entries: Iterable[StoredEntry],
) -> pl.DataFrame:
    """Recorded payments after a clean history, without the payments in it that the ledger has too.

    Args:
        entries: of the ledger; its starts say how far the history had arrived for them.
    """
    recorded = plan.schema
    arrival = pl.col(schema.arrived_at or schema.time)
    moments = {
        recorded.arrived_at: arrival,
        recorded.result_at: pl.col(schema.result_at) if schema.result_at else arrival,
        recorded.labelled_at: pl.col(schema.labelled_at) if schema.labelled_at else arrival,
    }
    own = history.filter(~pl.col(schema.id).is_in(frame[schema.id].implode()))
    arrived = own.with_columns(
        moment.alias(name) for name, moment in moments.items() if name is not None
    )
    arrived = _as_known(arrived, str(recorded.arrived_at), entries)
    if HISTORY in frame.columns and HISTORY not in arrived.columns:
        arrived = with_one_label(arrived, recorded)
    return pl.concat([arrived.select(frame.columns), frame])


def _as_known(history: pl.DataFrame, arrival: str, entries: Iterable[StoredEntry]) -> pl.DataFrame:
    """Let history arrive with the first start that knew it, if earlier; drop what none knew."""
    starts, known = [], ""
    for entry in entries:
        start = stored_start(entry) if entry.kind == "start" else None
        if start is not None and start.known is not None and start.known > known:
            known = start.known
            starts.append((parse_time(known, None), entry.arrived))
    if not starts:
        return history
    columns = {"known (start)": pl.Int64, "arrived (start)": pl.Int64}
    moments = pl.DataFrame(starts, schema=columns, orient="row").cast(_MOMENT)
    found = history.sort(arrival, maintain_order=True).join_asof(
        moments, left_on=arrival, right_on="known (start)", strategy="forward"
    )
    arrived = pl.min_horizontal(arrival, "arrived (start)")
    return found.filter(pl.col("arrived (start)").is_not_null()).with_columns(
        arrived.alias(arrival)
    )


def recorded_plan(bundle: Bundle) -> Plan:
    """The bundle's features over the ledger's own arrivals."""
    return plan_over_ledger(bundle.groups, bundle.schema)


def plan_over_ledger(groups: Sequence[FeatureGroup], schema: Schema) -> Plan:
    """Features of a schema over the ledger's own arrivals."""
    arrivals = {"arrived_at": _ARRIVED["arrived_at"]}
    if schema.result is not None:
        arrivals["result_at"] = _ARRIVED["result_at"]
    if schema.label is not None:
        arrivals["labelled_at"] = _ARRIVED["labelled_at"]
    return Plan(groups, msgspec.structs.replace(schema, **arrivals))


def recorded_payments(plan: Plan, entries: Iterable[StoredEntry]) -> pl.DataFrame:
    """The ledger's payments as a clean table, with results and label histories by arrival."""
    schema = plan.schema
    rows, results, labels = _Rows(schema), _Results(schema), list[_Label]()
    for entry in entries:
        if entry.gone:
            continue
        body = msgspec.json.decode(entry.body)
        if entry.kind == "payment":
            rows.add(entry, body["payment"])
        elif entry.kind == "result":
            results.add(entry, body["value"])
        elif entry.kind == "label":
            labels.append((entry.payment_id, body["value"], entry.arrived, body.get("source")))
    frame = results.beside(rows.frame())
    return frame if schema.label is None else with_labels(frame, _labels(labels, schema), schema)


class _Rows:
    """Payments gathered into a table, a slice at a time: as Python's values they take many times
    the memory.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._types = {name: _TYPES.get(scale, pl.String) for name, scale in schema.scales.items()}
        self._slices = list[pl.DataFrame]()
        self._rows = list[dict[str | None, Any]]()

    def add(self, entry: StoredEntry, payment: dict[str, Any]) -> None:
        schema = self._schema
        own: dict[str | None, Any] = {
            schema.id: entry.payment_id,
            schema.amount: payment["minor"],
            schema.arrived_at: entry.arrived,
        }
        if schema.original is not None:
            own[schema.original] = _paid(entry, payment["values"], schema)
        self._rows.append(payment["values"] | own)
        if len(self._rows) == _SLICE_ROWS:
            self._close()

    def frame(self) -> pl.DataFrame:
        self._close()
        times = [name for name, scale in self._schema.scales.items() if scale == "time"]
        return pl.concat(self._slices).with_columns(pl.col(times).cast(_MOMENT))

    def _close(self) -> None:
        self._slices.append(pl.DataFrame(self._rows, schema=self._types))
        self._rows = []


class _Results:
    """The first result of each payment."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._found: dict[str, tuple[str | None, int]] = {}

    def add(self, entry: StoredEntry, value: str | None) -> None:
        self._found.setdefault(entry.payment_id, (value, entry.arrived))

    def beside(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The payments with their results, and when these arrived."""
        schema = self._schema
        if schema.result is None or not self._found:
            return frame
        name, moment = schema.result, str(schema.result_at)
        found = pl.DataFrame(
            {
                schema.id: list(self._found),
                name: [value for value, _ in self._found.values()],
                moment: [arrived for _, arrived in self._found.values()],
            },
            schema={schema.id: pl.String, name: pl.String, moment: pl.Int64},
        ).with_columns(pl.col(moment).cast(_MOMENT))
        return (
            frame.drop(name, moment)
            .join(found, on=schema.id, how="left", maintain_order="left")
            .select(frame.columns)
        )


def _labels(said: Sequence[_Label], schema: Schema) -> pl.DataFrame:
    names = {
        schema.id: pl.String,
        str(schema.label): pl.Boolean,
        str(schema.labelled_at): pl.Int64,
        SOURCE: pl.String,
    }
    return pl.DataFrame(said, schema=names, orient="row").with_columns(
        pl.col(str(schema.labelled_at)).cast(_MOMENT)
    )


def _paid(entry: StoredEntry, values: Mapping[str, Any], schema: Schema) -> int | None:
    """The amount paid, in minor units of its own currency: the base where none was converted."""
    # the ledger may be older than the schema's column of currencies
    currency = values.get(str(schema.currency)) or schema.default_currency
    if currency not in EXPONENT:
        raise unreadable(entry.seq, "holds a payment in no currency of ISO 4217")
    return minor_units(values.get(str(schema.original), values[schema.amount]), EXPONENT[currency])
