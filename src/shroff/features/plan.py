"""The plan: what every engine computes for a list of features, checked against the schema once.

Features that count the same events share a `Stream` (one entity, one condition), and those over the same
window of it share a `Slot`, so that each event is added once per stream and expires once per slot. An
`Output` says how a feature's value follows from what its slots hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from shroff.collect import Schema
from shroff.collect.schema import Kind
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.expression import Expression, parse
from shroff.features.define import Aggregate, Calendar, Feature, FeatureGroup, Sql
from shroff.features.window import micros

T = TypeVar("T")
Later = Literal["result", "label"]
Formula = Literal["count", "total", "mean", "distinct", "seconds_since_last", "risk"]

PRESENT: Final = "\0present:"
"""Before a column's name: the number of its values, which is what a mean divides by."""


@dataclass(frozen=True)
class Window:
    """Bounds of a slot in microseconds (0: none) and whether the payment itself counts."""

    window: int
    delay: int
    resolution: int
    include_current: bool


@dataclass(eq=False)
class Slot:
    """One window of one stream and what is kept over it."""

    window: Window
    totals: list[int] = field(default_factory=list)
    distincts: list[int] = field(default_factory=list)
    last: bool = False


@dataclass(eq=False)
class Stream:
    """The events of one entity that pass one condition.

    `later` are the events that must have arrived, besides the payment, before it counts; `fraud` keeps only
    payments labelled fraud. `totals` and `distincts` are the columns that slots sum and count.
    """

    columns: tuple[str, ...]
    later: frozenset[Later]
    where: Expression | None
    fraud: bool
    slots: dict[Window, Slot] = field(default_factory=dict)
    totals: list[str] = field(default_factory=list)
    distincts: list[str] = field(default_factory=list)

    @property
    def horizon(self) -> int:
        """How far back any slot looks, in microseconds."""
        return max(w.window + w.delay + w.resolution for w in self.slots)


@dataclass(frozen=True)
class Output:
    """How an aggregate follows from its slot: `at` picks the total or distinct, `base` what it is divided by."""

    name: str
    formula: Formula
    stream: Stream
    slot: Slot
    at: int = 0
    base: tuple[Stream, Slot, int] | None = None


@dataclass(frozen=True)
class RowFeature:
    """A feature of the payment alone and of earlier features: an expression or a calendar part."""

    name: str
    source: Expression | Calendar
    kind: Kind


class Plan:
    """What to compute for these groups of features.

    Raises:
        ConfigurationError: a feature that would leak, or that does not fit the schema.
        UnknownColumn: a feature reads a column that the schema does not have.
    """

    def __init__(self, groups: Sequence[FeatureGroup], schema: Schema) -> None:
        self.groups = tuple(groups)
        self.schema = schema.with_keys(name for group in groups for name in group.key_columns)
        self.streams: list[Stream] = []
        self.outputs: list[Output] = []
        self.rows: list[RowFeature] = []
        self.kinds: dict[str, Kind] = {}
        for group in groups:
            for feature in group.definitions:
                self._add(feature)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in the order of definition."""
        return tuple(self.kinds)

    @property
    def later(self) -> frozenset[Later]:
        """The later events that some feature needs."""
        return frozenset().union(*(stream.later for stream in self.streams)) if self.streams else frozenset()

    def _add(self, feature: Feature) -> None:
        name = feature.name
        if name in self.kinds or name in self.schema.scales:
            what = "feature" if name in self.kinds else "column"
            raise ConfigurationError(f"there is a {what} `{name}` already; give the feature a `name=` of its own.")
        if isinstance(feature, Aggregate):
            self.outputs.append(self._output(feature))
            self.kinds[name] = "number"
        elif isinstance(feature, Sql):
            self._add_sql(feature)
        else:
            self.kinds[name] = "text" if feature.part in ("weekday", "part_of_day") else "number"
            self.rows.append(RowFeature(name, feature, self.kinds[name]))

    def _add_sql(self, feature: Sql) -> None:
        source = parse(feature.expression, {**self.schema.kinds, **self.kinds})
        for column in sorted(source.columns & self.schema.later):
            raise ConfigurationError(
                f"feature `{feature.name}` reads `{column}`, which is not known yet when a payment is judged."
            )
        self.kinds[feature.name] = "text" if source.kind == "text" else "number"
        self.rows.append(RowFeature(feature.name, source, source.kind))

    def _output(self, feature: Aggregate) -> Output:
        where = None if feature.where is None else parse(feature.where, self.schema.kinds)
        if where is not None and where.kind != "boolean":
            raise ConfigurationError(f"feature `{feature.name}`: where= is a {where.kind}; expected a condition.")
        window = Window(
            window=micros(feature.window),
            delay=micros(feature.delay) if feature.delay else 0,
            resolution=micros(feature.resolution) if feature.resolution else 0,
            include_current=feature.include_current,
        )
        stream, slot = self._slot(feature, window, where, fraud=False)
        if feature.function == "total":
            return Output(feature.name, "total", stream, slot, self._total(feature, stream, slot))
        if feature.function == "mean":
            at = self._total(feature, stream, slot)
            column = str(feature.column)
            if column == self.schema.amount:
                return Output(feature.name, "mean", stream, slot, at)
            present = _index(stream.totals, PRESENT + column)
            _index(slot.totals, present)
            return Output(feature.name, "mean", stream, slot, at, (stream, slot, present))
        if feature.function == "distinct":
            at = _index(stream.distincts, self._column(feature, ("key", "nominal", "personal", "currency")))
            _index(slot.distincts, at)
            return Output(feature.name, "distinct", stream, slot, at)
        if feature.function == "risk":
            frauds, fraud_slot = self._slot(feature, window, where, fraud=True)
            return Output(feature.name, "risk", frauds, fraud_slot, base=(stream, slot, 0))
        slot.last = slot.last or feature.function == "seconds_since_last"
        return Output(feature.name, feature.function, stream, slot)

    def _slot(
        self, feature: Aggregate, window: Window, where: Expression | None, *, fraud: bool
    ) -> tuple[Stream, Slot]:
        for column in feature.entity.key:
            self._column(feature, ("key", "nominal", "personal", "currency"), column)
        later = self._later(feature, where, fraud=fraud)
        for stream in self.streams:
            same = (stream.columns, stream.later, stream.fraud) == (feature.entity.key, later, fraud)
            if same and (stream.where and stream.where.sql) == (where and where.sql):
                break
        else:
            stream = Stream(feature.entity.key, later, where, fraud)
            self.streams.append(stream)
        return stream, stream.slots.setdefault(window, Slot(window))

    def _later(self, feature: Aggregate, where: Expression | None, *, fraud: bool) -> frozenset[Later]:
        schema = self.schema
        reads = where.columns if where else frozenset()
        later: set[Later] = set()
        if reads & {schema.result, schema.result_at} - {None}:
            later.add("result")
        if fraud or reads & {schema.label, schema.labelled_at} - {None}:
            later.add("label")
        if "label" in later and schema.label is None:
            raise ConfigurationError(f"feature `{feature.name}` needs labels, but the schema names no label column.")
        if "label" in later and schema.labelled_at is None and feature.delay is None:
            raise ConfigurationError(
                f"feature `{feature.name}` would see labels before anybody knew them: give it a delay, "
                "or say when labels arrived with Schema(labelled_at=…)."
            )
        if later and feature.include_current:
            raise ConfigurationError(
                f"feature `{feature.name}` counts the current payment, whose {' and '.join(sorted(later))} "
                "is not known yet; drop include_current."
            )
        return frozenset(later)

    def _total(self, feature: Aggregate, stream: Stream, slot: Slot) -> int:
        at = _index(stream.totals, self._column(feature, ("amount", "numeric")))
        _index(slot.totals, at)
        return at

    def _column(self, feature: Aggregate, scales: tuple[str, ...], column: str | None = None) -> str:
        name = column or str(feature.column)
        known = self.schema.scales
        if name not in known:
            raise UnknownColumn(f"feature `{feature.name}`: unknown column `{name}`{did_you_mean(name, known) or '.'}")
        if known[name] not in scales:
            raise ConfigurationError(
                f"feature `{feature.name}`: column `{name}` is {known[name]}; expected {' or '.join(scales)}."
            )
        return name


def _index(items: list[T], item: T) -> int:
    """Where an item is in the list, put at its end when it is new."""
    if item not in items:
        items.append(item)
    return items.index(item)
