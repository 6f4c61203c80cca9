"""The attributes of a condition, the values of rows and lists, and the refusals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from time import process_time

import numpy as np
import polars as pl
import pytest

from shroff.errors import BadPayment, ConfigurationError, InvalidExpression, UnknownColumn
from shroff.expression import Expression, Kind, parse
from shroff.expression.parsing import MAX_CHARACTERS

KINDS: dict[str, Kind] = {
    **dict.fromkeys(["a", "b"], "number"),
    **dict.fromkeys(["s", "t", "Name with blank"], "text"),
    **dict.fromkeys(["p", "q"], "boolean"),
    **dict.fromkeys(["u", "v"], "time"),
}


def read(sql: str) -> Expression:
    return parse(sql, KINDS, ["red", "empty"])


@pytest.mark.parametrize("number", [".5.", "1.2.", "5.e", "1e", "1e+"])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(InvalidExpression, match=r"expected a number such as|is not a SQL"):
        read(f"a > {number}")


def test_nothing_but_the_refusal_says_what_somebody_wrote(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidExpression, match=r"IF s = 'ada@example\.org'"):
        read("IF s = 'ada@example.org'")
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


# ---- texts are compared as columns have them


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "s = '555.0'",
            "'555.00' = s",
            "s IN ('555.0', 'x')",
            "s IN ('x', '555')",
            "s BETWEEN '555.0' AND '555'",
        ),
        *(
            "CASE s WHEN '555.0' THEN TRUE ELSE FALSE END",
            "NULLIF(s, '555.0') IS NULL",
            "s <> '0555.0'",
        ),
        "CONCAT(s, '.0') = '555.0'",
    ],
)
def test_a_text_is_compared_as_a_column_has_it(sql: str) -> None:
    condition = read(sql)
    assert condition.closure()({"s": "555"}) is True
    assert pl.DataFrame({"s": ["555"]}).select(condition.polars()).to_series().to_list() == [True]


# ---- what a row may hold


def test_a_number_may_come_in_any_clothes() -> None:
    closure = read("a * 2 > 1").closure()
    for value in (1, True, np.float32(1.0), np.int64(1)):
        assert closure({"a": value}) is True  # type: ignore[dict-item]  # wrong on purpose
    assert closure({"a": 10**400}) is None


def test_a_text_in_a_number_column_is_refused_without_its_value() -> None:
    with pytest.raises(BadPayment, match="expected a number in column `a`, got `str`") as caught:
        read("a > 1").closure()({"a": "4111111111111111"})
    assert "4111" not in str(caught.value)


def test_integer_columns_are_read_as_float64() -> None:
    frame = pl.DataFrame({"a": [2**53 + 1, 7]})
    assert frame.select(read("a / 2").polars().alias("r"))["r"].to_list() == [2.0**52, 3.5]
    assert read("a / 2").closure()({"a": 2**53 + 1}) == 2.0**52


def test_hostile_text_does_not_stall_like() -> None:
    closure = read("s LIKE '%a%a%a%a%a%a%a%a%b'").closure()
    assert closure({"s": "a" * 5000}) is False


# ---- what an expression says of itself


def test_an_expression_names_what_it_reads() -> None:
    expression = read("a > 1 AND s IN red OR \"Name with blank\" LIKE 'x'")
    assert expression.columns == {"a", "s", "Name with blank"}
    assert expression.lists == {"red"}
    assert expression.kind == "boolean"
    assert [read(sql).kind for sql in ("a + 1", "LOWER(s)", "p")] == ["number", "text", "boolean"]


def test_an_expression_is_a_value() -> None:
    expression = read("a > 1")
    assert expression == read("a > 1")
    assert hash(expression) == hash(read("a > 1"))
    assert pickle.loads(pickle.dumps(expression)) == expression  # noqa: S301  # our own bytes


def test_columns_are_case_sensitive() -> None:
    with pytest.raises(UnknownColumn, match="unknown column `A` in `A > 1`: did you mean `a`"):
        read("A > 1")


def test_lists_are_taken_when_compiled() -> None:
    values = ["x"]
    closure = read("s IN red").closure({"red": values})
    values.append("y")
    assert closure({"s": "y"}) is False


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({}, "no values for the named list `red`; give them in `lists`"),
        ({"reds": ["x"]}, "no values for the named list `red`: did you mean `reds`?"),
        ({"red": "XY"}, "expected a collection of texts for the named list `red`"),
        ({"red": [1]}, "expected a collection of texts for the named list `red`"),
    ],
)
def test_a_list_must_have_texts(lists: dict[str, list[str]], sentence: str) -> None:
    compilers: list[Callable[[dict[str, list[str]]], object]]
    compilers = [read("s IN red").closure, read("s IN red").polars, read("s IN red").spark_sql]
    for compiler in compilers:
        with pytest.raises(ConfigurationError) as caught:
            compiler(lists)
        assert str(caught.value) == sentence


# ---- refusals

KINDS_WRONG = [
    (
        "a > '50'",
        "`>` takes values of one kind, got `a` (number) and `'50'` (text) in `a > '50'`: "
        "`a` holds numbers, so write 50 without quotes",
    ),
    (
        "s = 5411",
        "`=` takes values of one kind, got `s` (text) and `5411` (number) in `s = 5411`: "
        "`s` holds texts, so write '5411' in single quotes",
    ),
    (
        "s IN ('6011', 5411)",
        "`IN` takes values of one kind, got `s` (text) and `5411` (number) in `s IN ('6011', "
        "5411)`: `s` holds texts, so write '5411' in single quotes",
    ),
    (
        "a > 'much'",
        "`>` takes values of one kind, got `a` (number) and `'much'` (text) in `a > 'much'`: "
        "write a number without quotes, and a text in single quotes",
    ),
    (
        "p = 1",
        "`=` takes values of one kind, got `p` (boolean) and `1` (number) in `p = 1`: "
        "a boolean only compares with TRUE, FALSE or another boolean",
    ),
    (
        "u > '2024-01-01'",
        "`>` takes values of one kind, got `u` (time) and `'2024-01-01'` (text) in `u > "
        "'2024-01-01'`: a time only compares with another time column, or IS NULL",
    ),
    ("a AND p", "`AND` takes boolean, got `a` (number) and `p` (boolean) in `a AND p`"),
    (
        "NOT a",
        "`NOT` takes boolean, got `a` (number) in `NOT a`: compare it first, as in `amount > 0`",
    ),
    ("p > q", "`>` takes number or text or time, got `p` (boolean)"),
    ("s + 1", "`+` takes number, got `s` (text) and `1` (number)"),
    ("a || s", "`CONCAT` takes text, got `a` (number) and `s` (text)"),
    ("LOWER(a)", "`LOWER` takes text, got `a` (number)"),
    ("COALESCE(u, v)", "`COALESCE` takes number or text or boolean, got `u` (time)"),
    ("u IN (1)", "`IN` takes number or text or boolean"),
    ("a IN ('x')", "`IN` takes values of one kind, got `a` (number) and `'x'` (text)"),
    ("a IN red", "`IN a named list` takes text, got `a` (number)"),
    ("a LIKE '5%'", "`LIKE` takes text, got `a` (number)"),
    ("a IS TRUE", "`IS TRUE` takes boolean, got `a` (number)"),
    (
        "a BETWEEN 1 AND 'x'",
        "`BETWEEN` takes values of one kind, got `a` (number) and `'x'` (text)",
    ),
    (
        "CASE WHEN p THEN 1 ELSE 'x' END",
        "`CASE` takes values of one kind, got `1` (number) and `'x'` (text)",
    ),
    ("CASE WHEN a THEN 1 END", "`CASE WHEN` takes boolean, got `a` (number)"),
    ("u", "expected a condition, a number or a text, got `u` (time): compare it"),
    (
        "COALESCE(NULL)",
        "expected a condition, a number or a text, got `COALESCE(NULL)` (null): compare it",
    ),
]
NOT_OURS = [
    (
        "SELECT 1",
        "`SELECT 1` is not a SQL condition: it breaks at `SELECT`, line 1, column 1; use columns",
    ),
    ("a >", "`a >` is not a SQL condition: it breaks at `>`, line 1, column 3; use columns"),
    ("a ' b", "a quote or a comment stays open"),
    ("", "expected one SQL condition, got 0 in ``; use columns"),
    ("p; q", "expected one SQL condition, got 2 in `p; q`; use columns"),
    ("a IN (SELECT 1)", "is not part of the expression language; use columns"),
    ("EXISTS(SELECT 1)", "is not part of the expression language; use columns"),
    ("SUM(a) > 1", "`SUM(a)` is not part of the expression language; use columns"),
    ("COUNT(*) > 1", "`COUNT(*)` is not part of the expression language; use columns"),
    ("SUM(a) OVER () > 1", "is not part of the expression language; use columns"),
    ("ROUND(a, 2)", "`ROUND(a, 2)` is not part of the expression language; use columns"),
    ("a IS b", "; use columns"),
    ("a::int", "is not part of the expression language"),
    ("payments.a > 1", "`payments.a` is not part of the expression language"),
    ("s ILIKE 'x'", "is not part of the expression language"),
    ("s LIKE t", "LIKE takes a pattern in single quotes, got `t` in `s LIKE t`"),
    ("s LIKE 'a!b' ESCAPE '!'", "must stand before %, _ or itself"),
    ("s LIKE 'a' ESCAPE 'xy'", "expected LIKE 'pattern' ESCAPE 'one character'"),
    ("LENGHT(s) > 1", "unknown function `LENGHT` in `LENGHT(s) > 1`: did you mean `LENGTH`?"),
    ("wizard(s)", "unknown function `wizard` in `wizard(s)`; use columns"),
    ("LEAST(a)", "wrong number of arguments in `LEAST(a)`: got 1"),
    ("a IN ()", "needs at least one value in its list"),
    ("a IN (b, 1)", "IN takes literals or one named list"),
    ("s IN rad", "unknown named list `rad` in `s IN rad`: did you mean `red`?"),
    ("s IN black", "unknown named list `black` in `s IN black`: the named lists are empty, red"),
    ("red = s", "`red` is a named list: write `column IN red` in `red = s`"),
    ("a > 1e400", "the number `1e400` is too large for a float64"),
    ("NOT " * 100 + "p", "nested deeper than 50 levels"),
    ("(" * 5000 + "a" + ")" * 5000, "nested deeper than 50 levels"),
]


@pytest.mark.parametrize(("sql", "sentence"), KINDS_WRONG + NOT_OURS)
def test_what_does_not_fit_is_refused_in_one_sentence(sql: str, sentence: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        read(sql)
    assert sentence in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_nothing_the_user_wrote_is_ignored() -> None:
    for sql in (
        "a BETWEEN SYMMETRIC 2 AND 1",
        "a > 1 ORDER BY a",
        "LEAST(DISTINCT a, b)",
        "a COLLATE b = 1",
        "p q",
    ):
        with pytest.raises(ConfigurationError):
            read(sql)


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("wizard > 1", "unknown column `wizard` in `wizard > 1`"),
        (
            's = "failed"',
            'unknown column `failed` in `s = "failed"`: a text is written in single quotes',
        ),
        (
            'a > "400.00"',
            'unknown column `400.00` in `a > "400.00"`: write the number 400.00 without quotes',
        ),
    ],
)
def test_unknown_columns_are_named(sql: str, sentence: str) -> None:
    with pytest.raises(UnknownColumn) as caught:
        read(sql)
    assert str(caught.value) == sentence


def test_user_text_never_enters_the_generated_source() -> None:
    name, text = "x'); import os #", '"""\\\n\'{0}'
    sql = f'"{name}" = \'' + text.replace("'", "''") + "'"
    assert parse(sql, {name: "text"}).closure()({name: text}) is True


def _filled(head: str, unit: str, tail: str = "", close: str = "") -> str:
    """A condition of as many characters as one may have, or a few fewer."""
    many = (MAX_CHARACTERS - len(head) - len(tail)) // len(unit + close)
    return head + unit * many + tail + close * many


LARGE = {
    "brackets": _filled("", "(", "a > 1", ")"),
    "open brackets": _filled("", "("),
    "NOT": _filled("", "NOT ", "p"),
    "signs": _filled("a > ", "- ", "1"),
    "AND": _filled("a > 1", " AND a > 1"),
    "plus": _filled("a > 1", "+1"),
    "functions": _filled("", "LOWER(", "s", ")"),
    "CASE": _filled("CASE ", "WHEN p THEN 1 ", "END > 1"),
    "CASE in CASE": _filled("", "CASE WHEN p THEN ", "1", " END"),
    "IN": _filled("s IN ('a'", ",'b'", ")"),
    "LIKE": _filled("s LIKE '", "%a", "'"),
    "LIKE one": _filled("s LIKE '", "%_", "b'"),
    "digits": _filled("a > ", "9"),
    "quotes": _filled("", "'"),
    "comments": _filled("", "/*"),
    "selects": _filled("", "(SELECT ", "1", ")"),
    "casts": _filled("a", "::int", " > 1"),
    "a name": _filled("", "x", " > 1"),
    "statements": _filled("p", ";p"),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_conditions_are_read_or_refused_at_once_and_in_a_sentence(name: str) -> None:
    before = process_time()
    try:
        closure = read(LARGE[name]).closure()
        closure({"a": 1.0, "s": "ab" * 5_000, "p": True})
    except (InvalidExpression, UnknownColumn) as error:
        assert len(str(error)) < 1_200  # noqa: PT017  # what is read is as good
    assert process_time() - before < 10


@pytest.mark.parametrize("unit", ["(", "%", "a OR ", "'"])
def test_a_megabyte_of_sql_is_refused_before_it_is_read(unit: str) -> None:
    before = process_time()
    with pytest.raises(
        InvalidExpression, match=r"at most 50,000 characters, got one of 1,\d{3},\d{3}"
    ):
        read(unit * (1_000_000 // len(unit)) + "p")
    assert process_time() - before < 1
