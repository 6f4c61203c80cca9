"""From features to a detector's inputs: the same numbers for a table and for one payment.

Learned from training rows only, kept as JSON. Imports no training library and Polars only for
tables: the serving process uses this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict, cast

import numpy as np

from shroff import speedups
from shroff.arrays import Floats, Floats32
from shroff.detect.spread import Spread
from shroff.errors import (
    BadPayment,
    BundleError,
    ConfigurationError,
    DataError,
    UnknownColumn,
    did_you_mean,
)

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, float | str | None]
"""One payment's features by name; `None` is missing."""

_NUMBERS = frozenset({float, int, bool, type(None)})
"""The types of a number or its absence."""

MISSING = "undefined"
"""The category of a missing name in a model's inputs, and only there: absence is information."""


class NumericJson(TypedDict):
    """A `Numeric` as JSON."""

    name: str
    mean: float
    std: float
    spread: NotRequired[dict[str, Any] | None]


class NominalJson(TypedDict):
    """A `Nominal` as JSON."""

    name: str
    values: list[str]
    shares: NotRequired[list[float]]


class PreparationJson(TypedDict):
    """A `Preparation` as JSON."""

    numeric: list[NumericJson]
    nominal: list[NominalJson]


@dataclass(frozen=True)
class Numeric:
    """A number that enters as `(value - mean) / std`; missing stays NaN."""

    name: str
    mean: float = 0.0
    std: float = 1.0
    spread: Spread | None = None
    """The distribution of the training rows' values, for reasons; None where there are none."""


@dataclass(frozen=True)
class Nominal:
    """A text that enters as a code: 1 … len(values) in their order, 0 for any other text."""

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...] = ()
    """The share of training rows with each value, then with all other texts; for reasons."""


@dataclass(frozen=True)
class Preparation:
    """The inputs of a detector: first the numeric columns, then the nominal ones.

    >>> import polars as pl
    >>> frame = pl.DataFrame(
    ...     {"amount": [10.0, 20.0, None, 30.0], "mcc": ["5411", "6011", "5411", "5411"]}
    ... )
    >>> preparation = Preparation.learn(frame, numeric=["amount"], nominal=["mcc"])
    >>> preparation.matrix(frame)
    array([[-1.2247449,  1.       ],
           [ 0.       ,  2.       ],
           [       nan,  1.       ],
           [ 1.2247449,  1.       ]], dtype=float32)
    >>> preparation.vector({"amount": 25.0, "mcc": "7995"})
    [0.6123724356957945, 0.0]
    >>> preparation.nominal_codes
    {1: 3}
    """

    numeric: tuple[Numeric, ...]
    nominal: tuple[Nominal, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ConfigurationError("expected at least one numeric or nominal input, got none")
        if len(set(self.names)) < len(self.names):
            raise ConfigurationError("expected every input once, got a name twice")

    @classmethod
    def learn(
        cls,
        frame: pl.DataFrame,
        *,
        numeric: Sequence[str],
        nominal: Sequence[str],
        max_values: int = 200,
    ) -> Self:
        """Means, standard deviations (population) and vocabularies of the training rows in `frame`.

        A constant column gets std 1, a column without values mean 0 and std 1. A vocabulary holds
        the `max_values` most frequent values, ties in text order; the others share code 0 with
        unseen values. Raises UnknownColumn, ConfigurationError for a column of the wrong type,
        DataError for an empty frame or infinite values.
        """
        if max_values < 1:
            raise ConfigurationError(f"expected max_values of at least 1, got {max_values}")
        if frame.is_empty():
            raise DataError("expected training rows to learn a preparation from, got none")
        return cls(
            numeric=tuple(_learn_numeric(name, _numbers(frame, name)) for name in numeric),
            nominal=tuple(
                _learn_nominal(name, _texts(frame, name), max_values) for name in nominal
            ),
        )

    @classmethod
    def plain(cls, names: Sequence[str], frame: pl.DataFrame | None = None) -> Self:
        """Numbers unscaled, for detectors with conditions; with the spreads of the training rows in
        `frame`, if any.

        >>> Preparation.plain(["amount > 50000"]).vector({"amount > 50000": 1.0})
        [1.0]
        """
        spread = {} if frame is None else {name: Spread.of(_numbers(frame, name)) for name in names}
        return cls(numeric=tuple(Numeric(name, spread=spread.get(name)) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs in the order of the matrix's columns."""
        return (*(number.name for number in self.numeric), *(text.name for text in self.nominal))

    @property
    def nominal_codes(self) -> dict[int, int]:
        """Index of each nominal column in the matrix, with its number of codes, 0 included."""
        return {
            len(self.numeric) + at: len(column.values) + 1 for at, column in enumerate(self.nominal)
        }

    def matrix(self, frame: pl.DataFrame) -> Floats32:
        """The inputs of every row, float32 [rows, inputs]; raises UnknownColumn as `learn` does."""
        matrix = np.empty((frame.height, len(self.numeric) + len(self.nominal)), dtype=np.float32)
        with np.errstate(over="ignore"):
            for at, column in enumerate(self.numeric):
                matrix[:, at] = (_numbers(frame, column.name) - column.mean) / column.std
        for at, word in enumerate(self.nominal, start=len(self.numeric)):
            matrix[:, at] = _codes(_texts(frame, word.name), word.values)
        return matrix

    def vector(self, row: Row) -> list[float]:
        """The inputs of one payment: as float32, the same bits as its row of `matrix`.

        Raises BadPayment for a feature that is absent or of the wrong type.
        """
        numbers = cast("Mapping[str, float | None]", row)
        # one try around all features: a check of each would slow every payment for the few that are
        # wrong
        try:
            inputs = [
                math.nan if (value := numbers[name]) is None else (value - mean) / std
                for name, mean, std in self._scales
            ]
            for name, codes in self._vocabularies:
                inputs.append(codes.get(row[name], 0.0))  # faster than concatenating a second list
        except (KeyError, TypeError, OverflowError) as error:
            raise BadPayment(self._complaint(row)) from error
        return inputs

    def vectors(self, rows: Sequence[Row]) -> Floats32:
        """`vector` of payments that are prepared together, float32 [n, inputs]."""
        with np.errstate(over="ignore", invalid="ignore"):  # as float32, or of infinite numbers
            try:
                return self._together(rows)
            except (KeyError, TypeError, OverflowError):
                pass  # `vector` says what is wrong
            return np.array([self.vector(row) for row in rows], dtype=np.float32)

    def _together(self, rows: Sequence[Row]) -> Floats32:
        matrix = np.empty((len(rows), len(self.numeric) + len(self.nominal)), dtype=np.float32)
        if speedups.compiled is None:
            self._scale(rows, matrix)
        else:
            speedups.compiled.scale(rows, self._scales, matrix)
        for at, (name, codes) in enumerate(self._vocabularies, start=len(self.numeric)):
            matrix[:, at] = [codes.get(row[name], 0.0) for row in rows]
        return matrix

    def _scale(self, rows: Sequence[Row], matrix: Floats32) -> None:
        """Fill the numeric columns of a matrix; `_speedups.scale` does the same."""
        numbers = [self._numbers_of(row) for row in rows]
        # NumPy would also read texts as numbers
        if not _NUMBERS.issuperset(map(type, chain.from_iterable(numbers))):
            raise TypeError
        table = np.array(numbers, dtype=np.float64).reshape(len(rows), len(self.numeric))
        matrix[:, : len(self.numeric)] = (table - self._means) / self._stds

    @cached_property
    def _numbers_of(self) -> Callable[[Row], Sequence[object]]:
        names = [column.name for column in self.numeric]
        if len(names) > 1:
            return itemgetter(*names)
        return lambda row: [row[name] for name in names]

    @cached_property
    def _means(self) -> Floats:
        return np.array([column.mean for column in self.numeric])

    @cached_property
    def _stds(self) -> Floats:
        return np.array([column.std for column in self.numeric])

    # plain tuples, made once: reading the attributes of each column at every payment would cost
    # more
    @cached_property
    def _scales(self) -> tuple[tuple[str, float, float], ...]:
        return tuple((column.name, column.mean, column.std) for column in self.numeric)

    @cached_property
    def _vocabularies(self) -> tuple[tuple[str, dict[float | str | None, float]], ...]:
        return tuple((column.name, _lookup(column.values)) for column in self.nominal)

    def _complaint(self, row: Row) -> str:
        for name in self.names:
            if name not in row:
                return f"expected the feature `{name}`, got a payment without it" + did_you_mean(
                    name, row
                )
            kind = str if name in dict(self._vocabularies) else (int, float)
            if row[name] is not None and not isinstance(row[name], kind):
                expected = "text" if kind is str else "a number"
                return (
                    f"expected {expected} in the feature `{name}`, got {type(row[name]).__name__}"
                )
        return "expected ordinary numbers in the features, got one far too large"

    def to_json(self) -> PreparationJson:
        """A dictionary that JSON keeps to the bit."""
        return {
            "numeric": [
                {
                    "name": one.name,
                    "mean": one.mean,
                    "std": one.std,
                    "spread": None if one.spread is None else one.spread.to_json(),
                }
                for one in self.numeric
            ],
            "nominal": [
                {"name": one.name, "values": list(one.values), "shares": list(one.shares)}
                for one in self.nominal
            ],
        }

    @classmethod
    def from_json(cls, data: PreparationJson) -> Self:
        """The preparation that `to_json` wrote; raises BundleError for anything else."""
        try:
            return cls(
                numeric=tuple(_numeric(one) for one in data["numeric"]),
                nominal=tuple(_nominal(one) for one in data["nominal"]),
            )
        except (KeyError, TypeError, ConfigurationError) as error:
            raise BundleError(
                "expected a preparation as Preparation.to_json writes it, got another document; "
                "train it again."
            ) from error


def _numeric(data: NumericJson) -> Numeric:
    spread = data.get("spread")
    if not data["std"] > 0:
        raise ConfigurationError("expected a standard deviation above 0")
    return Numeric(
        data["name"],
        data["mean"],
        data["std"],
        None if spread is None else Spread.from_json(spread),
    )


def _nominal(data: NominalJson) -> Nominal:
    values, shares = tuple(data["values"]), tuple(data.get("shares", ()))
    if shares and len(shares) != len(values) + 1:
        raise ConfigurationError("expected a share for each value, and one for all others")
    return Nominal(data["name"], values, shares)


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise UnknownColumn(f"unknown column `{name}`" + did_you_mean(name, frame.columns))
    return frame.get_column(name)


def _numbers(frame: pl.DataFrame, name: str) -> Floats:
    import polars as pl

    column = _column(frame, name)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise ConfigurationError(
            f"expected numbers in column `{name}`, got {column.dtype}: name it nominal"
        )
    return column.cast(pl.Float64).to_numpy()


def _texts(frame: pl.DataFrame, name: str) -> pl.Series:
    import polars as pl

    column = _column(frame, name)
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise ConfigurationError(
            f"expected text in column `{name}`, got {column.dtype}: name it numeric"
        )
    return column.cast(pl.String).fill_null(MISSING)


def _learn_numeric(name: str, values: Floats) -> Numeric:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return Numeric(name)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(known.mean()), float(known.std())
    if not math.isfinite(mean + std):
        raise DataError(
            f"column `{name}` holds infinite or far too large values: expected ordinary numbers"
        )
    # rounding can give a constant column a tiny std above 0
    constant = std == 0.0 or known.min() == known.max()
    return Numeric(name, mean, 1.0 if constant else std, Spread.of(values))


def _learn_nominal(name: str, texts: pl.Series, max_values: int) -> Nominal:
    counts = texts.alias("value").value_counts()
    ranked = sorted(counts.iter_rows(), key=lambda pair: (-pair[1], pair[0]))
    kept = ranked[:max_values]
    shares = [count / len(texts) for _, count in kept]
    others = sum(count for _, count in ranked[max_values:]) / len(texts)
    return Nominal(name, tuple(value for value, _ in kept), (*shares, others))


def _codes(texts: pl.Series, values: Sequence[str]) -> Floats32:
    import polars as pl

    codes = np.arange(1, len(values) + 1)
    return texts.replace_strict(values, codes, default=0, return_dtype=pl.Float32).to_numpy()


def _lookup(values: Iterable[str]) -> dict[float | str | None, float]:
    codes: dict[float | str | None, float] = {
        value: float(at) for at, value in enumerate(values, start=1)
    }
    codes[None] = codes.get(MISSING, 0.0)
    return codes
