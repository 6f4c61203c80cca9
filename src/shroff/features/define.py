"""Feature definitions: frozen values that know no engine.

An `Entity` is what history is kept by (a card, a merchant, a card at a merchant); its methods say
what to aggregate over which windows. `row` defines features of the payment alone, and a
`FeatureGroup`, in `group`, names and versions a list of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.features.aggregates import MILLION, RECIPES, STEPS, Function, Kind
from shroff.features.typed import require_types
from shroff.features.vectors import VectorSpace, component
from shroff.features.window import micros

Windows = str | Sequence[str]

_MAX_N: Final = 1_000
"""The largest n of the nth latest payment."""


class Options(TypedDict, total=False):
    """What every aggregate can be told besides its windows."""

    where: str
    delay: str
    resolution: str
    include_current: bool
    name: str


class Entity(msgspec.Struct, frozen=True):
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
        """The columns that identify one of these."""
        return (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)

    def count(self, windows: Windows, **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """How many payments."""
        return self._each("count", windows, options)

    def share(
        self, condition: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """Share of payments for which a SQL condition is true; null when there are none.

        Payments whose result or label the condition needs and that has not arrived count as not
        meeting it.

        >>> Entity("card", "card_id").share("result = 'failed'", "1d")[0].name
        'card_share_result_failed_1d'
        """
        return self._each("share", windows, options, condition=condition)

    def frauds(self, windows: Windows, **options: Unpack[Options]) -> tuple[Aggregate, ...]:
        """How many payments are known as fraud: labels that have arrived."""
        return self._each("frauds", windows, options)

    def risk(
        self,
        windows: Windows,
        *,
        prior: float = 0.0,
        weight: float = 0.0,
        **options: Unpack[Options],
    ) -> tuple[Aggregate, ...]:
        """Share of payments known as fraud: labels that have arrived over payments; 0 when there
        are none.

        With a `prior` share that counts as much as `weight` payments, it is (frauds + prior ·
        weight) over (payments + weight): few payments then say little, none say `prior` (additive
        smoothing).
        """
        return self._each("risk", windows, options, prior=prior, weight=weight)

    def total(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The sum of a column (the amount, or a numeric one rounded to ten-thousandths), exact; 0
        when empty.

        However many values there are, no sum overflows. The largest amount that is taken is 10¹⁴; a
        numeric value beyond ±10¹⁴ counts as that.
        """
        return self._each("total", windows, options, column=column)

    def mean(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The exact total over the number of payments that have a value; null when there are
        none.
        """
        return self._each("mean", windows, options, column=column)

    def std(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The standard deviation of the values there are (of the population: over n); null when
        there are none.

        Squares are summed as whole numbers of any length, so nothing cancels or overflows, in
        whatever order.
        """
        return self._each("std", windows, options, column=column)

    def min(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The smallest value, in ten-thousandths as `total`; null when there are none."""
        return self._each("min", windows, options, column=column)

    def max(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The largest value, in ten-thousandths as `total`; null when there are none."""
        return self._each("max", windows, options, column=column)

    def distinct(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """How many different values of a column (null is no value)."""
        return self._each("distinct", windows, options, column=column)

    def is_new(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """1 when no payment in the window has this payment's value of a column, else 0; null
        without a value.

        >>> Entity("card", "card_id").is_new("host_id", "30d")[0].name
        'card_is_new_host_id_30d'
        """
        return self._each("is_new", windows, options, column=column)

    def entropy(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """Shannon's entropy of a column's values, in nats: −Σ p ln p; 0 for one value, null for
        none.

        Logarithms are summed as whole numbers of 2⁻³², so the order does not matter; exact to a
        billionth.
        """
        return self._each("entropy", windows, options, column=column)

    def top_share(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """Share of the commonest value among those of a column; null when there are none."""
        return self._each("top_share", windows, options, column=column)

    def seconds_since_first(
        self, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """Seconds from the earliest payment in the window to this one; null when there is none."""
        return self._each("seconds_since_first", windows, options)

    def seconds_since_last(
        self, windows: Windows, *, n: int = 1, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """Seconds from the latest payment in the window to this one, or from the nth latest; null
        when there is none.

        Negative when this payment arrived late and a later one is already known.
        """
        return self._each("seconds_since_last", windows, options, n=n)

    def last(
        self, column: str, windows: Windows, *, n: int = 1, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """What the latest payment in the window says in a column, or the nth latest; null when it
        says nothing.

        Payments are in order of time, those of one moment in order of arrival (under a condition on
        results or labels, of theirs). The values of one `n` in several columns are of one payment,
        and so is `seconds_since_last`. For the latest payment that has a value, write
        `where="column IS NOT NULL"`. It is a text for a column of names.

        >>> [
        ...     feature.name
        ...     for n in (1, 2)
        ...     for feature in Entity("card", "card_id").last("mcc", "30d", n=n)
        ... ]
        ['card_last_mcc_30d', 'card_last_2_mcc_30d']
        """
        return self._each("last", windows, options, column=column, n=n)

    def first(
        self, column: str, windows: Windows, *, n: int = 1, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """What the earliest payment in the window says in a column, or the nth earliest, as
        `last`.
        """
        return self._each("first", windows, options, column=column, n=n)

    def quantile(
        self, column: str, windows: Windows, *, q: float, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The smallest value such that a share `q` of the values is not above it; null when there
        are none.

        It is always one of the values, and so exact: the inverse of the distribution function, type
        1 of Hyndman and Fan (1996). `q=0` is the smallest value, `q=1` the largest. In
        ten-thousandths as `total`.

        >>> Entity("card", "card_id").quantile("amount", "30d", q=0.95)[0].name
        'card_quantile_0_95_amount_30d'
        """
        return self._each("quantile", windows, options, column=column, q=q)

    def median(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The middle value, of two in the middle the smaller: `quantile` of one half; null when
        there are none.
        """
        return self._each("median", windows, options, column=column)

    def mode(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The commonest value of a column; null when there are none.

        Of several that are as common it is the smallest, of texts the first by code point.
        """
        return self._each("mode", windows, options, column=column)

    def decayed_count(
        self, windows: Windows, *, half_life: str, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """How many payments, one counting half as much for every half-life of its age.

        Time goes in sixteenths of the half-life, for ages and for the window's edges (they are its
        resolution): the weight is 2^(−steps/16). Payments of one step are summed as a whole number,
        and the steps in order of time, so that every engine rounds alike. Past 64 half-lives the
        weight is zero.
        """
        return self._each("decayed_count", windows, options, half_life=half_life)

    def decayed_total(
        self, column: str, windows: Windows, *, half_life: str, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The sum of a column, weighted as in `decayed_count`."""
        return self._each("decayed_total", windows, options, column=column, half_life=half_life)

    def habit(
        self, vectors: VectorSpace, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """The mean vector of payments, by window a feature for each component; null when there are
        none.

        >>> from shroff.embed import Vectors
        >>> card = Entity("card", "card_id")
        >>> shops = Vectors(name="shops", entity=card, tokens=["mcc"], dimensions=2)
        >>> [feature.name for feature in card.habit(shops, "30d")]
        ['card_habit_shops_1_30d', 'card_habit_shops_2_30d']
        """
        _require_vectors("habit", vectors)
        name = _name_in(options)
        if name and "{component}" not in name:
            raise ConfigurationError(
                f"name `{name}` would name {vectors.dimensions} features: put `{{component}}` in "
                "it."
            )
        each = []
        for at in range(1, vectors.dimensions + 1):
            own: Options = {**options, "name": name.replace("{component}", str(at))}
            each.append(self._each("habit", windows, own, column=component(vectors.name, at)))
        return tuple(feature for window in zip(*each, strict=True) for feature in window)

    def distance(
        self, vectors: VectorSpace, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Aggregate, ...]:
        """How far the payment's vector points away from the sum of those in the window: one minus
        their cosine.

        0 is the same direction, 1 nothing in common, 2 the opposite; null where either is zero, as
        without payments.

        >>> from shroff.embed import Vectors
        >>> card = Entity("card", "card_id")
        >>> card.distance(Vectors(name="shops", entity=card, tokens=["mcc"]), "30d")[0].name
        'card_distance_shops_30d'
        """
        _require_vectors("distance", vectors)
        return self._each("distance", windows, options, column=vectors.name)

    def _each(
        self, function: Function, windows: Windows, options: Options, **more: str | float | None
    ) -> tuple[Aggregate, ...]:
        if not isinstance(windows, Sequence):
            raise ConfigurationError(
                f"{self.name}.{function}: expected a window such as `1d` or a list of them, got "
                f"{type(windows).__name__}."
            )
        several = [windows] if isinstance(windows, str) else list(windows)
        unknown = sorted(options.keys() - Options.__annotations__.keys())
        if unknown:
            there = ", ".join([*Options.__annotations__, *sorted(RECIPES[function].options)])
            raise ConfigurationError(
                f"{self.name}.{function}: unknown option `{unknown[0]}`; there are {there}."
            )
        name = _name_in(options)
        if name and len(several) > 1 and "{window}" not in name:
            raise ConfigurationError(
                f"name `{name}` would name {len(several)} features: put `{{window}}` in it."
            )
        settings: dict[str, Any] = {**options, **more, "entity": self, "function": function}
        return tuple(
            Aggregate(
                **{**settings, "window": window, "name": name.replace("{window}", str(window))}
            )
            for window in several
        )


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
        entity: whose payments are looked at: those with the same key as this payment.
        function: what is made of them.
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
        """What the formula takes besides measures."""
        return (self.prior, self.weight) if self.function == "risk" else ()

    @property
    def grain(self) -> int:
        """The resolution in microseconds, 0 where there is none; what decays has one of its own."""
        if self.half_life is not None:
            return micros(self.half_life) // STEPS
        return micros(self.resolution) if self.resolution else 0

    def place(self, kind: Kind) -> int:
        """Which event a measure of it is of, 1 for the outermost; of a quantile, the share in
        millionths.
        """
        if kind == "quantile":
            return round((0.5 if self.q is None else self.q) * MILLION)
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
            0.0 <= self.q <= 1.0 and abs(self.q * MILLION - self.place("quantile")) < 1e-6
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
        """The parts of the definition, joined by underscores."""
        parts = [
            self.entity.name,
            self.function,
            str(self.n) if self.n > 1 else "",
            "" if self.q is None else _slug(f"{self.q:g}"),
            _slug(self.condition or ""),
            re.sub(r"\[(\d+)\]$", r"_\1", self.column or ""),
            self.window,
        ]
        parts += ["half_life", self.half_life] if self.half_life else []
        parts += (
            ["prior", _slug(f"{self.prior:g}"), "weight", _slug(f"{self.weight:g}")]
            if self.weight
            else []
        )
        parts += ["delay", self.delay] if self.delay else []
        parts += ["resolution", self.resolution] if self.resolution else []
        parts += ["with_current"] if self.include_current else []
        parts += ["where", _slug(self.where)] if self.where else []
        return "_".join(part for part in parts if part)


def _name_in(options: Options) -> str:
    name = options.get("name", "")
    if not isinstance(name, str):
        raise ConfigurationError(f"expected name= as a text, got {type(name).__name__}.")
    return name


def _require_vectors(function: Function, vectors: VectorSpace) -> None:
    if not isinstance(vectors, VectorSpace):
        raise ConfigurationError(
            f"{function}: expected `Vectors(…)` of `shroff.embed`, got {type(vectors).__name__}."
        )


def _slug(condition: str) -> str:
    symbols = {
        "<=": " le ",
        ">=": " ge ",
        "<>": " ne ",
        "!=": " ne ",
        "<": " lt ",
        ">": " gt ",
        "=": " ",
    }
    text = re.sub("<=|>=|<>|!=|<|>|=", lambda match: symbols[match[0]], condition.lower())
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")
