"""The expression language: a table of cases, and the law that every engine gives the same."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from shroff.errors import InvalidExpression
from shroff.expression import Expression, Kind, Value, parse, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Row = Mapping[str, object]

KINDS: dict[str, Kind] = {
    **dict.fromkeys(["a", "b", "c"], "number"),
    **dict.fromkeys(["s", "t", "Name with blank"], "text"),
    **dict.fromkeys(["p", "q"], "boolean"),
    **dict.fromkeys(["u", "v"], "time"),
}
DTYPES = {
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
}
LISTS = {"red": ["x", "it's", "100%"], "empty": []}
EARLY, LATE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)


def read(sql: str) -> Expression:
    return parse(sql, KINDS, LISTS)


def by_closure(expression: Expression, rows: Sequence[Row]) -> list[Value]:
    closure = expression.closure(LISTS)
    known: list[Any] = [
        {name: value for name, value in row.items() if value is not None} for row in rows
    ]
    return [closure(row) for row in known]


def by_polars(expression: Expression, rows: Sequence[Row]) -> list[Value]:
    columns = {name: [row.get(name) for row in rows] for name in KINDS}
    frame = pl.DataFrame(
        columns, schema={name: DTYPES[kind] for name, kind in KINDS.items()}, strict=False
    )
    result = frame.with_columns(expression.polars(LISTS).alias("result"))["result"]
    assert result.dtype == DTYPES[expression.kind]
    return result.to_list()


def same(left: Sequence[Value], right: Sequence[Value]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(type(one) is type(other) and one == other for one, other in pairs)


CASES: list[tuple[str, dict[str, object], Value]] = [
    # comparisons, with nulls
    ("a = 1", {"a": 1.0}, True),
    ("a = 1", {"a": -1.0}, False),
    ("a = 1", {}, None),
    ("a = NULL", {"a": 1.0}, None),
    ("NULL = NULL", {}, None),
    ("a <> 1", {"a": 2.0}, True),
    ("a < 1", {"a": 0.5}, True),
    ("a = -0.0", {"a": 0.0}, True),
    ("s < t", {"s": "\uffff", "t": "\U00010000"}, True),  # by code point, not by UTF-16 unit
    ("s = 'a\\nb'", {"s": "a\\nb"}, True),
    ("\"Name with blank\" = '${x}'", {"Name with blank": "${x}"}, True),
    ("p <> q", {"p": False, "q": True}, True),
    ("p = (a > 1)", {"p": False, "a": 1.0}, True),
    ("u < v", {"u": EARLY, "v": LATE}, True),
    ("u = v", {"u": EARLY}, None),
    ("u = NULL", {"u": EARLY}, None),
    ("v BETWEEN u AND v", {"u": EARLY, "v": LATE}, True),
    ("u IS NULL", {"u": EARLY}, False),
    # three-valued logic
    ("p AND q", {"p": True, "q": True}, True),
    ("p AND q", {"p": True}, None),
    ("p AND q", {"q": False}, False),
    ("p AND NULL", {"p": False}, False),
    ("p OR q", {"q": True}, True),
    ("NOT p", {"p": False}, True),
    ("NOT p", {}, None),
    ("NOT p = q", {"p": True, "q": False}, True),
    ("p IS TRUE", {}, False),
    ("p IS NOT TRUE", {}, True),
    ("p IS FALSE", {"p": False}, True),
    ("p IS NOT FALSE", {}, True),
    ("p IS NULL", {}, True),
    ("a / 0 IS NULL", {"a": 1.0}, True),
    # IN, BETWEEN, LIKE
    ("a IN (1, -2)", {"a": -2.0}, True),
    ("a IN (1, 0)", {"a": -0.0}, True),
    ("a IN (1, NULL)", {"a": 2.0}, None),
    ("a NOT IN (1, NULL)", {"a": 2.0}, None),
    ("a NOT IN (1, NULL)", {"a": 1.0}, False),
    ("a NOT IN (1, 2)", {"a": 3.0}, True),
    ("a IN (NULL)", {"a": 3.0}, None),
    ("s IN ('x', 'y')", {"s": "y"}, True),
    ("s IN red", {"s": "it's"}, True),
    ("s IN (red)", {"s": "y"}, False),
    ("s IN red", {}, None),
    ("s IN empty", {}, False),
    ("s NOT IN empty", {}, True),
    ("a BETWEEN 1 AND 2", {"a": 2.0}, True),
    ("a BETWEEN 2 AND b", {"a": 1.0}, False),
    ("a NOT BETWEEN 1 AND b", {"a": 2.0}, None),
    ("s BETWEEN 'a' AND 'b'", {"s": "abc"}, True),
    ("s LIKE 'a'", {"s": "abc"}, False),
    ("s LIKE 'a_c'", {"s": "a\nc"}, True),
    ("s LIKE 'a%c'", {"s": "a\r\n\nc"}, True),
    ("s LIKE '_'", {"s": "\U0001f600"}, True),
    ("s LIKE '%a%b%'", {"s": "b a a b a"}, True),
    ("s LIKE '%ab%ab'", {"s": "abcab"}, True),
    ("s LIKE '%ab%ab'", {"s": "ab"}, False),
    ("s LIKE 'a.[b]*\\ $^'", {"s": "a.[b]*\\ $^"}, True),
    ("s LIKE '50!%' ESCAPE '!'", {"s": "50%"}, True),
    ("s LIKE '50!%' ESCAPE '!'", {"s": "500"}, False),
    ("s LIKE '!!!_' ESCAPE '!'", {"s": "!_"}, True),
    ("s NOT LIKE 'a%'", {}, None),
    ("s LIKE ''", {"s": ""}, True),
    # numbers
    ("a * 3", {"a": 0.1}, 0.30000000000000004),
    ("a / 10", {"a": 3.0}, 0.3),
    ("a / b", {"a": 1.0, "b": 0.0}, None),
    ("a % 3", {"a": 7.5}, 1.5),
    ("a % 3", {"a": -7.5}, -1.5),
    ("a % b", {"a": 1.0, "b": 0.1}, 0.09999999999999995),
    ("a % 0", {"a": 1.0}, None),
    ("1 + 2 * 3 - 4 / 8", {}, 6.5),
    ("-a - -2", {"a": 1.0}, 1.0),
    ("a * 10", {"a": 1e308}, None),
    ("1 / (a * 10)", {"a": 1e308}, None),
    ("a", {"a": math.inf}, None),
    ("a > 1", {"a": math.nan}, None),
    ("a % b", {"a": math.inf, "b": 2.0}, None),
    ("ABS(a)", {"a": -2.0}, 2.0),
    ("SQRT(a)", {"a": 2.0}, 1.4142135623730951),
    ("SQRT(a)", {"a": -2.0}, None),
    ("LN(a)", {"a": 0.0}, None),
    ("ROUND(a)", {"a": 2.5}, 3.0),
    ("ROUND(a)", {"a": -2.5}, -3.0),
    ("ROUND(a)", {"a": 0.49999999999999994}, 0.0),
    ("ROUND(a)", {"a": 4503599627370497.0}, 4503599627370497.0),
    ("LEAST(a, b, 3)", {"b": 4.0}, 3.0),
    ("FLOOR(a)", {"a": -2.5}, -3.0),
    ("FLOOR(FLOOR(a) / 2)", {"a": 1e300}, 5e299),
    ("CEIL(a)", {"a": 2.1}, 3.0),
    ("1 / CEIL(a)", {"a": -0.5}, None),
    ("CEIL(a)", {}, None),
    ("EXP(a)", {"a": 1.0}, math.e),
    ("EXP(a)", {"a": 709.8}, None),
    ("EXP(a)", {"a": -1e300}, 0.0),
    ("EXP(a)", {}, None),
    ("POWER(a, 2)", {"a": 0.1}, 0.1 * 0.1),
    ("POW(a, b)", {"a": 10.0, "b": -3.0}, 0.001),
    ("POWER(a, b)", {"a": 2.0, "b": 1024.0}, None),
    ("POWER(a, b)", {"a": 2.0, "b": -1074.0}, 5e-324),
    ("POWER(a, -2)", {"a": 1e155}, 1e-310),
    ("POWER(1e155, -2) > a", {"a": 0.0}, True),
    ("POWER(a, b)", {"a": 0.0, "b": 0.0}, 1.0),
    ("POWER(a, b)", {"a": -0.0, "b": -1.0}, None),
    ("POWER(a, b)", {"a": -8.0, "b": 1 / 3}, None),
    ("POWER(a, b)", {"a": -3.0, "b": 65.0}, -(3.0**65)),
    ("POWER(a, 0)", {}, None),
    ("DISTANCE_KM(a, b, 40.7128, -74.006) > 5800", {"a": 48.8566, "b": 2.3522}, True),
    ("DISTANCE_KM(a, b, a, b)", {"a": 48.8566, "b": 2.3522}, 0.0),
    ("DISTANCE_KM(a, b, 0, -179.5) < 120", {"a": 0.0, "b": 179.5}, True),
    ("DISTANCE_KM(a, b, 0, 0)", {"a": 90.5, "b": 0.0}, None),
    ("DISTANCE_KM(a, b, c, 0)", {"a": 1.0, "b": 0.0}, None),
    ("DISTANCE_KM(a, b, 0, 0)", {"a": 1.0, "b": math.nan}, None),
    ("SIMILARITY(s, t)", {"s": "night", "t": "nacht"}, 0.5),
    ("SIMILARITY(s, 'ab')", {"s": "ab"}, 1.0),
    ("SIMILARITY(s, t)", {"s": "a"}, None),
    ("SIMILARITY(s, t)", {"s": "", "t": ""}, 1.0),
    ("REGEXP_LIKE(s, '^[a-z]+[0-9]{4,}@(web)?mail\\.')", {"s": "xq2041@mail.com"}, True),
    ("NOT REGEXP_LIKE(s, 'a.c$')", {"s": "abcd"}, True),
    ("REGEXP_LIKE(s, 'a.c')", {"s": "a\nc"}, False),
    ("DATE_DIFF('day', s, t)", {"s": "2024-03-30", "t": "2024-04-01T00:00:00+02:00"}, 1.0),
    ("DATE_DIFF('week', t, s)", {"s": "2024-03-01", "t": "2024-03-31"}, -4.0),
    ("DATE_DIFF('hour', s, '2024-03-31 23:59:59.999')", {"s": "2024-03-31"}, 23.0),
    ("DATE_DIFF('day', s, t)", {"s": "2024-02-30", "t": "2024-03-01"}, None),
    ("DATE_DIFF('day', s, t)", {"s": "2024-03-01"}, None),
    ("REGEXP_LIKE(s, '')", {"s": ""}, True),
    ("REGEXP_LIKE(s, 'it''s')", {"s": "it's"}, True),
    ("REGEXP_LIKE(s, 'a')", {}, None),
    # text
    ("LOWER(s)", {"s": "ÀΣ"}, "àς"),
    ("UPPER(s)", {"s": "straße"}, "STRASSE"),
    ("LENGTH(s)", {"s": "a\U0001f600"}, 2.0),
    ("SUBSTR(s, 1, 2)", {"s": "a\U0001f600b"}, "a\U0001f600"),
    ("SUBSTRING(s, 3)", {"s": "a\U0001f600bc"}, "bc"),
    ("SUBSTR(s, 4, 2)", {"s": "abc"}, ""),
    ("SUBSTR(s, 1, 6) = '411111'", {"s": "4111111111111111"}, True),
    ("SUBSTR(s, 1)", {}, None),
    ("SUBSTR(NULL, 2) IS NULL", {}, True),
    ("s || '-' || t", {"s": "a", "t": "b"}, "a-b"),
    ("CONCAT(s, t, 'c')", {"s": "a"}, None),
    # choices
    ("COALESCE(a, b, 0)", {"b": 2.0}, 2.0),
    ("NULLIF(a, b)", {"a": 1.0, "b": 1.0}, None),
    ("NULLIF(a, b)", {"a": 1.0}, 1.0),
    ("NULLIF(NULL, 1) IS NULL", {}, True),
    ("CASE WHEN p THEN 1 WHEN q THEN 2 END", {"q": True}, 2.0),
    ("CASE WHEN p THEN 1 WHEN q THEN 2 END", {"q": False}, None),
    ("CASE WHEN p THEN 'yes' ELSE s END", {"s": "no"}, "no"),
    ("CASE a WHEN 1 THEN 'one' WHEN NULL THEN 'never' ELSE 'other' END", {}, "other"),
    ("a > 1 -- a remark\n AND /* another */ b > 1", {"a": 2.0, "b": 2.0}, True),
]


@pytest.mark.parametrize(("sql", "row", "expected"), CASES)
def test_case(sql: str, row: dict[str, object], expected: Value) -> None:
    expression = read(sql)
    assert same(by_closure(expression, [row]), [expected])
    assert same(by_polars(expression, [row]), [expected])


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # PySpark leaves a socket open
def test_spark_gives_the_same(spark: SparkSession) -> None:
    types = {"number": "double", "text": "string", "boolean": "boolean", "time": "timestamp"}
    schema = ", ".join(f"`{name}` {types[kind]}" for name, kind in KINDS.items())
    # Spark's columns are finite or null
    cases = [case for case in CASES if not {math.inf, math.nan}.intersection(case[1].values())]
    register(spark)
    frame = spark.createDataFrame(
        [[row.get(name) for name in KINDS] for _, row, _ in cases], schema
    )
    # compiling a hundred expressions would take longer than reading them
    interpreted = {
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    for name, value in interpreted.items():
        spark.conf.set(name, value)
    try:
        table = frame.selectExpr(*(read(sql).spark_sql(LISTS) for sql, _, _ in cases)).collect()
    finally:
        for name in interpreted:
            spark.conf.unset(name)
    assert same(
        [row[place] for place, row in enumerate(table)], [expected for _, _, expected in cases]
    )


# ---- random conditions


def literal(value: float) -> str:
    return str(value) if value >= 0 else f"(-{-value})"


def numbers(leaf: st.SearchStrategy[float]) -> st.SearchStrategy[str]:
    return st.sampled_from(["a", "b", "c", "NULL"]) | leaf.map(literal)


def texts() -> st.SearchStrategy[str]:
    quoted = st.text("ab%_'\\.\n", max_size=3).map(lambda text: "'" + text.replace("'", "''") + "'")
    return st.sampled_from(["s", "t", '"Name with blank"', "NULL"]) | quoted


def fill(*templates: str, **parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One of the templates with its `{name}`s filled."""
    drawn = st.fixed_dictionaries(
        {name: st.tuples(part, part, part) for name, part in parts.items()}
    )
    return st.tuples(st.sampled_from(templates), drawn).map(lambda pair: pair[0].format(**pair[1]))


def conditions(
    leaf: st.SearchStrategy[float], depth: int, *, portable: bool = False
) -> tuple[st.SearchStrategy[str], st.SearchStrategy[str], st.SearchStrategy[str]]:
    """SQL texts of kind number, text and boolean; `portable` leaves out what SQLite reads
    differently.
    """
    n, s = numbers(leaf), texts()
    p: st.SearchStrategy[str] = st.sampled_from(["p", "q", "TRUE", "FALSE", "NULL"])
    for _ in range(depth):
        own = [] if portable else OURS_NUMBER
        n, s, p = (
            n | fill(*NUMBER, *own, n=n, s=s, p=p),
            s | fill(*TEXT, *([] if portable else OURS_TEXT), n=n, s=s, p=p),
            p | fill(*BOOLEAN, *([] if portable else OURS_BOOLEAN), n=n, s=s, p=p),
        )
    return n, s, p


NUMBER = [
    *[f"({{n[0]}} {op} {{n[1]}})" for op in "+-*/"],
    "({n[0]} + {n[1]} + {n[2]})",
    "({n[0]} * {n[1]} * {n[2]})",
    "(- {n[0]})",
    "ABS({n[0]})",
    "LENGTH({s[0]})",
    "COALESCE({n[0]}, {n[1]}, {n[2]})",
    "NULLIF({n[0]}, {n[1]})",
    "CASE WHEN {p[0]} THEN {n[0]} WHEN {p[1]} THEN {n[1]} ELSE {n[2]} END",
    "CASE {n[0]} WHEN {n[1]} THEN {n[2]} END",
]
OURS_NUMBER = [
    "({n[0]} % {n[1]})",
    *[f"{function}({{n[0]}})" for function in ("SQRT", "LN", "ROUND", "EXP", "FLOOR", "CEIL")],
    "POWER({n[0]}, {n[1]})",
    "DISTANCE_KM({n[0]}, {n[1]}, {n[2]}, {n[0]})",
    "SIMILARITY({s[0]}, {s[1]})",
    "LEAST({n[0]}, {n[1]}, {n[2]})",
    "GREATEST({n[0]}, {n[1]})",
]
TEXT = [
    "({s[0]} || {s[1]})",
    "LOWER({s[0]})",
    "UPPER({s[0]})",
    "COALESCE({s[0]}, {s[1]})",
    "NULLIF({s[0]}, {s[1]})",
    "CASE WHEN {p[0]} THEN {s[0]} ELSE {s[1]} END",
]
OURS_TEXT = [
    *("SUBSTR({s[0]}, 2, 1)", "SUBSTR({s[0]}, 3)"),
    "CONCAT({s[0]}, {s[1]}, {s[2]})",
    "GREATEST({s[0]}, {s[1]}, {s[2]})",
    "LEAST({s[0]}, {s[1]})",
]
BOOLEAN = [
    *[f"({{{k}[0]}} {op} {{{k}[1]}})" for k in "ns" for op in ["=", "<>", "<", "<=", ">", ">="]],
    "({p[0]} = {p[1]})",
    "({p[0]} AND {p[1]} AND {p[2]})",
    "({p[0]} OR {p[1]})",
    "(NOT {p[0]})",
    "({p[0]} IS NOT TRUE)",
    "({p[0]} IS FALSE)",
    "({n[0]} IS NULL)",
    "({s[0]} IS NOT NULL)",
    "({n[0]} IN (1.0, 0.0, NULL))",
    "({s[0]} NOT IN ('a', 'b%'))",
    "({n[0]} BETWEEN {n[1]} AND {n[2]})",
    "({s[0]} NOT BETWEEN {s[1]} AND {s[2]})",
    "({s[0]} LIKE '%a_b%')",
    "({s[0]} NOT LIKE 'a%\\')",
    "COALESCE({p[0]}, {p[1]})",
    "CASE WHEN {p[0]} THEN {p[1]} END",
]
OURS_BOOLEAN = [
    "REGEXP_LIKE({s[0]}, '^a[^bB]*|[%_.]B.?$')",
    "({s[0]} IN red)",
    "({s[0]} NOT IN empty)",
    "(u <= v)",
    "(u = v)",
    "(v IS NULL)",
]

HARD = [0.0, -0.0, 1.0, 3.0, 0.1, 2.5, -7.0, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]
ANY_NUMBER = st.sampled_from(HARD) | st.floats()
FINITE = st.sampled_from([number for number in HARD if math.isfinite(number)]) | st.floats(
    -1e3, 1e3
)
SMALL = st.integers(-64, 64).map(lambda eighths: eighths / 8)
HEIGHT = 5
A_TEXT = st.text("abAB%_'\\.\nàß\U0001f600", max_size=5)


def rows(
    number: st.SearchStrategy[float], text: st.SearchStrategy[str]
) -> st.SearchStrategy[list[Row]]:
    values: dict[Kind, st.SearchStrategy[object]] = {
        "number": number,
        "text": text,
        "boolean": st.booleans(),
        "time": st.sampled_from([EARLY, LATE]),
    }
    columns = st.fixed_dictionaries({name: column(values[kind]) for name, kind in KINDS.items()})
    return st.builds(first_rows, columns, st.integers(1, HEIGHT))


def column(value: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    # one value throughout, and null throughout, take other ways through Polars
    mixed = st.lists(st.none() | value, min_size=HEIGHT, max_size=HEIGHT)
    return mixed | (value | st.none()).map(lambda one: [one] * HEIGHT)


def first_rows(columns: Mapping[str, Sequence[object]], height: int) -> list[Row]:
    return [{name: values[place] for name, values in columns.items()} for place in range(height)]


def read_random(sql: str) -> Expression:
    try:
        return read(sql)
    except InvalidExpression as error:
        if "(null)" in str(error):
            reject()  # nothing but NULL has no kind
        raise


@settings(max_examples=250)
@given(st.one_of(*conditions(FINITE, 3)), rows(ANY_NUMBER, A_TEXT))
def test_polars_equals_the_closure(sql: str, table: list[Row]) -> None:
    expression = read_random(sql)
    assert same(by_closure(expression, table), by_polars(expression, table))


@settings(max_examples=120)
@given(
    st.one_of(*conditions(SMALL, 2, portable=True)),
    rows(SMALL, st.text("abAB%_'\\.\n", max_size=4)),
)
def test_sqlite_is_of_the_same_opinion(sql: str, table: list[Row]) -> None:
    expression = read_random(sql)
    assert by_closure(expression, table) == by_sqlite(sql, table)


PRECEDENCE = [
    "NOT a = b",
    "NOT p AND q",
    "p OR q AND a > b",
    "- a * b + c",
    "a / b * c",
    "a BETWEEN b AND c AND p",
    "NOT a IN (1.0, 2.0)",
    "s || t = 'ab'",
    "a + b > c AND p",
    "a > b = p",
]


@pytest.mark.parametrize("sql", PRECEDENCE)
@settings(max_examples=20)
@given(rows(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from(["a", "b"])))
def test_operators_bind_as_in_sql(sql: str, table: list[Row]) -> None:
    assert by_closure(read(sql), table) == by_sqlite(sql, table)


def by_sqlite(sql: str, table: Sequence[Row]) -> list[object]:
    names = [name for name, kind in KINDS.items() if kind != "time"]
    with sqlite3.connect(":memory:") as base:
        base.execute("PRAGMA case_sensitive_like = ON")
        columns = ", ".join(
            f'"{name}" {"REAL" if KINDS[name] == "number" else ""}' for name in names
        )
        base.execute(f"CREATE TABLE payments ({columns})")
        marks = ", ".join("?" * len(names))
        base.executemany(
            f"INSERT INTO payments VALUES ({marks})",
            [[row[name] for name in names] for row in table],
        )
        return [value for (value,) in base.execute(f"SELECT {sql} FROM payments ORDER BY rowid")]


# ---- exactness, where a column is long


@pytest.mark.parametrize(
    "sql",
    [
        *("a / 3", "a / 10", "10 / a", "a / b", "a % 0.1", "LN(ABS(a))", "SQRT(a)", "ROUND(a)"),
        *("EXP(a)", "POWER(ABS(a), b)", "DISTANCE_KM(a, b, b, a)"),
    ],
)
def test_arithmetic_is_equal_to_the_bit(sql: str) -> None:
    random = np.random.default_rng(7)
    scale = 10.0 ** random.integers(-9, 9, size=(2, 5000))
    a, b = (random.normal(size=(2, 5000)) * scale).tolist()
    table = [{"a": x, "b": y} for x, y in zip(a, b, strict=True)]
    expression = read(sql)
    assert same(by_closure(expression, table), by_polars(expression, table))


def test_a_column_may_be_null_throughout() -> None:
    for sql in (
        "0 < -a",
        "NULLIF(1, ABS(a))",
        "'x' = LOWER(NULLIF(s, 'x'))",
        "1 = CASE WHEN p THEN 1 END",
    ):
        assert same(by_closure(read(sql), [{}, {}]), by_polars(read(sql), [{}, {}]))


def test_nested_conditions_stay_linear() -> None:
    sql = "a"
    for _ in range(12):
        sql = f"NULLIF(({sql}) / 3 + 1, 0) % 1000"
    table: list[Row] = [{"a": 1.0}, {"a": -5.0}]
    assert same(by_closure(read(sql), table), by_polars(read(sql), table))


@pytest.mark.parametrize(
    "sql",
    [
        " OR ".join(f"a = {number}" for number in range(2000)),
        " + ".join(f"CASE WHEN a = {number} THEN 1 ELSE 0 END" for number in range(400)),
        f"CASE a {' '.join(f'WHEN {number} THEN {number + 1}' for number in range(400))} END",
        " || ".join(["s"] * 2000),
        f"COALESCE({', '.join(['NULLIF(a, a)'] * 2000)}, a)",
    ],
)
def test_length_is_not_depth(sql: str) -> None:
    table: list[Row] = [{"a": 399.0, "s": "x"}, {"a": -5.0}, {}]
    assert same(by_closure(read(sql), table), by_polars(read(sql), table))
