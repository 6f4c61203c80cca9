"""One column of a raw table, read by its scale: the rules of `values` for a whole column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from zoneinfo import ZoneInfo

import polars as pl

from shroff.canonical import AFTER_BLANKS, BLANK, NON_CANONICAL, canonical, text_of
from shroff.collect import money
from shroff.collect.card_columns import long_numbers_of, numbers_as_text
from shroff.collect.nulls import Alike, alike
from shroff.collect.numbers import numbers_of
from shroff.collect.personal import tokens
from shroff.collect.schema import Scale, Schema
from shroff.collect.time_column import Twice, in_reach, read_times, tell_apart
from shroff.collect.time_kinds import kind_of_time
from shroff.collect.times import OUT_OF_RANGE
from shroff.collect.values import (
    CONTROL,
    INVISIBLE_TEXT,
    LARGEST_AMOUNT,
    LONGEST_ID,
    LONGEST_NAME,
    expected,
    kind_of,
    null_numbers,
)
from shroff.errors import BadFile

Family = Literal["text", "boolean", "whole", "real", "date", "moment", "none", "other"]

_NAMES: Final = frozenset[Family]({"text", "whole", "real", "none"})
_ACCEPTED: Final[dict[Scale, frozenset[Family]]] = {
    "id": _NAMES,
    "currency": _NAMES,
    "personal": _NAMES | {"date"},
    "key": _NAMES | {"date", "boolean"},
    "nominal": _NAMES | {"date", "boolean"},
    "result": _NAMES | {"date", "boolean"},
    "amount": _NAMES,
    "numeric": _NAMES,
    "label": _NAMES | {"boolean"},
    "time": frozenset({"text", "moment", "none"}),
}
FLAGS: Final = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), False),
}
"""The words of labels, in lower case."""
_MAX_EXACT_INT: Final = 2.0**53
_KEYS: Final = frozenset[Scale]({"key", "nominal", "personal"})
"""The scales that a feature's key may have."""
_TOKEN: Final = "shroff token"


@dataclass(frozen=True)
class TypedColumn:
    """A column in its clean type, with masks of its missing and of its unreadable values, and of
    those that hold a card number in the open.

    The masks are Boolean without nulls; None: nowhere.
    """

    values: pl.Series
    missing: pl.Series | None
    wrong: pl.Series | None = None
    cards: pl.Series | None = None
    alike: Alike = field(default_factory=dict)
    """Words that look like a missing value and were kept as values."""
    twice: Twice = field(default_factory=Twice)
    """Ambiguous local times."""


def read_column(
    raw: pl.Series,
    scale: Scale,
    schema: Schema,
    *,
    key: bytes,
    source: str,
    second: pl.Series | None = None,
) -> TypedColumn:
    """A column typed by its scale.

    Args:
        second: which ambiguous local times are of the second pass; by default the order of rows
            decides.

    Raises:
        BadFile: the column as a whole has another type, names times without a zone, or holds card
            numbers in the open.
    """
    if scale == "personal" and raw.dtype == _sealed():
        values = raw.struct.field(_TOKEN)
        return _judged(values, values.is_null())
    _check_type(raw, scale, schema, source)
    if scale == "time":
        return _times(raw, schema, second)
    if scale == "amount":
        return _numbers(raw, scale, schema)
    if scale == "numeric":
        return _without_cards(_numbers(raw, scale, schema), _digits_of(raw), source)
    texts = _without(texts_of(raw), schema.nulls, blanks=scale not in ("currency", "label"))
    missing = texts.is_null()
    if raw.dtype.is_float():
        # an infinite number is no name, but it was sent: it is unreadable, not missing
        missing = missing & ~raw.is_infinite().fill_null(value=False)
    column = _judged(_named(texts, scale, key), missing)
    if scale not in ("personal", "label"):
        column = _without_cards(column, texts, source)
    return replace(column, alike=alike(texts)) if scale in _KEYS else column


def _without_cards(column: TypedColumn, texts: pl.Series, source: str) -> TypedColumn:
    """The column with its card numbers marked; raises `BadFile` where it holds little else."""
    found = long_numbers_of(texts)
    if found.are_cards:
        raise BadFile(
            f"{source}: the values of column `{texts.name}` look like card numbers; declare it "
            f"with Schema(personal=[…, '{texts.name}']) so that only keyed hashes are kept."
        )
    return replace(column, cards=found.card_rows(texts))


def _digits_of(raw: pl.Series) -> pl.Series:
    """The texts of a numeric column that could be card numbers."""
    return _written(raw) if _family(raw.dtype) == "text" else numbers_as_text(raw)


def seal(raw: pl.Series, schema: Schema, key: bytes, source: str) -> pl.Series:
    """A personal column as tokens, which may be stored; `read_column` reads them unchanged."""
    values = read_column(raw, "personal", schema, key=key, source=source).values
    return values.alias(_TOKEN).to_frame().to_struct(raw.name)


def _times(raw: pl.Series, schema: Schema, second: pl.Series | None) -> TypedColumn:
    given = moments(raw, schema)
    times = read_times(given, schema.timezone, schema.epoch)
    twice = Twice()
    if second is None:
        second, twice = tell_apart(times)
    return replace(_judged(times.choose(second), given.is_null()), twice=twice)


def moments(raw: pl.Series, schema: Schema) -> pl.Series:
    """A column of times as `read_times` takes it: null where there is none."""
    family = _family(raw.dtype)
    if family == "moment":
        return raw
    if family in ("whole", "real"):
        numbers = raw.fill_nan(None) if raw.dtype.is_float() else raw
        # whole numbers are compared as what null words are: Polars refuses to mix types
        words = numbers.cast(pl.Float64).is_in(null_numbers(schema.nulls))
        none = words.fill_null(value=False)
        return numbers.set(none, None) if none.any() else numbers
    return _without(_written(raw), schema.nulls, blanks=False)


def kinds_of(unusable: pl.Series, scale: Scale, schema: Schema) -> list[str]:
    """The kinds of values that cannot be used in a column of this scale."""
    if scale != "time":
        return [kind_of(value, scale) for value in unusable]
    zone = None if schema.timezone is None else ZoneInfo(schema.timezone)
    if isinstance(unusable.dtype, pl.Datetime):
        return [
            OUT_OF_RANGE if moment is None else kind_of_time(moment, zone, None)
            for moment in in_reach(unusable)
        ]
    return [kind_of_time(value, zone, schema.epoch) for value in unusable]


def _named(texts: pl.Series, scale: Scale, key: bytes) -> pl.Series:
    """The values of a column of names, null where one is missing or cannot be read."""
    if scale == "label":
        return _mapped(texts, _flag, pl.Boolean())
    if scale == "personal":
        return tokens(texts, key)
    if scale == "id":
        return _fit_ids(texts)
    if scale == "currency":
        return _currencies(texts)
    return _without_unfit(texts, texts.str.len_chars() > LONGEST_NAME)


def _check_type(raw: pl.Series, scale: Scale, schema: Schema, source: str) -> None:
    zoned = schema.timezone is not None
    family = _family(raw.dtype)
    counted = scale == "time" and family in ("whole", "real")
    if family not in _ACCEPTED[scale] and not (
        counted and (schema.epoch or raw.null_count() == len(raw))
    ):
        wanted, got = expected(scale, zoned=True), f"type {raw.dtype}"
        if counted:
            got += f": {kind_of_time(raw.drop_nulls()[0], None, None)}"
        if scale == "time" and family == "date":
            got += ": dates without a time"
        raise BadFile(
            f"{source}: column `{raw.name}` ({scale}): expected {wanted} in each row, got {got}."
        )
    if isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_zone is None and not zoned:
        raise BadFile(
            f"{source}: column `{raw.name}` (time): expected times that name their zone, got type "
            f"{raw.dtype} without one: declare the zone they are in with Schema(timezone=…)."
        )


def _family(dtype: pl.DataType) -> Family:
    if dtype.is_integer():
        return "whole"
    if dtype.is_float() or dtype.is_decimal():
        return "real"
    families: dict[type[pl.DataType], Family] = {
        pl.String: "text",
        pl.Categorical: "text",
        pl.Enum: "text",
        pl.Boolean: "boolean",
        pl.Date: "date",
        pl.Datetime: "moment",
        pl.Null: "none",
    }
    return families.get(type(dtype), "other")


def _judged(values: pl.Series, missing: pl.Series) -> TypedColumn:
    wrong = values.is_null() & ~missing
    return TypedColumn(values, missing if missing.any() else None, wrong if wrong.any() else None)


def _mapped(column: pl.Series, function: Callable[..., object], dtype: pl.DataType) -> pl.Series:
    """A function of each distinct value; null stays null."""
    distinct = column.drop_nulls().unique()
    if not len(distinct):
        return pl.Series(column.name, [None], dtype=dtype).new_from_index(0, len(column))
    return column.replace_strict(
        distinct, [function(value) for value in distinct], default=None, return_dtype=dtype
    )


def texts_of(column: pl.Series) -> pl.Series:
    """`text_of` a column: String, null where there is no value."""
    if column.dtype.is_decimal():
        return _texts_of_decimals(column)
    if column.dtype.is_float():
        return _texts_of_reals(_reals(column))
    if _family(column.dtype) != "text":
        return column.cast(pl.String)
    texts = _written(column)
    odd = texts.str.contains(NON_CANONICAL).fill_null(value=False)
    return (
        texts.zip_with(~odd, _mapped(texts.set(~odd, None), canonical, pl.String()))
        if odd.any()
        else texts
    )


def _written(column: pl.Series) -> pl.Series:
    """A column of texts as they are written, null where one is blank: `1.000` may be a thousand."""
    texts = column.cast(pl.String)
    suspects = texts < AFTER_BLANKS
    return texts.set(texts.str.strip_chars(BLANK) == "", None) if suspects.any() else texts


def _without(texts: pl.Series, nulls: Sequence[str], *, blanks: bool) -> pl.Series:
    """Texts without the null words; `blanks`: blanks around a text belong to it."""
    words = texts if blanks else texts.str.strip_chars(BLANK)
    none = words.is_in(list(nulls)).fill_null(value=False)
    return texts.set(none, None) if none.any() else texts


def _texts_of_decimals(column: pl.Series) -> pl.Series:
    # digit for digit: a float would keep 15 of an id's 30
    texts = column.cast(pl.String).str.replace(r"\.0+$", "")
    broken = texts.str.contains(".", literal=True).fill_null(value=False)
    if not broken.any():
        return texts
    return texts.zip_with(~broken, _mapped(texts.set(~broken, None), _shortest, pl.String()))


def _shortest(text: str) -> str | None:
    return text_of(float(text))


def _texts_of_reals(column: pl.Series) -> pl.Series:
    finite = column.is_finite().fill_null(value=False)
    whole = finite & (column == column.floor()) & (column.abs() < _MAX_EXACT_INT)
    texts = column.set(~whole, None).cast(pl.Int64).cast(pl.String)
    odd = finite & ~whole
    return (
        texts.fill_null(_mapped(column.set(~odd, None), text_of, pl.String()))
        if odd.any()
        else texts
    )


def _reals(column: pl.Series) -> pl.Series:
    """Float64 of a column of floats or decimals, by their shortest text, as in JSON."""
    exact = column.dtype in (pl.Float64, pl.Decimal)
    return column.cast(pl.Float64) if exact else column.cast(pl.String).cast(pl.Float64)


def _numbers(raw: pl.Series, scale: Scale, schema: Schema) -> TypedColumn:
    family = _family(raw.dtype)
    if family == "text":
        texts = _without(_written(raw), schema.nulls, blanks=False)
        numbers, missing = numbers_of(texts, schema.number_format), texts.is_null()
    else:
        numbers = _reals(raw) if family == "real" else raw.cast(pl.Float64)
        missing = numbers.is_null()
    missing = missing | numbers.is_nan().fill_null(value=False)
    if none := null_numbers(schema.nulls):
        missing = missing | numbers.is_in(none).fill_null(value=False)
    usable = numbers.is_finite() if scale == "numeric" else numbers.is_between(0.0, LARGEST_AMOUNT)
    unusable = ~usable.fill_null(value=False) | missing
    return _judged(numbers.set(unusable, None) if unusable.any() else numbers, missing)


def _flag(text: str) -> bool | None:
    return FLAGS.get(text.strip(BLANK).lower())


def _fit_ids(texts: pl.Series) -> pl.Series:
    unfit = (
        (texts.str.len_chars() > LONGEST_ID)
        | texts.str.contains(CONTROL)
        | texts.str.contains(INVISIBLE_TEXT)
    )
    return _without_unfit(texts, unfit)


def _without_unfit(texts: pl.Series, unfit: pl.Series) -> pl.Series:
    return texts.set(unfit, None) if unfit.any() else texts


def _currencies(texts: pl.Series) -> pl.Series:
    if texts.is_in(list(money.NUMERIC)).all():
        return texts
    return _mapped(texts, money.alphabetic, pl.String())


def _sealed() -> pl.Struct:
    """The type of a personal column that holds tokens already; no source has it by chance."""
    return pl.Struct({_TOKEN: pl.String()})
