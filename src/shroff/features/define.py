"""Feature definitions: frozen values that know no engine.

An `Entity` is what history is kept by (a card, a merchant, a card at a merchant); its methods say what to
aggregate over which windows. `sql` is an expression over the payment and earlier features, `calendar` reads
the payment's local time. A `FeatureGroup` names and versions a list of them. Names are computed from the
definition, so two features with one name are one feature; `name=` overrides (with `{window}` in it where
several windows are asked for).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack

import msgspec
from msgspec.structs import force_setattr

from shroff.collect import Schema
from shroff.errors import ConfigurationError
from shroff.features.window import micros

Function = Literal["count", "total", "mean", "distinct", "seconds_since_last", "risk"]
CalendarPart = Literal["hour", "weekday", "part_of_day", "weekend", "night"]
CALENDAR_PARTS: Final[tuple[CalendarPart, ...]] = ("hour", "weekday", "part_of_day", "weekend", "night")


class Options(TypedDict, total=False):
    """What every aggregate can be told besides its windows."""

    where: str
    delay: str
    resolution: str
    include_current: bool
    name: str


class Entity(msgspec.Struct, frozen=True):
    """What history is kept by: one key column, or several that identify it together.

    >>> Entity("card", "card_id").count(["1h", "1d"])[1].name
    'card_count_1d'
    """

    name: str
    columns: str | Sequence[str]

    def __post_init__(self) -> None:
        force_setattr(self, "columns", self.key)
        if not self.name.isidentifier() or not self.key:
            raise ConfigurationError(
                f"expected Entity(name, key columns) with a name such as `card`, got `{self.name}` "
                f"and {len(self.key)} columns."
            )

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify one of these."""
        return (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)

    def count(self, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """How many payments."""
        return self._aggregate("count", None, windows, options)

    def total(self, column: str, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """The sum of a column (the amount, or a numeric one rounded to ten-thousandths), exact; 0 when empty."""
        return self._aggregate("total", column, windows, options)

    def mean(self, column: str, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """The exact total over the number of payments that have a value; null when there are none."""
        return self._aggregate("mean", column, windows, options)

    def distinct(self, column: str, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """How many different values of a column (null is no value)."""
        return self._aggregate("distinct", column, windows, options)

    def seconds_since_last(self, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """Seconds from the latest payment in the window to this one; null when there is none.

        Negative when this payment arrived late and a later one is already known.
        """
        return self._aggregate("seconds_since_last", None, windows, options)

    def risk(self, windows: str | Sequence[str], **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """Share of payments known as fraud: labels that have arrived over payments; 0 when there are none."""
        return self._aggregate("risk", None, windows, options)

    def _aggregate(
        self, function: Function, column: str | None, windows: str | Sequence[str], options: Options
    ) -> tuple[Aggregate, ...]:
        several = [windows] if isinstance(windows, str) else list(windows)
        settings: dict[str, Any] = dict(options)
        name = settings.pop("name", None)
        if name is not None and len(several) > 1 and "{window}" not in name:
            raise ConfigurationError(f"name `{name}` would name {len(several)} features: put `{{window}}` in it.")
        unknown = settings.keys() - Options.__annotations__.keys()
        if unknown:
            raise ConfigurationError(
                f"{self.name}.{function}: unknown option `{min(unknown)}`; "
                "there are where, delay, resolution, include_current, name."
            )
        return tuple(
            Aggregate(
                entity=self,
                function=function,
                column=column,
                window=window,
                name="" if name is None else name.replace("{window}", window),
                **settings,
            )
            for window in several
        )


class Aggregate(msgspec.Struct, frozen=True, kw_only=True, tag="aggregate", forbid_unknown_fields=True):
    """One aggregate of one entity over one window; see `shroff.features.window` for what the options mean.

    `where` keeps the events for which a SQL condition is true; `include_current` counts the payment itself too.
    """

    entity: Entity
    function: Function
    window: str
    column: str | None = None
    where: str | None = None
    delay: str | None = None
    resolution: str | None = None
    include_current: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        for duration in (self.window, self.delay, self.resolution):
            if duration is not None:
                micros(duration)
        if self.include_current and self.delay is not None:
            raise ConfigurationError(
                f"{self._computed_name()}: the current payment lies outside a delayed window; "
                "drop include_current or delay."
            )
        if not self.name:
            force_setattr(self, "name", self._computed_name())

    def _computed_name(self) -> str:
        parts = [self.entity.name, self.function, self.column, self.window]
        parts += ["delay", self.delay] if self.delay else []
        parts += ["resolution", self.resolution] if self.resolution else []
        parts += ["with_current"] if self.include_current else []
        parts += ["where", _slug(self.where)] if self.where else []
        return "_".join(part for part in parts if part)


class Sql(msgspec.Struct, frozen=True, tag="sql", forbid_unknown_fields=True):
    """A SQL expression over the payment's columns and the features before it."""

    name: str
    expression: str


class Calendar(msgspec.Struct, frozen=True, tag="calendar", forbid_unknown_fields=True):
    """A part of the payment's local time, in the schema's time zone.

    `hour` 0–23; `weekday` Monday … Sunday; `part_of_day` Night (0–5), Morning (6–11), Afternoon (12–17),
    Evening (18–23); `weekend` 1 on Saturday and Sunday; `night` 1 from 0 to 5 o'clock.
    """

    part: CalendarPart
    name: str = ""

    def __post_init__(self) -> None:
        if self.part not in CALENDAR_PARTS:
            raise ConfigurationError(f"expected calendar of {', '.join(CALENDAR_PARTS)}, got `{self.part}`.")
        if not self.name:
            force_setattr(self, "name", self.part)


Feature = Aggregate | Sql | Calendar


def sql(name: str, expression: str) -> Sql:
    """A feature from a SQL expression: a number, a text, or a condition (1.0 true, 0.0 false, null unknown).

    >>> sql("same_country", "request_country = account_country").name
    'same_country'
    """
    return Sql(name, expression)


def calendar(part: CalendarPart, *, name: str = "") -> Calendar:
    """A feature from the payment's local time.

    >>> calendar("weekday").name
    'weekday'
    """
    return Calendar(part, name)


class FeatureGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named, versioned list of features of one payment log.

    `of` is the schema of that log; it may be left out where a project gives it.

    Raises:
        ConfigurationError: two features with one name.
    """

    name: str
    features: Sequence[Feature | Sequence[Feature]]
    version: int = 1
    of: Schema | None = None
    description: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "features", self.definitions)
        seen: set[str] = set()
        for feature in self.definitions:
            if feature.name in seen:
                raise ConfigurationError(
                    f"feature group `{self.name}` has two features `{feature.name}`; give one of them a `name=`."
                )
            seen.add(feature.name)

    @property
    def definitions(self) -> tuple[Feature, ...]:
        """The features, one by one."""
        return tuple(_flat(self.features))

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Columns that features of this group identify things by: entity keys and counted values."""
        names: list[str] = []
        for feature in self.definitions:
            if isinstance(feature, Aggregate):
                names += feature.entity.key
                names += [feature.column] if feature.function == "distinct" and feature.column else []
        return tuple(dict.fromkeys(names))


def _flat(features: Iterable[Feature | Sequence[Feature]]) -> Iterable[Feature]:
    for feature in features:
        if isinstance(feature, Aggregate | Sql | Calendar):
            yield feature
        else:
            yield from feature


def _slug(condition: str) -> str:
    symbols = {"<=": " le ", ">=": " ge ", "<>": " ne ", "!=": " ne ", "<": " lt ", ">": " gt ", "=": " "}
    text = re.sub("<=|>=|<>|!=|<|>|=", lambda match: symbols[match[0]], condition.lower())
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")
