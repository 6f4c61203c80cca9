"""Numbers as logs write them: one text and a column agree, what is declared is read, and nothing is
guessed.
"""

from __future__ import annotations

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect import Schema, clean
from shroff.collect.numbers import FORMATS, NumberFormat, number_of, numbers_of, styles_of
from shroff.collect.values import kind_of
from shroff.errors import ConfigurationError, TooManyBadRows

TEXTS = st.text(alphabet="0123456789,.' \u00a0\u202f\u2019+-e\n", max_size=10)
MARKS = dict(zip(FORMATS, [("", "."), (",", "."), (".", ","), (" ", ","), ("'", ".")], strict=True))
PRICED = (
    "a number with a currency (write the number alone: its currency has a column, or is the "
    "schema's "
)


@given(st.lists(TEXTS | st.none(), max_size=8), st.sampled_from(FORMATS))
def test_a_column_reads_as_its_texts_do(texts: list[str | None], style: NumberFormat) -> None:
    column = numbers_of(pl.Series("x", texts, dtype=pl.String), style)
    found = [None if number is None or number == float("inf") else number for number in column]
    assert found == [None if text is None else number_of(text, style) for text in texts]


@given(st.integers(0, 10**12), st.sampled_from(FORMATS), st.booleans())
def test_what_is_written_in_a_format_is_read_in_it(
    cents: int, style: NumberFormat, divided: bool
) -> None:
    divider, mark = MARKS[style]
    whole = f"{cents // 100:,}" if divided else str(cents // 100)
    text = f"{whole.replace(',', divider)}{mark}{cents % 100:02}"
    assert number_of(text, style) == cents / 100


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("1,234.56", "1234.56"),
        ("1234.56", "1.234,56"),
        ("12.50", "1.234,56"),
        ("1,23.45", "1,234.56"),
        ("1.2345,6", "1.234,56"),
        ("1,234,56", "1,234.56"),
        ("12,34", "1,234.56"),
        ("(12.00)", "1,234.56"),
        ("1e999", "1234.56"),
    ],
)
def test_a_number_written_otherwise_is_none(text: str, style: NumberFormat) -> None:
    assert number_of(text, style) is None


def test_a_schema_declares_how_amounts_and_quantities_are_written() -> None:
    raw = pl.DataFrame(
        {
            "id": ["a", "b"],
            "at": "2024-05-04T10:00:00Z",
            "eur": ["1.234,56", " 12,5"],
            "n": ["1.000", None],
        }
    )
    schema = Schema(id="id", time="at", amount="eur", numeric=["n"], number_format="1.234,56")
    frame = clean(raw, schema, key=b"k" * 32).frame
    assert (frame["eur"].to_list(), frame["n"].to_list()) == ([123_456, 1_250], [1000.0, None])
    with pytest.raises(
        TooManyBadRows, match=r"got a number with a thousands .* \(declare '1.234,56' with Schema\("
    ):
        clean(raw[:1], msgspec.structs.replace(schema, number_format="1234.56"), key=b"k" * 32)
    with pytest.raises(TooManyBadRows, match=r"000 written like `1.234,56`, got a number"):
        clean(raw.with_columns(eur=pl.lit("12.50")), schema, key=b"k" * 32)
    with pytest.raises(
        ConfigurationError, match=r"number_format=…\): expected one of '1234.56', '1,234.56'"
    ):
        Schema(id="id", time="at", amount="eur", number_format="1234,56")  # type: ignore[arg-type]  # is the test


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("(12.00)", "a negative number (a refund is no payment: leave it out)"),
        ("1,234.56-", "a negative number (a refund is no payment: leave it out)"),
        ("−5", "a negative number (a refund is no payment: leave it out)"),
        ("€ 5", PRICED),
        (
            "5,00 EUR",
            "a number with a currency (write the number alone: its currency has a column, or is "
            "the schema's ",
        ),
        ("US$5", PRICED),
        ("twelve", "text"),
    ],
)
def test_an_amount_that_is_none_is_refused_with_what_to_do(text: str, kind: str) -> None:
    assert kind_of(text, "amount").startswith(kind)
    assert styles_of(text) == []
