"""Reading tables: rows and columns are two views of one thing, and text reads as what it spells."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.asking import run
from serve.fixtures import SCHEMA, make_bundle
from shroff.errors import BadPayment, NotFound, TooManyRequests
from shroff.scoring.scorer import Scorer
from shroff.serve.interfaces import interfaces
from shroff.serve.metrics import registry
from shroff.serve.operation import Call
from shroff.serve.protocols.rows import from_text, inputs_of, table, transpose

Pay = Callable[..., dict[str, Any]]
CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TABLES = st.lists(st.text(), unique=True, min_size=1, max_size=5).flatmap(
    lambda names: st.tuples(
        st.just(names),
        st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=5),
    )
)


@given(TABLES)
def test_rows_and_columns_are_one_table(sent: tuple[list[str], list[list[Any]]]) -> None:
    columns, values = sent
    rows = table(columns, values)
    assert [list(row.values()) for row in rows] == values
    assert transpose({name: [row[name] for row in rows] for name in columns}) == rows


@given(TABLES, st.integers(0, 4), st.data())
def test_a_crooked_table_is_refused(
    sent: tuple[list[str], list[list[Any]]], at: int, data: st.DataObject
) -> None:
    columns, values = sent
    if at < len(values):
        crooked = [row[:-1] if number == at else row for number, row in enumerate(values)]
        with pytest.raises(BadPayment, match=f"row {at + 1}: expected {len(columns)} values"):
            table(columns, crooked)
    with pytest.raises(BadPayment, match="every column once"):
        table([*columns, data.draw(st.sampled_from(columns))], [])


def test_what_means_no_value_is_no_input(model: bytes) -> None:
    schema = msgspec.structs.replace(SCHEMA, nulls=["NULL", "-999"])
    ready_made = inputs_of(make_bundle(model, schema=schema))
    row: dict[str, Any] = {"items": -999, "amount": 5.0, "mcc": 5411, "part_of_day": "NULL"}
    assert ready_made(row) == {"items": None, "amount": 5.0, "mcc": "5411", "part_of_day": None}
    # as a feature, it is a number like any other
    assert ready_made({"card_seconds_since_last_1d": -999.0}) == {
        "card_seconds_since_last_1d": -999.0
    }


def number(scorer: Scorer, text: str) -> Any:
    (row,) = run(from_text(scorer, [{"amount": text, "card_id": text}]))
    assert row["card_id"] == (text if text.strip() else None), (
        "the reader knows the words for nothing"
    )
    return row["amount"]


def test_text_reads_as_the_number_it_spells(scorer: Scorer) -> None:
    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15))
    def spelt(value: float) -> None:
        assert number(scorer, repr(value)) == value

    @given(st.text(alphabet="0123456789.eE+-_ naifxNI\u0660", max_size=8))
    def whatever(text: str) -> None:
        with suppress(BadPayment):
            read = number(scorer, text)
            assert read is None or math.isfinite(read)

    spelt()
    whatever()
    for text in (" ", "nan", "NaN ", "NULL", r"\N"):
        assert number(scorer, text) is None
    refused = "row 1: Expected a number from 0 to 100,000,000,000,000, got {} - at `.[.]amount`"
    for text, kind in {
        **dict.fromkeys(("inf", "-Infinity", "1_0", "\u0661", "0x1"), "text"),
        "1e999": "an infinite number",
        "5,0": r"a number with a thousands separator or a decimal comma \(declare '1.234,56' or '1 "
        r"234,56' with .*\)",
        "(5.00)": r"a negative number \(a refund is no payment: leave it out\)",
    }.items():
        with pytest.raises(BadPayment, match=refused.format(kind)):
            number(scorer, text)


def azure(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Inputs": {
            "input1": {"ColumnNames": [*rows[0]], "Values": [[*row.values()] for row in rows]}
        }
    }


def tensor(rows: list[dict[str, Any]]) -> dict[str, Any]:
    shape = [len(rows), 10]
    return {
        "inputs": [{"name": "X", "shape": shape, "datatype": "FP32", "data": [0] * 10 * len(rows)}]
    }


@pytest.mark.parametrize(
    ("protocol", "written"),
    [
        ("MLflow", lambda rows: {"dataframe_records": rows}),
        ("TensorFlow Serving", lambda rows: {"instances": rows}),
        ("Azure ML", azure),
        ("Open Inference", tensor),
    ],
)
def test_each_row_counts_against_the_rate_of_the_key(
    scorer: Scorer,
    pay: Pay,
    protocol: str,
    written: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> None:
    """All of them before any is decided."""
    of_protocol = next(one for one in interfaces(scorer, registry(scorer)) if one.name == protocol)
    operation = next(one for one in of_protocol.operations if one.method == "POST")
    rows = [pay() for _ in range(3)]
    counted: list[int] = []

    def refuse(payments: int) -> None:
        counted.append(payments)
        raise TooManyRequests("too many")

    call = Call(msgspec.json.encode(written(rows)), {"name": scorer.bundle.name}, {}, {}, refuse)
    with pytest.raises(TooManyRequests):
        run(operation.handler(call))
    assert counted == [2], "the first is the request's own"
    with pytest.raises(NotFound):
        run(scorer.decision(rows[0]["payment_id"]))
    assert run(operation.handler(replace(call, count=counted.append))).status is None, "a success"
    assert counted == [2, 2]
