"""What an editor is told while somebody writes a condition: what is wrong, and what may come."""

from __future__ import annotations

import string
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import ConfigurationError
from shroff.expression import Kind, complete, fault_of, parse
from shroff.expression.completion import FUNCTIONS
from shroff.expression.grammar import FUNCTION_NAMES

KINDS: dict[str, Kind] = {
    "amount": "number",
    "mcc": "text",
    "card_count_1d": "number",
    "Name with blank": "text",
    "seen": "time",
    "select": "text",
}
LISTS = ["red_hosts", "cash"]

PIECES = st.lists(
    st.sampled_from(
        [
            *("amount", "ammount", "mcc", "'5411'", "5", "AND", "OR", "NOT", "IN", "(", ")", ","),
            *(">", "=", "\n", "red_hosts", "redd", "ABS(", "SUBST(", '"Name with blank"', "'", '"'),
            *("--", "/*", "*/", "NULL", "CASE", "WHEN", "ä", "\u2028", "%"),
        ]
    ),
    max_size=9,
).map(" ".join)


@pytest.mark.parametrize(
    ("sql", "at", "marked", "suggestion"),
    [
        ("amount > 5 AND\n  ammount < 3", (2, 3), "ammount", "amount"),
        ("mcc IN redd_hosts", (1, 8), "redd_hosts", "red_hosts"),
        ("SIMILRITY(mcc, mcc) > 0", (1, 1), "SIMILRITY", "SIMILARITY"),
        ("amount > 5 AND amount > '5'", (1, 16), "amount > '5'", None),
        ("amount > ", (1, 8), ">", None),
        ("amount >> 5", (1, 1), "amount >> 5", None),
        ("mcc = 'x", (1, 1), "mcc = 'x", None),
        ("amount", (1, 1), "amount", None),
        ("  ", (1, 1), "  ", None),
    ],
)
def test_a_fault_says_where_it_is(
    sql: str, at: tuple[int, int], marked: str, suggestion: str | None
) -> None:
    found = fault_of(sql, KINDS, LISTS)
    assert found is not None
    assert (found.line, found.column) == at
    assert sql[found.start : found.end] == marked
    assert found.suggestion == suggestion


@given(PIECES)
def test_there_is_a_fault_exactly_where_a_condition_is_refused(sql: str) -> None:
    found = fault_of(sql, KINDS, LISTS)
    try:
        whole = parse(sql, KINDS, LISTS).kind == "boolean"
    except ConfigurationError:
        whole = False
    assert (found is None) == whole
    if found is not None:
        assert 0 <= found.start <= found.end <= len(sql)
        lines = sql[: found.start].split("\n")
        assert (found.line, found.column) == (len(lines), len(lines[-1]) + 1)
        assert "\n" not in found.sentence.replace(sql, "")


@given(PIECES, st.integers(-2, 60))
def test_what_completes_replaces_the_word_at_the_cursor(sql: str, position: int) -> None:
    found = complete(sql, position, KINDS, LISTS)
    assert 0 <= found.start <= max(0, min(position, len(sql))) <= max(found.end, 0) <= len(sql)
    word = sql[found.start : found.end]
    assert {*word} <= {*string.ascii_letters, *string.digits, "_"}
    assert len(found.options) <= 12
    assert len({one.text for one in found.options}) == len(found.options)


@pytest.mark.parametrize(
    ("sql", "options"),
    [
        ("am|", ["amount"]),
        ("amount > 5 AND count|", ["card_count_1d"]),
        ("mcc IN |", LISTS),
        ("mcc IN c|", ["cash"]),
        ("mcc NOT IN re|", ["red_hosts"]),
        ("amount a|", ["AND"]),
        ("mcc = 'am|", []),
        ("mcc = 'it''s' an|", ["AND"]),
        ("amount > 5 -- am|", []),
        ("name|", ['"Name with blank"']),
        ("sele|", ['"select"']),
        ("distance|", ["DISTANCE_KM(latitude, longitude, latitude, longitude)"]),
    ],
)
def test_options_fit_the_place(sql: str, options: list[str]) -> None:
    position = sql.index("|")
    found = complete(sql.replace("|", ""), position, KINDS, LISTS)
    assert [one.text for one in found.options][: len(options)] == options or not options
    assert bool(found.options) == bool(options)


def test_each_function_is_described_and_can_be_written() -> None:
    assert sorted(FUNCTIONS) == FUNCTION_NAMES
    kinds: dict[str, Kind] = {"number": "number", "text": "text", "value": "number"}
    kinds |= dict.fromkeys(("latitude", "longitude"), "number")
    kinds |= dict.fromkeys(("from", "to"), "time")
    for form, _ in FUNCTIONS.values():
        sql = form.replace(", …", "").replace("first, length", "1, 2")
        sql = sql.replace("from, to", '"from", "to"')
        assert parse(f"({sql}) IS NOT NULL", kinds).kind == "boolean", form


def test_long_texts_are_told_at_once() -> None:
    began = process_time()
    for sql in (
        "'" * 50_000,
        "amount > 5 AND " * 3_000,
        "(" * 40_000,
        "é" * 60_000,
        '"\n' * 20_000,
    ):
        fault_of(sql, KINDS, LISTS)
        complete(sql, len(sql), KINDS, LISTS)
    assert process_time() - began < 10
