"""What the values of one column of an unknown log say, by which its role is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl

from shroff.canonical import BLANK
from shroff.collect.card_columns import looks_like_card_numbers
from shroff.collect.columns import FLAGS, texts_of
from shroff.collect.money import alphabetic
from shroff.collect.nulls import NULLS
from shroff.collect.numbers import FORMATS, PLAIN, NumberFormat, numbers_of
from shroff.collect.role_words import CURRENCY, OUTCOMES, words_of
from shroff.collect.schema import EPOCHS, Epoch
from shroff.collect.schema_checks import UNFIT_NAME
from shroff.collect.time_column import in_reach, parse_times

_Kind = Literal["time", "number", "flag", "text", "empty", "unfit"]
_UNREADABLE: Final = (pl.Binary, pl.Duration, pl.Time, pl.Object)
"""Types that no column of a payment has."""

_YEARS: Final = (2000, 2100)
"""The years in which payments of a log happen, by which the unit of counted times is told."""
MIN_READABLE: Final = 0.99
"""The share of values that must be of a kind for a column to be of it."""
_MAX_CODES: Final = 400
"""More than there are codes of currencies, alphabetic and numeric."""
_PADDED: Final = r"^0[0-9]+$"
_LOCAL_DATE: Final = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{4}\b")
"""Day, month and year, or month, day and year."""


@dataclass(frozen=True)
class Profile:
    """What the values of one column say; `filled` of them are values, `distinct` different ones."""

    name: str
    words: frozenset[str]
    rows: int
    filled: int
    distinct: int
    kind: _Kind
    whole: bool = False
    padded: bool = False
    """Whether whole numbers have leading zeros, as codes such as `05` do."""
    rising: bool = False
    number_format: NumberFormat = PLAIN
    epoch: Epoch | None = None
    unreadable: int = 0
    """How many values are no times, where the others are."""
    zoned: bool = True
    card_numbers: bool = False
    currencies: bool = False
    local_dates: bool = False
    outcomes: bool = False
    """Whether all values say what became of payments, such as `approved` and `declined`."""
    median: float | None = None
    nested: bool = False
    """Whether values have fields, or are lists, as in JSON."""

    @property
    def unique(self) -> bool:
        return self.distinct == self.rows

    @property
    def mostly_filled(self) -> bool:
        return self.filled >= self.rows * MIN_READABLE

    @property
    def nearly_unique(self) -> bool:
        """Whether it would be, but for payments that are there twice and ids that are lost."""
        return self.distinct >= self.rows * MIN_READABLE

    @property
    def names_something(self) -> bool:
        """Whether values may be names of something, such as a payment."""
        fits = self.kind == "text" or self.whole
        return fits and not (self.card_numbers or self.local_dates)

    @property
    def is_code(self) -> bool:
        """Whether values are names, also where they are digits."""
        return self.kind == "text" or self.padded

    @property
    def repeats(self) -> float:
        return self.filled / max(self.distinct, 1)

    def hints(self, words: Iterable[str]) -> int:
        """How many of these words the name has."""
        return len(self.words & frozenset(words))


def profile(column: pl.Series) -> Profile:
    """What the values of a column of a raw log say."""
    dtype = column.dtype
    if dtype.is_nested() or dtype in _UNREADABLE or UNFIT_NAME.search(column.name):
        nested = dtype.is_nested()
        return Profile(column.name, frozenset(), len(column), 0, 0, "unfit", nested=nested)
    if isinstance(dtype, pl.Datetime):
        texts = in_reach(column).drop_nulls().cast(pl.String)
    else:
        texts = texts_of(column).str.strip_chars(BLANK)
        texts = texts.filter(~(texts.is_in(NULLS) | (texts == "")).fill_null(value=True))
    seen = texts.unique()
    words = frozenset(words_of(column.name))
    found = Profile(column.name, words, len(column), len(texts), len(seen), "empty")
    if texts.is_empty():
        return found
    found = replace(found, kind="text", card_numbers=looks_like_card_numbers(texts))
    if isinstance(dtype, pl.Datetime):
        return replace(found, kind="time", zoned=dtype.time_zone is not None)
    if len(seen) <= 2 and all(text.lower() in FLAGS for text in seen):
        return replace(found, kind="flag")
    style = next((one for one in FORMATS if _mostly(numbers_of(texts, one))), None)
    if style is not None:
        numbers = numbers_of(texts, style)
        fractions = int((numbers != numbers.round()).sum())
        whole = fractions == 0
        epoch, unreadable = _epoch(texts) if fractions <= _few(texts) else (None, 0)
        return replace(
            found,
            kind="number",
            number_format=style,
            median=numbers.quantile(0.5),
            whole=whole,
            padded=whole and bool(seen.str.contains(_PADDED).any()),
            rising=len(seen) > 2 and numbers.is_sorted(),
            epoch=epoch,
            unreadable=unreadable,
            currencies=bool(words & CURRENCY) and _mostly_currencies(texts),
        )
    times = parse_times(texts, "UTC")
    if _mostly(times):
        zoned = _mostly(parse_times(texts, None))
        return replace(found, kind="time", zoned=zoned, unreadable=times.null_count())
    return replace(
        found,
        currencies=_mostly_currencies(texts),
        local_dates=all(_LOCAL_DATE.match(text) for text in seen),
        outcomes=1 < len(seen) <= len(OUTCOMES) and all(map(_outcome, seen)),
    )


def _outcome(text: str) -> bool:
    words = words_of(text)
    return len(words) == 1 and words[0] in OUTCOMES


def _mostly(values: pl.Series) -> bool:
    return values.null_count() <= _few(values)


def _few(values: pl.Series) -> float:
    return len(values) * (1 - MIN_READABLE)


def _mostly_currencies(texts: pl.Series) -> bool:
    """Whether these are ISO 4217 codes: a few broken ones must not hide that there are several."""
    counts = texts.alias("text").value_counts(sort=True).head(_MAX_CODES)
    codes: int = sum(count for text, count in counts.iter_rows() if alphabetic(text))
    return codes >= len(texts) * MIN_READABLE


def _epoch(texts: pl.Series) -> tuple[Epoch | None, int]:
    """The unit in which nearly all of these are times of this century, and how many are none."""
    for unit in EPOCHS:
        times = parse_times(texts, None, unit)
        if len(texts) - int(times.dt.year().is_between(*_YEARS).sum()) <= _few(texts):
            return unit, times.null_count()
    return None, 0
