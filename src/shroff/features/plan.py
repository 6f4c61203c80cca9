"""The plan: streams, slots and outputs of a list of features, checked against the schema once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

import msgspec

from shroff.collect import Schema
from shroff.collect.currencies import require_one_currency
from shroff.collect.schema import Kind, Scale
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.expression import Expression, parse
from shroff.expression.budget import require_affordable, states_of
from shroff.features import aggregates
from shroff.features.aggregates import NAME_SCALES, RECIPES, Function
from shroff.features.define import Aggregate, Entity
from shroff.features.group import Feature, FeatureGroup
from shroff.features.links import LinkFeature
from shroff.features.row import Sql
from shroff.features.streams import (
    Input,
    Later,
    LinkOutput,
    Measure,
    Output,
    RowFeature,
    Slot,
    Stream,
)
from shroff.features.vectors import TokenTable, VectorScale
from shroff.features.window import Window, micros


class Plan:
    """The plan of these groups of features, under a schema.

    Raises:
        ConfigurationError: a feature that would leak, or that does not fit the schema.
        UnknownColumn: a feature reads a column that the schema does not have.
    """

    def __init__(self, groups: Sequence[FeatureGroup], schema: Schema) -> None:
        self.groups = tuple(groups)
        self.schema = schema.with_keys(name for group in groups for name in group.key_columns)
        self.streams: list[Stream] = []
        self.outputs: list[Output] = []
        self.links: list[LinkOutput] = []
        self.rows: list[RowFeature] = []
        self.kinds: dict[str, Kind] = {}
        self.vectors: dict[str, TokenTable] = {}
        """The vectors of tokens that features read, by name."""
        self._made_of = {
            name: table
            for group in groups
            for table in group.vectors
            for name in (table.name, *table.components)
        }
        for group in groups:
            for feature in group.definitions:
                self._add(feature)
        read = [stream.where for stream in self.streams] + [row.source for row in self.rows]
        self.conditions = [one for one in read if isinstance(one, Expression)]
        """The conditions of streams, and those that are features themselves."""
        trees = [one.tree for one in self.conditions]
        require_affordable("features", trees)
        self.states = states_of(trees)
        """The states of the automata that a payment meets in them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in the order of definition."""
        return tuple(self.kinds)

    def columns_of(self, names: Iterable[str]) -> set[str]:
        """The columns behind these names: themselves, or those of a vector or component."""
        made_of = self._made_of
        return {
            column
            for name in names
            for column in (made_of[name].columns if name in made_of else (name,))
        }

    @property
    def later(self) -> frozenset[Later]:
        """The later events that some feature needs."""
        return (
            frozenset().union(*(stream.later for stream in self.streams))
            if self.streams
            else frozenset()
        )

    def readers_of(self, later: Later) -> tuple[str, ...]:
        """The features that need these later events, in the order of definition."""
        read = {
            one.name
            for one in self.outputs
            if any(later in stream.later for stream, _, _ in one.inputs)
        }
        read |= {
            one.name
            for one in self.links
            if any(later in found[0].later for found in (one.values, one.cards, one.fact) if found)
        }
        return tuple(name for name in self.kinds if name in read)

    @property
    def reader_of_amounts(self) -> str | None:
        """A feature that adds or compares amounts; None if none does."""
        amount = self.schema.amount
        for output in self.outputs:
            for stream, _, measure in output.inputs:
                read = () if measure.column is None else (measure.column,)
                if amount in self.columns_of(
                    (*read, *(stream.where.columns if stream.where else ()))
                ):
                    return output.name
        sources = [(row, row.source) for row in self.rows if isinstance(row.source, Expression)]
        rows = [row for row, source in sources if amount in self.columns_of(source.columns)]
        return rows[0].name if rows else None

    @property
    def horizon(self) -> int:
        """How far back any window reaches, in microseconds; 0 where none does."""
        return max((stream.horizon for stream in self.streams), default=0)

    @property
    def digest(self) -> str:
        """A digest, 16 hexadecimal digits: plans with equal ones can share a state.

        >>> from shroff import Entity
        >>> schema, card = Schema(id="id", time="at", amount="eur"), Entity("card", "card_id")
        >>> one, other = (
        ...     FeatureGroup(name, [card.count("1d", name=name)]) for name in ("one", "other")
        ... )
        >>> Plan([one], schema).digest == Plan([other], schema).digest
        True
        """
        streams = [
            (
                stream.columns,
                stream.where and stream.where.sql,
                sorted(stream.later),
                stream.resolution,
                slots,
            )
            for stream in self.streams
            for slots in [
                [(*slot.window, *map(_digested, slot.measures)) for slot in stream.slots.values()]
            ]
        ]
        schema = self.schema
        labels = schema.label, schema.label_sources
        roles = (schema.time, schema.amount, schema.base, schema.result, labels, schema.scales)
        vectors = (
            [[(table.name, table.digest) for table in self.vectors.values()]]
            if self.vectors
            else []
        )
        return sha256(msgspec.json.encode((roles, streams, *vectors))).hexdigest()[:16]

    def require_one_currency(self, codes: Callable[[], Iterable[str]]) -> None:
        """Raise `MixedCurrencies` if a feature reads amounts of several currencies."""
        reader = self.reader_of_amounts
        require_one_currency(
            codes, self.schema, None if reader is None else f"the feature `{reader}`"
        )

    def _add(self, feature: Feature) -> None:
        name = feature.name
        if name in self.kinds or name in self.schema.scales:
            what = "feature" if name in self.kinds else "column"
            raise ConfigurationError(
                f"there is a {what} `{name}` already; give the feature a `name=` of its own."
            )
        if isinstance(feature, Aggregate):
            self.outputs.append(self._output(feature))
            self.kinds[name] = "number" if self.outputs[-1].text is None else "text"
        elif isinstance(feature, LinkFeature):
            self.links.append(self._link(feature))
            self.kinds[name] = "number"
        elif isinstance(feature, Sql):
            self._add_sql(feature)
        else:
            self.kinds[name] = "text" if feature.part in ("weekday", "part_of_day") else "number"
            self.rows.append(RowFeature(name, feature, self.kinds[name]))

    def _add_sql(self, feature: Sql) -> None:
        source = self._parse(
            feature.name,
            feature.expression,
            {**self._components, **self.schema.kinds, **self.kinds},
        )
        self._read_vectors(source.columns)
        for column in sorted(source.columns & self.schema.later):
            raise ConfigurationError(
                f"feature `{feature.name}` reads `{column}`, which is not known yet when a payment "
                "is judged."
            )
        self.kinds[feature.name] = "text" if source.kind == "text" else "number"
        self.rows.append(RowFeature(feature.name, source, source.kind))

    def _output(self, feature: Aggregate) -> Output:
        recipe = RECIPES[feature.function]
        for column in feature.entity.key:
            self._check(feature, column, NAME_SCALES)
        if feature.column is not None:
            self._check(feature, feature.column, recipe.column)
        inputs = [
            self._input(
                feature,
                Measure(kind, feature.column, feature.place(kind)),
                conditional=at < recipe.conditional,
            )
            for at, kind in enumerate(recipe.measures)
        ]
        text = (
            feature.column
            if recipe.picks and self.schema.scales[str(feature.column)] in NAME_SCALES
            else None
        )
        recipe = aggregates.recipe(feature.function, text=text is not None)
        return Output(feature.name, recipe, tuple(inputs), feature.constants, text)

    def _link(self, link: LinkFeature) -> LinkOutput:
        """What is kept for it: aggregates of those that are linked, and of what links them."""
        if link.function == "frauds" and self.schema.labelled_at is None:
            raise ConfigurationError(
                f"feature `{link.name}` would see labels before anybody knew them: say when labels "
                "arrived with Schema(labelled_at=…)."
            )

        def kept(key: str, function: Function, column: str | None = None) -> Input:
            entity, window = Entity(link.entity, key), link.window
            return self._output(
                Aggregate(
                    entity=entity,
                    function=function,
                    column=column,
                    window=window,
                    where=link.where,
                    name=link.name,
                )
            ).inputs[0]

        fact = None if link.function == "count" else kept(link.key, link.function, link.column)
        values = kept(link.key, "distinct", link.by)
        if "label" in values.stream.later:
            raise ConfigurationError(
                f"feature `{link.name}`: expected a condition that reads no label, as a link does "
                "not go when a label changes; `frauds()` counts what is labelled."
            )
        return LinkOutput(link.name, link, values, kept(link.by, "distinct", link.key), fact)

    def _input(self, feature: Aggregate, measure: Measure, *, conditional: bool) -> Input:
        if measure.kind == "present" and (
            measure.column == self.schema.amount or measure.column in self._made_of
        ):
            # every payment has an amount, and every payment has a vector
            measure = Measure("count")
        window = Window(
            window=micros(feature.window),
            delay=micros(feature.delay) if feature.delay else 0,
            resolution=feature.grain,
            include_current=feature.include_current,
        )
        stream = self._stream(feature, self._where(feature, conditional=conditional))
        if measure.column is not None:
            stream.reads |= self.columns_of([measure.column])
            self._read_vectors([measure.column])
        slot = stream.slots.setdefault(window, Slot(window))
        if measure not in slot.measures:
            slot.measures.append(measure)
        return Input(stream, slot, measure)

    def _where(self, feature: Aggregate, *, conditional: bool) -> Expression | None:
        conditions = [] if feature.where is None else [feature.where]
        if conditional:
            conditions.append(feature.condition or self._fraud(feature))
        for text in conditions:
            kind = self._parse(feature.name, text, self.schema.kinds).kind
            if kind != "boolean":
                raise ConfigurationError(
                    f"feature `{feature.name}`: `{text}` is a {kind}; expected a condition."
                )
        text = (
            " AND ".join(f"({text})" for text in conditions)
            if len(conditions) > 1
            else "".join(conditions)
        )
        return self._parse(feature.name, text, self.schema.kinds) if text else None

    def _fraud(self, feature: Aggregate) -> str:
        if self.schema.label is None:
            raise ConfigurationError(
                f"feature `{feature.name}` needs labels, but the schema names no label column."
            )
        return '"' + self.schema.label.replace('"', '""') + '"'

    def _parse(self, name: str, text: str, columns: dict[str, Kind]) -> Expression:
        schema = self.schema
        expression = parse(text, columns)
        for column in (schema.id, schema.arrived_at, schema.result_at, schema.labelled_at):
            if column in expression.columns:
                raise ConfigurationError(
                    f"feature `{name}` reads `{column}`, which says which payment it is or when "
                    "something became known; a condition reads what a payment says."
                )
        return expression

    def _stream(self, feature: Aggregate, where: Expression | None) -> Stream:
        later = self._later(feature, where)
        for stream in self.streams:
            if (stream.columns, stream.resolution) == (feature.entity.key, feature.grain) and (
                (stream.where and stream.where.sql) == (where and where.sql)
            ):
                return stream
        self.streams.append(Stream(feature.entity.key, where, later, feature.grain))
        return self.streams[-1]

    def _later(self, feature: Aggregate, where: Expression | None) -> frozenset[Later]:
        schema = self.schema
        columns: dict[Later, str | None] = {"result": schema.result, "label": schema.label}
        later = frozenset(
            kind for kind, column in columns.items() if where and column in where.columns
        )
        if "label" in later and schema.labelled_at is None and feature.delay is None:
            raise ConfigurationError(
                f"feature `{feature.name}` would see labels before anybody knew them: give it a "
                "delay, or say when labels arrived with Schema(labelled_at=…)."
            )
        if later and feature.include_current:
            raise ConfigurationError(
                f"feature `{feature.name}` counts the current payment, whose "
                f"{' and '.join(sorted(later))} is not known yet; drop include_current."
            )
        return later

    @property
    def _components(self) -> dict[str, Kind]:
        return {name: "number" for name, table in self._made_of.items() if name != table.name}

    def _read_vectors(self, names: Iterable[str]) -> None:
        """Add the vectors among these names to those that are read."""
        for table in [self._made_of[name] for name in names if name in self._made_of]:
            for column in table.columns:
                if column not in self.schema.scales:
                    hint = did_you_mean(column, self.schema.scales) or "."
                    raise UnknownColumn(f"vectors `{table.name}`: unknown column `{column}`{hint}")
            self.vectors[table.name] = table

    def _check(
        self, feature: Aggregate, column: str, scales: tuple[Scale | VectorScale, ...]
    ) -> None:
        known: dict[str, Scale | VectorScale] = dict(self.schema.scales)
        known |= {
            name: "vector" if name == table.name else "component"
            for name, table in self._made_of.items()
        }
        if column not in known and scales in (("component",), ("vector",)):
            name = column.partition("[")[0]
            raise UnknownColumn(
                f"feature `{feature.name}`: unknown vectors `{name}`: name them in "
                "Project(vectors=[…])."
            )
        if column not in known:
            raise UnknownColumn(
                f"feature `{feature.name}`: unknown column "
                f"`{column}`{did_you_mean(column, known) or '.'}"
            )
        if known[column] not in scales:
            raise ConfigurationError(
                f"feature `{feature.name}`: column `{column}` is {known[column]}; expected "
                f"{' or '.join(scales)}."
            )


def _digested(measure: Measure) -> Sequence[str | int | None]:
    """A measure as the digest has it: without `at` where that is 1, as older digests are."""
    return measure if measure.at != 1 else measure[:2]
