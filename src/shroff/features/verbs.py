"""What can be asked of an entity's history: a method per aggregate, which `Entity` inherits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypedDict, TypeVar, Unpack

from shroff.errors import ConfigurationError
from shroff.features.aggregates import RECIPES, Function
from shroff.features.vectors import VectorSpace, component

Windows = str | Sequence[str]

Defined = TypeVar("Defined")
"""What a method gives: `Aggregate`, which `define` makes of an entity."""


class Options(TypedDict, total=False):
    """Keyword options of every aggregate, besides its windows."""

    where: str
    delay: str
    resolution: str
    include_current: bool
    name: str


class Verbs(Generic[Defined]):
    """The aggregates of an entity: every method gives one feature per window.

    A feature is null for a payment without the key, and where its description says so.
    """

    __slots__ = ()

    name: str
    """What the entity is called in the names of its features."""

    @abstractmethod
    def _define(self, **settings: Any) -> Defined:
        """The aggregate of this entity with these fields."""

    def count(self, windows: Windows, **options: Unpack[Options]) -> tuple[Defined, ...]:
        """How many payments."""
        return self._each("count", windows, options)

    def share(
        self, condition: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """Share of payments for which a SQL condition is true; null when there are none.

        A payment whose result or label is needed but has not arrived does not meet the condition.

        >>> from shroff import Entity
        >>> Entity("card", "card_id").share("result = 'failed'", "1d")[0].name
        'card_share_result_failed_1d'
        """
        return self._each("share", windows, options, condition=condition)

    def frauds(self, windows: Windows, **options: Unpack[Options]) -> tuple[Defined, ...]:
        """How many payments are known as fraud: labels that have arrived."""
        return self._each("frauds", windows, options)

    def risk(
        self,
        windows: Windows,
        *,
        prior: float = 0.0,
        weight: float = 0.0,
        **options: Unpack[Options],
    ) -> tuple[Defined, ...]:
        """Share of payments known as fraud: labels that have arrived over payments; 0 for none.

        With a `prior` share that counts as much as `weight` payments, it is (frauds + prior ·
        weight) over (payments + weight): few payments then say little, none say `prior` (additive
        smoothing).
        """
        return self._each("risk", windows, options, prior=prior, weight=weight)

    def total(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The exact sum of the amount, or of a number rounded to ten-thousandths; 0 for none.

        No sum overflows, however many values there are. Amounts are at most 10¹⁴; a number beyond
        ±10¹⁴ counts as that.
        """
        return self._each("total", windows, options, column=column)

    def mean(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The exact total over the number of payments with a value; null for none."""
        return self._each("mean", windows, options, column=column)

    def std(self, column: str, windows: Windows, **options: Unpack[Options]) -> tuple[Defined, ...]:
        """The population standard deviation of the values (divisor n); null for none.

        Squares are summed as unbounded integers, so nothing cancels or overflows, in any order.
        """
        return self._each("std", windows, options, column=column)

    def min(self, column: str, windows: Windows, **options: Unpack[Options]) -> tuple[Defined, ...]:
        """The smallest value, in ten-thousandths as `total`; null when there are none."""
        return self._each("min", windows, options, column=column)

    def max(self, column: str, windows: Windows, **options: Unpack[Options]) -> tuple[Defined, ...]:
        """The largest value, in ten-thousandths as `total`; null when there are none."""
        return self._each("max", windows, options, column=column)

    def distinct(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """How many different values of a column (null is no value)."""
        return self._each("distinct", windows, options, column=column)

    def is_new(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """1 when no payment in the window has this payment's value of a column, else 0; null
        without a value.

        >>> from shroff import Entity
        >>> Entity("card", "card_id").is_new("host_id", "30d")[0].name
        'card_is_new_host_id_30d'
        """
        return self._each("is_new", windows, options, column=column)

    def entropy(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """Shannon entropy of a column's values in nats, −Σ p ln p; 0 for one value, null for none.

        Logarithms are summed as integers of 2⁻³², so the order does not matter; exact to a
        billionth.
        """
        return self._each("entropy", windows, options, column=column)

    def top_share(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """Share of the most frequent value among those of a column; null for none."""
        return self._each("top_share", windows, options, column=column)

    def seconds_since_first(
        self, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """Seconds from the earliest payment in the window to this one; null when there is none."""
        return self._each("seconds_since_first", windows, options)

    def seconds_since_last(
        self, windows: Windows, *, n: int = 1, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """Seconds from the latest payment in the window to this one, or from the nth latest; null
        when there is none.

        It is negative if this payment arrived late and a later one is already known.
        """
        return self._each("seconds_since_last", windows, options, n=n)

    def last(
        self, column: str, windows: Windows, *, n: int = 1, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The column's value in the latest payment of the window, or the nth latest; null for none.

        Payments are in order of time, those of one moment in order of arrival (under a condition on
        results or labels, of their arrival). `last` of several columns with one `n` reads one
        payment, and so does `seconds_since_last`. For the latest payment that has a value, write
        `where="column IS NOT NULL"`. For a column of names it is a text.

        >>> from shroff import Entity
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
    ) -> tuple[Defined, ...]:
        """The column's value in the earliest payment of the window, or nth earliest; see `last`."""
        return self._each("first", windows, options, column=column, n=n)

    def quantile(
        self, column: str, windows: Windows, *, q: float, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The smallest value that a share `q` of the values does not exceed; null for none.

        It is always one of the values, and so exact: the inverse of the empirical distribution
        function, type 1 of Hyndman and Fan (1996). `q=0` is the smallest value, `q=1` the largest.
        In ten-thousandths as `total`.

        >>> from shroff import Entity
        >>> Entity("card", "card_id").quantile("amount", "30d", q=0.95)[0].name
        'card_quantile_0_95_amount_30d'
        """
        return self._each("quantile", windows, options, column=column, q=q)

    def median(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The median: `quantile` with q = 0.5, of two middle values the smaller; null for none."""
        return self._each("median", windows, options, column=column)

    def mode(
        self, column: str, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The most frequent value of a column; null for none.

        Of equally frequent values it is the smallest, of texts the first by code point.
        """
        return self._each("mode", windows, options, column=column)

    def decayed_count(
        self, windows: Windows, *, half_life: str, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """How many payments, weighted by age: the weight halves with every half-life.

        Ages and the window's edges are in steps of a sixteenth of the half-life, its resolution:
        the weight is 2^(−steps/16). Each step is summed as an integer, and the steps in order of
        time, so every engine rounds alike. Past 64 half-lives the weight is zero.
        """
        return self._each("decayed_count", windows, options, half_life=half_life)

    def decayed_total(
        self, column: str, windows: Windows, *, half_life: str, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The sum of a column, weighted as in `decayed_count`."""
        return self._each("decayed_total", windows, options, column=column, half_life=half_life)

    def habit(
        self, vectors: VectorSpace, windows: Windows, **options: Unpack[Options]
    ) -> tuple[Defined, ...]:
        """The mean vector of payments, per window one feature for each component; null for none.

        >>> from shroff import Entity
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
    ) -> tuple[Defined, ...]:
        """The cosine distance of the payment's vector from the sum of those in the window.

        0 is the same direction, 1 orthogonal, 2 opposite; null where either vector is zero, as
        without payments.

        >>> from shroff import Entity
        >>> from shroff.embed import Vectors
        >>> card = Entity("card", "card_id")
        >>> card.distance(Vectors(name="shops", entity=card, tokens=["mcc"]), "30d")[0].name
        'card_distance_shops_30d'
        """
        _require_vectors("distance", vectors)
        return self._each("distance", windows, options, column=vectors.name)

    def _each(
        self, function: Function, windows: Windows, options: Options, **more: str | float | None
    ) -> tuple[Defined, ...]:
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
        settings: dict[str, Any] = {**options, **more, "function": function}
        return tuple(
            self._define(
                **{**settings, "window": window, "name": name.replace("{window}", str(window))}
            )
            for window in several
        )


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
