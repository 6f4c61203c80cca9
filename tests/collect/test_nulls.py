"""Words for nothing: none in every column of every type, and mentioned where they are frequent and
not declared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from shroff.collect import PaymentReader, Schema, clean, clean_large
from shroff.collect.nulls import NULLS
from shroff.errors import BadPayment, ConfigurationError, TooManyBadRows

KEY = b"k" * 32
SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    label="fraud",
    labelled_at="told",
    result="result",
    nominal=["mcc"],
    numeric=["items"],
    personal=["email"],
    keys=["device"],
)
ROW = {
    "at": "2024-05-04T10:00:00Z",
    "amount": "1",
    "currency": "EUR",
    "fraud": "1",
    "result": "ok",
    "told": "2024-05-05T10:00:00Z",
    "mcc": "5411",
    "items": "2",
    "email": "e",
    "device": "d",
}
OPTIONAL = ["fraud", "told", "result", "mcc", "items", "email", "device"]


def table(cells: dict[str, Any], *, rows: int = 1) -> pl.DataFrame:
    """Rows that are fine but for these cells, each one value or a column."""
    return pl.DataFrame({"id": [f"p{at}" for at in range(rows)]}).with_columns(
        **{
            name: cell if isinstance(cell, pl.Series) else pl.lit(cell)
            for name, cell in (ROW | cells).items()
        }
    )


@pytest.mark.parametrize("word", NULLS)
def test_a_word_for_nothing_is_none_in_every_column(word: str) -> None:
    row = clean(table(dict.fromkeys(OPTIONAL, word)), SCHEMA, key=KEY, max_bad=0.0).frame.row(
        0, named=True
    )
    assert [row[name] for name in OPTIONAL] == [None] * 7
    for name in ("id", "at", "amount", "currency"):
        with pytest.raises(TooManyBadRows, match=f"1 × {name}: expected a value, got none"):
            clean(table({name: pl.Series([word])}), SCHEMA, key=KEY, max_bad=0.0)


@pytest.mark.parametrize("word", NULLS)
def test_a_word_for_nothing_is_none_in_a_live_payment(word: str) -> None:
    reader = PaymentReader(SCHEMA, key=KEY)
    live = {name: ROW[name] for name in ("at", "currency")} | {
        "id": "p",
        "amount": 1,
        "items": None,
    }
    names = ["mcc", "email", "device"]
    values = reader.read(msgspec.json.encode(live | dict.fromkeys(names, word)), arrived=0).values
    assert [values[name] for name in names] == [None] * 3
    for name in ("id", "at", "currency"):
        with pytest.raises(BadPayment, match=f"Expected a value, got none - at `\\$.{name}`"):
            reader.read(msgspec.json.encode(live | {name: word}), arrived=0)


def test_a_number_may_be_a_word_for_nothing_through_every_door() -> None:
    schema = msgspec.structs.replace(SCHEMA, nulls=["-999"])
    for items, mcc in (("-999.0", "-999.0"), ("-999", "-999")):
        row = clean(table({"items": items, "mcc": mcc}), schema, key=KEY).frame.row(0, named=True)
        assert (row["items"], row["mcc"]) == (None, None)
    raw = table({"items": pl.Series([-999.0]), "mcc": pl.Series([-999])})
    assert clean(raw, schema, key=KEY).frame.row(0, named=True)["items"] is None
    live = {
        "id": 1,
        "at": ROW["at"],
        "currency": "EUR",
        "amount": 1,
        "items": -999,
        "mcc": -999.0,
        "device": "NULL",
    }
    values = PaymentReader(schema, key=KEY).read(msgspec.json.encode(live), arrived=0).values
    assert (values["items"], values["mcc"], values["device"]) == (None, None, "NULL")


def test_names_that_read_like_nothing_stay_and_are_mentioned_where_they_are_frequent(
    tmp_path: Path,
) -> None:
    device = pl.Series(["N/A"] * 30 + ["None"] * 2 + [f"d{at}" for at in range(968)])
    raw = table(
        {"device": device, "email": pl.Series(["none"] * 10 + [None] * 990), "mcc": "NA"},
        rows=1_000,
    )
    cleaned = clean(raw, SCHEMA, key=KEY)
    assert cleaned.frame["device"].head(1).item() == "N/A"
    notices = cleaned.notices(SCHEMA)
    assert [notice.partition(", and")[0] for notice in notices] == [
        "`mcc` is `NA` in 1,000 of 1,000 rows",
        "`email` is `none` in 10 of 1,000 rows",
        "`device` is `N/A` in 30 of 1,000 rows",
    ]
    assert (
        "Schema(nulls=['NULL', 'null', '\\\\N', 'NaN', 'nan', 'NaT', '<NA>', 'N/A'])" in notices[-1]
    )
    declared = msgspec.structs.replace(SCHEMA, nulls=[*NULLS, "N/A", "NA", "none"])
    assert clean(raw, declared, key=KEY).notices(declared) == []
    raw.write_parquet(tmp_path / "log.parquet")
    parts = clean_large(tmp_path / "log.parquet", SCHEMA, tmp_path, key=KEY, rows=7)
    assert parts.alike == cleaned.alike


@pytest.mark.parametrize(
    ("nulls", "what"), [("NULL", "expected a list of texts"), ([" "], "expected texts such as")]
)
def test_words_that_are_none_are_refused(nulls: Any, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        Schema(id="id", time="at", amount="amount", nulls=nulls)
