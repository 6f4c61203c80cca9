"""Cleaning: each scale to its type, rows dropped and counted by reason, files refused without their
values.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect import Schema, clean, read
from shroff.collect.personal import tokenizer
from shroff.collect.time_column import Twice
from shroff.errors import BadFile, ConfigurationError, TooManyBadRows

KEY = b"k" * 32
UTC = pl.Datetime("us", "UTC")
SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    label="fraud",
    result="result",
    arrived_at="seen",
    nominal=["mcc"],
    numeric=["age"],
    personal=["email"],
    keys=["card"],
    required=["card"],
)
PLAIN = Schema(id="id", time="at", amount="amount", nominal=["x"])


def _rows(count: int, **columns: Any) -> pl.DataFrame:
    """A raw table of good rows, with some columns replaced."""
    good: dict[str, Any] = {
        "id": [f"p{row}" for row in range(count)],
        "at": "2024-05-04T10:00:00Z",
        "amount": "136.69",
        "currency": "EUR",
        "fraud": "0",
        "result": "authorised",
        "seen": "2024-05-04T10:00:01Z",
        "mcc": "5411",
        "age": "32",
        "email": "ada@example.org",
        "card": "c1",
        "unused": "SECRET",
    }
    return pl.DataFrame(good).with_columns(**columns)


def _refused(raw: pl.DataFrame, schema: Schema = SCHEMA, **options: Any) -> str:
    with pytest.raises((BadFile, TooManyBadRows)) as refused:
        clean(raw, schema, key=KEY, source="log.csv", **options)
    sentence = str(refused.value)
    assert sentence.startswith("log.csv: ")
    assert "\n" not in sentence
    assert "SECRET" not in sentence
    return sentence.removeprefix("log.csv: ")


def _one(
    values: list[Any], dtype: Any = None, *, schema: Schema = PLAIN, name: str = "x"
) -> list[Any]:
    """What becomes of one column's values."""
    columns = {
        **dict.fromkeys(schema.scales),
        "at": ["2024-05-04T10:00:00Z"] * len(values),
        "amount": 1.0,
    }
    raw = pl.DataFrame({**columns, "id": range(len(values))}).with_columns(
        pl.Series(name, values, dtype=dtype)
    )
    return clean(raw, schema, key=KEY, max_bad=0.0).frame[name].to_list()


# --- types ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["count", "rows", "word", "text", "value", "literal", "\0minor"[1:]]
)
def test_a_column_may_be_called_as_our_own_tables_call_theirs(name: str) -> None:
    schema = Schema(id="id", time="at", amount="amount", nominal=[name])
    raw = pl.DataFrame(
        {
            "id": ["a", "b"],
            "at": ["2024-05-04T10:00:00Z"] * 2,
            "amount": [1, 2],
            name: ["N/A", "order 4111111111111112"],
        }
    )
    cleaned = clean(raw, schema, key=b"k" * 32)
    assert cleaned.alike == {(name, "N/A"): 1}
    assert cleaned.frame[name].to_list() == ["N/A", "order 4111111111111112"]


def test_a_clean_table_has_the_types_of_its_scales_and_no_other_columns() -> None:
    cleaned = clean(_rows(2), SCHEMA, key=KEY)
    assert dict(cleaned.frame.schema) == {
        "id": pl.String(),
        "at": UTC,
        "amount": pl.Int64(),
        "currency": pl.String(),
        "seen": UTC,
        "result": pl.String(),
        "fraud": pl.Boolean(),
        "mcc": pl.String(),
        "age": pl.Float64(),
        "email": pl.String(),
        "card": pl.String(),
    }
    assert list(cleaned.frame.columns) == list(SCHEMA.scales)
    assert (cleaned.rows, cleaned.dropped, cleaned.first) == (2, {}, {})
    row = cleaned.frame.row(0, named=True)
    assert (row["amount"], row["fraud"], row["age"]) == (13669, False, 32.0)
    assert row["email"] == tokenizer(KEY)("ada@example.org")


def test_an_empty_table_is_clean() -> None:
    frame = clean(_rows(1).clear(), SCHEMA, key=KEY).frame
    assert frame.schema == clean(_rows(1), SCHEMA, key=KEY).frame.schema
    assert len(frame) == 0


@pytest.mark.parametrize(
    ("values", "dtype", "texts"),
    [
        (["32", "32.0", " DK", "", " ", None], pl.String, ["32", "32", " DK", *[None] * 3]),
        ([32, None], pl.Int16, ["32", None]),
        ([32.0, 32.5, 1e-7, 1e22, -0.0], pl.Float64, ["32", "32.5", "1e-07", "1" + "0" * 22, "0"]),
        ([float("nan"), None, 1.0], pl.Float64, [None, None, "1"]),
        ([32.0, 0.1], pl.Float32, ["32", "0.1"]),
        ([Decimal("32.00"), Decimal("0.10")], pl.Decimal(10, 2), ["32", "0.1"]),
        ([True, False, None], pl.Boolean, ["true", "false", None]),
        ([Decimal(10**29 + 7), None], pl.Decimal(38, 0), [f"1{'0' * 28}7", None]),
        ([Decimal(10**18), Decimal("0.5")], pl.Decimal(38, 2), [f"1{'0' * 18}", "0.5"]),
        (["555.00", "-1.0", "-0.0", "1e+22"], pl.String, ["555", "-1", "0", "1" + "0" * 22]),
        (["True", "FALSE", "TRUE", "true", "T"], pl.String, ["true", "false", "true", "true", "T"]),
        (
            (
                same := [
                    "007",
                    "007.0",
                    "+5.0",
                    "1e3",
                    "1e22",
                    "1.50",
                    "10.0.0.0",
                    "5.",
                    ".0",
                    "1" * 30,
                ]
            ),
            pl.String,
            same,
        ),
        (["NULL", "null", r"\N", "NaN", "nan", "NaT", "<NA>"], pl.String, [None] * 7),
        ((names := ["NA", "N/A", "None", "Null", "NULL "]), pl.String, names),
        (["555.0", "NULL", "True"], pl.Categorical, ["555", None, "true"]),
        (["a", None], pl.Categorical, ["a", None]),
        (["a", None], pl.Enum(["a"]), ["a", None]),
        ([date(2024, 5, 4), None], pl.Date, ["2024-05-04", None]),
        ([None, None], pl.Null, [None, None]),
    ],
)
def test_names_are_the_same_text_whatever_their_type(
    values: list[Any], dtype: Any, texts: list[str]
) -> None:
    assert _one(values, dtype) == texts
    keyed = Schema(id="id", time="at", amount="amount", keys=["x"])
    assert _one(values, dtype, schema=keyed) == texts
    token = tokenizer(KEY)
    if dtype != pl.Boolean:
        named = Schema(id="id", time="at", amount="amount", personal=["x"])
        assert _one(values, dtype, schema=named) == [
            None if text is None else token(text) for text in texts
        ]


@pytest.mark.parametrize(
    ("values", "dtype", "numbers"),
    [
        (
            ["1.5", " 2 ", "1e3", "-0", "", None, "nan"],
            pl.String,
            [1.5, 2.0, 1000.0, 0.0, None, None, None],
        ),
        ([1.5, float("nan"), None], pl.Float64, [1.5, None, None]),
        ([0.1, None], pl.Float32, [0.1, None]),
        ([2**63 - 1, None], pl.Int64, [2.0**63, None]),
        ([Decimal("136.69")], pl.Decimal(10, 2), [136.69]),
        (["1.5"], pl.Categorical, [1.5]),
        ([None], pl.Null, [None]),
    ],
)
def test_quantities_are_numbers_or_missing(
    values: list[Any], dtype: Any, numbers: list[float | None]
) -> None:
    schema = Schema(id="id", time="at", amount="amount", numeric=["x"])
    assert _one(values, dtype, schema=schema) == numbers


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "0", ""], pl.String),
        (["True", "FALSE", None], pl.String),
        ([" yes", "no ", " "], pl.String),
        (["t", "f", None], pl.Categorical),
        (["1.0", "0.0", None], pl.String),
        ([1, 0, None], pl.Int8),
        ([1.0, 0.0, float("nan")], pl.Float64),
        ([True, False, None], pl.Boolean),
    ],
)
def test_labels_are_true_false_or_unknown(values: list[Any], dtype: Any) -> None:
    schema = Schema(id="id", time="at", amount="amount", label="x")
    assert _one(values, dtype, schema=schema) == [True, False, None]


@pytest.mark.parametrize(
    ("codes", "dtype", "expected"),
    [
        (["EUR", "978", "36", "008"], pl.String, ["EUR", "EUR", "AUD", "ALL"]),
        ([978, 36, 8], pl.Int64, ["EUR", "AUD", "ALL"]),
        ([978.0, 36.0], pl.Float64, ["EUR", "AUD"]),
    ],
)
def test_currency_codes_are_those_of_the_standard(
    codes: list[Any], dtype: Any, expected: list[str]
) -> None:
    schema = Schema(id="id", time="at", amount="amount", currency="x")
    assert _one(codes, dtype, schema=schema) == expected


def test_amounts_are_minor_units_of_their_rows_currency() -> None:
    raw = _rows(
        4,
        currency=pl.Series(["EUR", "JPY", "KWD", "CLF"]),
        amount=pl.Series(["1.5", "1500", "1.234", "0.0001"]),
    )
    assert clean(raw, SCHEMA, key=KEY).frame["amount"].to_list() == [150, 1500, 1234, 1]
    floats = _rows(1, amount=pl.Series([136.69], dtype=pl.Float32))
    assert clean(floats, SCHEMA, key=KEY).frame["amount"].to_list() == [13669]


def test_times_are_utc() -> None:
    schema = Schema(id="id", time="x", amount="amount", timezone="Europe/Copenhagen")
    raw = pl.DataFrame(
        {
            "id": ["a", "b"],
            "x": ["2024-07-01T12:00:00.1234567", "2024-07-01T12:00:00Z"],
            "amount": 1,
        }
    )
    expected = [datetime(2024, 7, 1, 10, 0, 0, 123456), datetime(2024, 7, 1, 12)]
    assert clean(raw, schema, key=KEY).frame["x"].dt.replace_time_zone(None).to_list() == expected
    stamps = raw.with_columns(x=pl.Series([datetime(2024, 7, 1, 12), datetime(2024, 7, 1, 14)]))
    frame = clean(stamps, schema, key=KEY).frame
    assert frame["x"].dt.replace_time_zone(None).to_list() == [
        datetime(2024, 7, 1, 10),
        datetime(2024, 7, 1, 12),
    ]


# --- order, drops, counts -------------------------------------------------------------------------
def test_rows_are_in_order_of_arrival_with_ties_as_they_came() -> None:
    seen = [f"2024-05-04T10:00:0{second}Z" for second in (3, 1, 3, 2, 1)]
    frame = clean(_rows(5, seen=pl.Series(seen)), SCHEMA, key=KEY).frame
    assert frame["id"].to_list() == ["p1", "p4", "p3", "p0", "p2"]


def test_an_id_that_came_before_is_dropped_and_the_earliest_usable_one_kept() -> None:
    raw = _rows(
        5,
        id=pl.Series(["a", "a", "a", "b", "b"]),
        seen=pl.Series([f"2024-05-04T10:00:0{second}Z" for second in (1, 3, 2, 5, 5)]),
        card=pl.Series([None, "second", "first", "tie", "later"]),
    )
    cleaned = clean(raw, SCHEMA, key=KEY, max_bad=1.0)
    assert cleaned.frame["card"].to_list() == ["first", "tie"]
    assert cleaned.dropped == {
        "card: expected a value": 1,
        "id: expected another id in every row": 2,
    }
    assert cleaned.first == {"card: expected a value": 1, "id: expected another id in every row": 2}
    assert (
        "2 × id: expected another id in every row, got one that came before (first in row 2)"
        in _refused(raw)
    )


MARKED = "a number with a thousands separator or a decimal comma (declare"
WHERE = "Schema(number_format=…))"
REFUND = "a negative number (a refund is no payment: leave it out)"
NAME = "a text of at most 1,000 characters or a finite number"
PRICED = (
    "a number with a currency (write the number alone: its currency has a column, or is the "
    "schema's default_currency)"
)


@pytest.mark.parametrize(
    ("column", "bad", "reason", "got"),
    [
        ("id", "", "a value", "none"),
        ("id", "SECRET\0", "an id of 1 to 200 printable characters", "text"),
        (
            "id",
            "SECRET" * 50,
            "an id of 1 to 200 printable characters",
            "a text of more than 200 characters",
        ),
        ("at", None, "a value", "none"),
        ("at", "SECRET", "an ISO 8601 date and time from 1970 to 2099 that names its zone", "text"),
        (
            "at",
            "2024-05-04T10:00:00",
            "an ISO 8601 date and time from 1970 to 2099 that names",
            "a time without a zone",
        ),
        (
            "seen",
            "2024-05-04",
            "an ISO 8601 date and time from 1970 to 2099 that names",
            "a date without a time",
        ),
        ("amount", "", "a value", "none"),
        ("amount", "SECRET", "a number from 0 to 100,000,000,000,000", "text"),
        ("amount", '"400.00"', "a number from 0 to 100,000,000,000,000", "a number in quotes"),
        (
            "amount",
            "12,50",
            "a number from 0 to 100,000,000,000,000",
            f"{MARKED} '1.234,56' or '1 234,56' with {WHERE}",
        ),
        (
            "amount",
            "1,234.56",
            "a number from 0 to 100,000,000,000,000",
            f"{MARKED} '1,234.56' with {WHERE}",
        ),
        ("amount", "-0.01", "a number from 0 to 100,000,000,000,000", REFUND),
        ("amount", "(12.00)", "a number from 0 to 100,000,000,000,000", REFUND),
        ("amount", "12.00-", "a number from 0 to 100,000,000,000,000", REFUND),
        ("amount", "$12.00", "a number from 0 to 100,000,000,000,000", PRICED),
        ("amount", "12.00 EUR", "a number from 0 to 100,000,000,000,000", PRICED),
        ("amount", "1e15", "a number from 0 to 100,000,000,000,000", "a larger number"),
        (
            "amount",
            "0.125",
            "an amount no finer than its currency's smallest unit",
            "another number",
        ),
        ("currency", "", "a value", "none"),
        ("currency", "SECRET", "an ISO 4217 currency code", "text"),
        ("fraud", "SECRET", "0 or 1", "text"),
        ("fraud", "2", "0 or 1", "a number"),
        ("age", "SECRET", "a finite number", "text"),
        ("age", "inf", "a finite number", "text"),
        ("mcc", float("inf"), NAME, "an infinite number"),
        ("card", " ", "a value", "none"),
        (
            "card",
            "SECRET" * 167,
            "a text of at most 1,000 characters",
            "a text of more than 1,000 characters",
        ),
        (
            "mcc",
            "Æ" * 1_001,
            "a text of at most 1,000 characters",
            "a text of more than 1,000 characters",
        ),
    ],
)
def test_unusable_rows_are_dropped_and_counted_by_reason(
    column: str, bad: Any, reason: str, got: str
) -> None:
    raw = _rows(400)
    values = [5411.0] * 400 if isinstance(bad, float) else raw[column].to_list()
    values[6] = values[9] = bad
    raw = raw.with_columns(pl.Series(column, values))
    cleaned = clean(raw, SCHEMA, key=KEY)
    assert list(cleaned.dropped.values()) == [2]
    assert next(iter(cleaned.dropped)).startswith(f"{column}: expected {reason}")
    assert list(cleaned.first.values()) == [7]
    assert cleaned.frame["id"].to_list() == [f"p{row}" for row in range(400) if row not in (6, 9)]
    sentence = _refused(raw, max_bad=0.0049)
    assert sentence.startswith(
        "2 of 400 rows are unusable, more than the 0.49 % allowed (--max-bad; in Python, max_bad): "
        "2 × "
    )
    assert sentence.endswith(f", got {got} (first in row 7).")


def test_missing_optional_values_are_no_reason_to_drop_a_row() -> None:
    nothing = dict.fromkeys(("fraud", "result", "mcc", "age", "email"), pl.lit(""))
    row = clean(_rows(1, **nothing), SCHEMA, key=KEY, max_bad=0.0).frame.row(0, named=True)
    assert [row[name] for name in nothing] == [None] * 5


def test_a_row_without_an_arrival_that_should_have_one_is_not_lost_in_the_order() -> None:
    cleaned = clean(
        _rows(3, seen=pl.Series(["2024-05-04T10:00:05Z", None, "2024-05-04T10:00:01Z"])),
        SCHEMA,
        key=KEY,
        max_bad=1,
    )
    assert cleaned.frame["id"].to_list() == ["p2", "p0"]
    assert cleaned.dropped == {"seen: expected a value": 1}


def test_one_percent_is_allowed_and_no_more() -> None:
    raw = _rows(200, card=pl.Series([None, None] + ["c"] * 198))
    assert len(clean(raw, SCHEMA, key=KEY).frame) == 198
    assert _refused(_rows(199, card=pl.Series([None, None] + ["c"] * 197))) == (
        "2 of 199 rows are unusable, more than the 1 % allowed (--max-bad; in Python, max_bad): "
        "2 × card: expected a value, got none (first in row 1)."
    )


def test_a_row_counts_once_however_much_is_wrong() -> None:
    raw = _rows(2, card=pl.Series([None, "c"]), amount=pl.Series(["SECRET", "SECRET"]))
    cleaned = clean(raw, SCHEMA, key=KEY, max_bad=1.0)
    assert sum(cleaned.dropped.values()) == cleaned.rows == 2
    assert len(cleaned.frame) == 0


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), 5])
def test_a_share_is_from_nought_to_one(share: float) -> None:
    with pytest.raises(ConfigurationError, match="max_bad"):
        clean(_rows(1), SCHEMA, key=KEY, max_bad=share)


# --- files as a whole -----------------------------------------------------------------------------
def test_a_missing_column_is_named() -> None:
    assert _refused(_rows(1).rename({"amount": "ammount"})) == (
        "expected a column `amount` (amount), found none: did you mean `ammount`?"
    )
    assert _refused(_rows(1).drop("currency")) == (
        "expected a column `currency` (currency), found none; of the schema's columns it has "
        "`id`, `at`, `amount`, `fraud`, `result`, `seen`, `mcc`, `age`, `email`, `card`."
    )
    assert _refused(_rows(1).drop("fraud")).endswith(
        "`card`. Labels of a file of their own are passed with `--labels` (beside `--warm`: "
        "`--warm-labels`); chargebacks alone are joined with the payments first "
        "(docs/howto/own-data.md shows how)."
    )


def test_a_file_without_a_header_gives_nothing_away() -> None:
    assert _refused(pl.DataFrame({"SECRET": ["p2"], "Ada SECRET": ["x"]})) == (
        "expected a column `id` (id), found none, nor any other of the schema's: is its first line "
        "a header?"
    )


ROW = "in each row, got type"
TIME = "an ISO 8601 date and time from 1970 to 2099"


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        (
            "id",
            pl.Series([True]),
            f"(id): expected an id of 1 to 200 printable characters {ROW} Boolean.",
        ),
        (
            "at",
            pl.Series([1714816800]),
            f"(time): expected {TIME} {ROW} Int64: a number of seconds since 1970 (declare "
            "Schema(epoch='s')).",
        ),
        (
            "at",
            pl.Series([date(2024, 5, 4)]),
            f"(time): expected {TIME} {ROW} Date: dates without a time.",
        ),
        (
            "amount",
            pl.Series([True]),
            f"(amount): expected a number from 0 to 100,000,000,000,000 {ROW} Boolean.",
        ),
        (
            "mcc",
            pl.Series([["SECRET"]]),
            f"(nominal): expected {NAME} {ROW} List(String).",
        ),
        (
            "card",
            pl.Series([b"SECRET"]),
            f"(key): expected {NAME} {ROW} Binary.",
        ),
        (
            "at",
            pl.Series([datetime(2024, 5, 4)]),
            "(time): expected times that name their zone, got type Datetime(time_unit='us', "
            "time_zone=None) without one: declare the zone they are in with Schema(timezone=…).",
        ),
    ],
)
def test_a_column_of_another_type_is_refused(column: str, values: pl.Series, sentence: str) -> None:
    assert _refused(_rows(1, **{column: values})) == f"column `{column}` {sentence}"


CARDS = ["4111111111111111", "5500-0000-0000-0004", "4012 8888 8888 1881"]


@pytest.mark.parametrize("column", ["id", "mcc", "card", "result"])
def test_card_numbers_in_the_open_are_refused(column: str) -> None:
    assert _refused(_rows(3, **{column: pl.Series(CARDS)})) == (
        f"the values of column `{column}` look like card numbers; "
        f"declare it with Schema(personal=[…, '{column}']) so that only keyed hashes are kept."
    )
    numbers = pl.Series([int(re.sub("[- ]", "", number)) for number in CARDS])
    assert "look like card numbers" in _refused(_rows(3, **{column: numbers}))


def test_card_numbers_declared_personal_are_hashed() -> None:
    frame = clean(_rows(3, email=pl.Series(CARDS)), SCHEMA, key=KEY).frame
    assert frame["email"].to_list() == [tokenizer(KEY)(number) for number in CARDS]


def test_from_csv_to_clean(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(
        b"\xef\xbb\xbfid,at,amount,x,unused\r\n"
        b'p2,2024-05-04T10:00:01+02:00, 12.50 ,"two\r\nlines",1\r\n'
        b"\r\n"
        b"p1,2024-05-04 08:00,3,,\r\n"
    )
    schema = Schema(id="id", time="at", amount="amount", nominal=["x"], timezone="UTC")
    frame = clean(read(path), schema, key=KEY, source=str(path)).frame
    assert frame.with_columns(pl.col("at").dt.epoch("s")).rows() == [
        ("p1", 1714809600, 300, None),
        ("p2", 1714809601, 1250, "two\r\nlines"),
    ]


# --- laws -----------------------------------------------------------------------------------------
VALUES = st.sampled_from(
    [
        "",
        " ",
        "x",
        "0",
        "1",
        "-1",
        "1.5",
        "0.125",
        "1e20",
        "nan",
        "inf",
        "EUR",
        "36",
        "2024-05-04T10:00Z",
        "\x00",
        "ø",
    ]
)


@settings(max_examples=80)
@given(st.lists(st.tuples(*[VALUES | st.none()] * len(SCHEMA.scales)), max_size=12))
def test_no_table_breaks_it_and_every_row_is_kept_or_counted(
    rows: list[tuple[str | None, ...]],
) -> None:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(SCHEMA.scales, pl.String), orient="row")
    cleaned = clean(raw, SCHEMA, key=KEY, max_bad=1.0)
    frame = cleaned.frame
    assert cleaned.rows == len(rows) == len(frame) + sum(cleaned.dropped.values())
    assert cleaned.dropped.keys() == cleaned.first.keys()
    assert frame["id"].is_unique().all()
    assert frame["seen"].is_sorted()
    assert (
        not frame.select("id", "at", "seen", "amount", "currency", "card")
        .null_count()
        .sum_horizontal()
        .item()
    )
    assert not frame["age"].is_nan().any()


@settings(max_examples=40)
@given(st.permutations(range(8)), st.sampled_from([1, 3, 8]))
def test_the_order_of_the_file_does_not_matter_where_arrivals_differ(
    order: list[int], ids: int
) -> None:
    seconds = pl.Series([f"2024-05-04T10:00:0{row}Z" for row in range(8)])
    raw = _rows(8, seen=seconds, id=pl.Series([f"p{row % ids}" for row in range(8)]))
    expected = clean(raw, SCHEMA, key=KEY, max_bad=1.0).frame
    assert clean(raw[order], SCHEMA, key=KEY, max_bad=1.0).frame.equals(expected)


def test_collecting_needs_no_heavy_library() -> None:
    heavy = {
        "numba",
        "sklearn",
        "scipy",
        "lightgbm",
        "onnx",
        "onnxruntime",
        "pyarrow",
        "pandas",
        "sqlglot",
        "litestar",
    }
    code = f"import sys, shroff.collect; print(sorted({heavy!r} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_times_that_come_twice_or_not_at_all_are_told_of() -> None:
    schema = Schema(id="id", time="at", amount="amount", timezone="Europe/Copenhagen")
    local = [
        "2024-03-31 01:30:00",
        "2024-03-31 02:30:00",
        "2024-10-27 02:40:00",
        "2024-10-27 02:20:00",
    ]
    raw = pl.DataFrame({"id": ["a", "b", "c", "d"], "at": local, "amount": ["1"] * 4})
    cleaned = clean(raw, schema, key=KEY, max_bad=0.5)
    assert cleaned.dropped == {
        "at: expected an ISO 8601 date and time from 1970 to 2099, "
        "got a time that the clocks skip in Europe/Copenhagen": 1
    }
    assert cleaned.frame["at"].dt.strftime("%H:%M").to_list() == ["00:30", "00:40", "01:20"]
    assert cleaned.twice == {"at": Twice(told_apart=2)}
    assert cleaned.notices(schema) == [
        "`at`: times of the hour that comes twice in Europe/Copenhagen: 2 told apart by the order "
        "of rows."
    ]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_databases_infinity_is_dropped_as_what_it_is(zone: str | None) -> None:
    times = pl.Series([2**63 - 1, 1_700_000_000_000, 0, 1]).cast(pl.Datetime("ms", zone))
    raw = pl.DataFrame({"id": ["a", "b", "c", "d"], "at": times, "amount": ["1"] * 4})
    schema = Schema(id="id", time="at", amount="amount", timezone="UTC")
    assert clean(raw, schema, key=KEY, max_bad=0.5).dropped == {
        "at: expected an ISO 8601 date and time from 1970 to 2099, "
        "got a time that is not from 1970 to 2099": 1
    }


def test_each_kind_of_wrong_time_is_counted_by_itself() -> None:
    times = ["2024-05-04T10:00:00Z", "1714816800", "05/04/2024 10:00", "1714816801"]
    raw = pl.DataFrame({"id": ["a", "b", "c", "d"], "at": times, "amount": ["1"] * 4})
    schema = Schema(id="id", time="at", amount="amount", timezone="UTC")
    with pytest.raises(TooManyBadRows) as refused:
        clean(raw, schema, key=KEY)
    assert (
        "2 × at: expected an ISO 8601 date and time from 1970 to 2099, got a number of seconds "
        "since 1970 (declare " in (str(refused.value))
    )
    assert "(first in row 3)" in str(refused.value)
    counted = Schema(id="id", time="at", amount="amount", epoch="s")
    assert len(clean(raw, counted, key=KEY, max_bad=0.25).frame) == 3


@pytest.mark.parametrize("nulls", [(), ("-1",)])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Float64, pl.String, pl.Decimal(20, 3)])
def test_numbers_since_1970_are_read_from_any_type(
    dtype: pl.DataType, nulls: tuple[str, ...]
) -> None:
    schema = Schema(
        id="id",
        time="at",
        amount="amount",
        labelled_at="seen",
        label="fraud",
        epoch="ms",
        nulls=nulls,
    )
    raw = pl.DataFrame(
        {
            "id": ["a", "b"],
            "at": pl.Series([1714816800123, 1714816800124]).cast(dtype),
            "seen": ["2024-05-05T10:00:00Z", None],
            "fraud": [True, False],
            "amount": ["1", "1"],
        }
    )
    frame = clean(raw, schema, key=KEY).frame
    assert frame["at"].dt.epoch("ms").to_list() == [1714816800123, 1714816800124]
    assert frame["seen"].dt.epoch("ms").to_list() == [1714903200000, None]
