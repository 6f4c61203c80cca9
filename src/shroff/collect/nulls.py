"""Null words: how programs write a missing value into a column of texts.

`NULLS`, the default of `Schema(nulls=…)`, holds what databases and data frames write and nobody is
called: SQL's `NULL`, the `\\N` of MySQL, Hive and PostgreSQL, the `NaN`, `nan`, `NaT` and `<NA>` of
pandas and NumPy. `NA` is Namibia, `Null` a surname, and `None` and `N/A` are answers in many forms:
a project that knows them for gaps declares them. Where such a word is frequent and not declared,
cleaning says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

NULLS: Final = ("NULL", "null", "\\N", "NaN", "nan", "NaT", "<NA>")
"""Texts that mean a missing value unless a schema says otherwise."""

_ALIKE: Final = (
    *(
        "null",
        "(null)",
        "[null]",
        "<null>",
        "nil",
        "none",
        "nan",
        "nat",
        "<na>",
        "na",
        "n/a",
        "#n/a",
        "n.a.",
    ),
    *("undefined", "unknown", "missing", "empty", "\\n", "-", "--", "?"),
)
_MAX_CHARACTERS: Final = 12
_FREQUENT_SHARE: Final = 0.01
"""The share of a column's rows from which a word that looks like a missing value is reported."""

Alike = dict[tuple[str, str], int]
"""The count of a word (second) that looks like a missing value, in a column (first) that keeps it.
"""


def alike(texts: pl.Series) -> Alike:
    """The words of a column of names that look like a missing value.

    >>> alike(pl.Series("device", ["d1", "N/A", "N/A", None]))
    {('device', 'N/A'): 2}
    """
    short = texts.filter((texts.str.len_bytes() <= _MAX_CHARACTERS).fill_null(value=False))
    found = short.filter(short.str.strip_chars().str.to_lowercase().is_in(_ALIKE))
    # by a name of its own: the column may be called as the counts are
    counts = found.alias("word").value_counts(sort=True)
    return {(texts.name, word): count for word, count in counts.iter_rows()}


def notices(found: Mapping[tuple[str, str], int], rows: int, nulls: Sequence[str]) -> list[str]:
    """Sentences about frequent words that look like a missing value.

    >>> notices({("device", "N/A"): 20, ("country", "NA"): 1}, 1_000, ["NULL"])
    ["`device` is `N/A` in 20 of 1,000 rows, and that is taken for a value: if it means that there
    is none, declare \
Schema(nulls=['NULL', 'N/A'])."]
    """
    return [
        f"`{column}` is `{word}` in {count:,} of {rows:,} rows, and that is taken for a value: if "
        f"it means that there is none, declare Schema(nulls={[*nulls, word]})."
        for (column, word), count in found.items()
        if count >= _FREQUENT_SHARE * rows
    ]
