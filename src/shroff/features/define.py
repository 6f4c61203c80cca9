"""Feature definitions: frozen values that know no engine.

An `Entity` is what history is kept by (a card, a merchant, a card at a merchant); its methods, in
`verbs`, say what to aggregate over which windows. `row` defines features of the payment alone, and
`group` has the `FeatureGroup`, which names and versions a list of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.features.aggregates import MILLIONTHS, RECIPES, STEPS_PER_HALF_LIFE, Function, Kind
from shroff.features.links import Links
from shroff.features.naming import slug
from shroff.features.typed import require_types
from shroff.features.verbs import Verbs, Windows
from shroff.features.window import micros

_MAX_N: Final = 1_000
"""The largest n of the nth latest payment."""


class Entity(Verbs["Aggregate"], msgspec.Struct, frozen=True):
    """What history is kept by: one key column, or several that identify it together.

    Every method gives one feature per window. A feature is null for a payment without the key, and
    where its description says so.

    Args:
        name: what it is called in the names of its features, such as `card`.
        columns: the key column, or several: a card at a merchant is `["card_id", "merchant_id"]`.

    Raises:
        ConfigurationError: a name that is no identifier, or no column.

    >>> Entity("card", "card_id").count(["1h", "1d"])[1].name
    'card_count_1d'
    """

    name: str
    columns: str | Sequence[str]

    def __post_init__(self) -> None:
        require_types(self)
        force_setattr(self, "columns", self.key)
        if not self.name.isidentifier() or not self.key:
            raise ConfigurationError(
                f"expected Entity(name, key columns) with a name such as `card`, got `{self.name}` "
                f"and {len(self.key)} columns."
            )

    @property
    def key(self) -> tuple[str, ...]:
        """The key columns."""
        return (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)

    def linked_by(
        self, column: str, windows: Windows, *, hops: int = 1, where: str | None = None
    ) -> Links:
        """Those that used one value of a column with this one, such as the cards of one host.

        With `hops=2` also those that share a value with them. A feature is what is asked of them:
        `count()`, `frauds()` or `distinct(column)`.

        >>> card = Entity("card", "card_id")
        >>> card.linked_by("host_id", "30d", hops=2).frauds()[0].name
        'card_linked_by_host_id_2_hops_frauds_30d'
        >>> card.linked_by("host_id", "7d", where="result = 'authorised'").count()[0].name
        'card_linked_by_host_id_count_7d_where_result_authorised'
        """
        return Links(self.name, self.key, column, windows, hops=hops, where=where)

    def _define(self, **settings: Any) -> Aggregate:
        return Aggregate(entity=self, **settings)


class Aggregate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag="aggregate",
    forbid_unknown_fields=True,
):
    """One aggregate of one entity over one window, as the methods of `Entity` make it.

    Args:
        entity: whose payments are read: those with the same key as this payment.
        function: what is computed from them.
        window: how far back it looks, up to this payment: a whole number with `s`, `m`, `h` or `d`,
            such as `30m` or `7d`. The methods take one window or a list of them, and give one
            feature for each.
        column: the column that is added up, counted, compared or looked up; of vectors their name,
            or that of a component.
        where: a SQL condition; only payments for which it is true are counted. It reads the columns
            of the payment that is counted; one on its result or label is true only once that has
            arrived.
        delay: shifts the window back by a duration: of `7d` with a delay of `7d`, the week before
            last counts. What reads labels waits so until they are known.
        resolution: rounds times down to a duration on both sides of the window, so that less must
            be kept of a busy key: over `30d` with a resolution of `1d` whole days count.
        include_current: whether the payment itself counts too; not together with `delay`.
        condition: the SQL condition that `share` is the share of.
        half_life: the age at which a payment counts half, a duration; a sixteenth of it is the
            resolution.
        n: which payment in the window it is of: 1 for the latest (of `first` the earliest), 2 for
            the one next to it …, at most 1,000.
        q: the share of values that `quantile` has at or below it, 0 to 1 with at most six decimals.
        prior: the share of fraud, 0 to 1, that `risk` starts from.
        weight: how many payments the prior counts as, 0 or more.
        name: the feature's name; by default it is computed from all of the above. For several
            windows, `{window}` in it stands for each.

    Raises:
        ConfigurationError: options that do not fit the function or each other.
        UnknownColumn: where the project is defined, the schema has no such column.
        InvalidExpression: where the project is defined, a condition does not parse or fit.
    """

    entity: Entity
    function: Function
    window: str
    column: str | None = None
    where: str | None = None
    delay: str | None = None
    resolution: str | None = None
    include_current: bool = False
    condition: str | None = None
    half_life: str | None = None
    prior: float = 0.0
    weight: float = 0.0
    name: str = ""
    n: int = 1
    q: float | None = None

    def __post_init__(self) -> None:
        require_types(self)
        for duration in (self.window, self.delay, self.resolution, self.half_life):
            if duration is not None:
                micros(duration)
        for sentence in self._misfits():
            raise ConfigurationError(f"{self._computed_name()}: {sentence}")
        if not self.name:
            force_setattr(self, "name", self._computed_name())

    @property
    def constants(self) -> tuple[float, ...]:
        """What the formula takes besides measures: of `risk`, prior and weight."""
        return (self.prior, self.weight) if self.function == "risk" else ()

    @property
    def grain(self) -> int:
        """The resolution in microseconds, 0 for none; decay brings its own."""
        if self.half_life is not None:
            return micros(self.half_life) // STEPS_PER_HALF_LIFE
        return micros(self.resolution) if self.resolution else 0

    def place(self, kind: Kind) -> int:
        """The event that a measure reads, from 1; of a quantile, the share in millionths."""
        if kind == "quantile":
            return round((0.5 if self.q is None else self.q) * MILLIONTHS)
        return self.n if kind != "time" else 1

    def _misfits(self) -> Iterable[str]:
        """A sentence for each option that does not fit the function or another option."""
        recipe = RECIPES[self.function]
        given: Mapping[str, object] = {
            "condition": self.condition,
            "half_life": self.half_life,
            "prior": self.prior,
            "weight": self.weight,
            "n": self.n - 1,
            "q": self.q,
        }
        if bool(recipe.column) != (self.column is not None):
            yield f"{self.function} takes {'a column' if recipe.column else 'no column'}."
        for option, value in given.items():
            if value and option not in recipe.options:
                yield f"{self.function} takes no {option}."
            if value is None and option in recipe.options:
                yield f"{self.function} needs {option}=."
        if not 1 <= self.n <= _MAX_N:
            yield f"expected n as a whole number from 1 to {_MAX_N:,}, got {self.n}."
        if self.q is not None and not (
            0.0 <= self.q <= 1.0 and abs(self.q * MILLIONTHS - self.place("quantile")) < 1e-6
        ):
            yield f"expected q as a share from 0 to 1 with at most six decimals, got {self.q}."
        if self.include_current and self.delay is not None:
            yield (
                "the current payment lies outside a delayed window; drop include_current or delay."
            )
        if self.include_current and recipe.not_current:
            yield f"{recipe.not_current}; drop include_current."
        if self.half_life and self.resolution:
            yield "a sixteenth of the half-life is its resolution already; drop resolution."
        if not (0.0 <= self.prior <= 1.0 and 0.0 <= self.weight < float("inf")):
            yield "expected a prior from 0 to 1 and a weight of at least 0 payments."
        if self.prior > 0.0 and self.weight == 0.0:
            yield (
                "a prior without a weight changes nothing: say how many payments it counts as, "
                "weight=."
            )

    def _computed_name(self) -> str:
        """The words of the definition, joined by underscores."""
        words = [
            self.entity.name,
            self.function,
            str(self.n) if self.n > 1 else "",
            "" if self.q is None else slug(f"{self.q:g}"),
            slug(self.condition or ""),
            re.sub(r"\[(\d+)\]$", r"_\1", self.column or ""),
            self.window,
        ]
        words += ["half_life", self.half_life] if self.half_life else []
        words += (
            ["prior", slug(f"{self.prior:g}"), "weight", slug(f"{self.weight:g}")]
            if self.weight
            else []
        )
        words += ["delay", self.delay] if self.delay else []
        words += ["resolution", self.resolution] if self.resolution else []
        words += ["with_current"] if self.include_current else []
        words += ["where", slug(self.where)] if self.where else []
        return "_".join(word for word in words if word)
