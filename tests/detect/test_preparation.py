"""Preparation: learned from training rows, the same bits for a table and for one payment."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.detect.preparation import Nominal, Numeric, Preparation
from shroff.detect.spread import Spread
from shroff.errors import (
    BadPayment,
    BundleError,
    ConfigurationError,
    DataError,
    UnknownColumn,
)

numbers = st.none() | st.floats(-1e30, 1e30) | st.floats(-1000, 1000).map(lambda x: round(x, 2))
texts = (
    st.none()
    | st.sampled_from(["GB", "FR", "undefined", "", "é", "\U0001f600"])
    | st.text(max_size=3)
)
rows = st.lists(st.tuples(numbers, numbers, texts, texts), min_size=1, max_size=20)
SCHEMA = {"amount": pl.Float64, "count": pl.Float64, "country": pl.String, "mcc": pl.String}


def table(values: list[tuple[float | None, float | None, str | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def learn(frame: pl.DataFrame, max_values: int = 200) -> Preparation:
    return Preparation.learn(
        frame, numeric=["amount", "count"], nominal=["country", "mcc"], max_values=max_values
    )


@given(train=rows, test=rows, max_values=st.integers(1, 4))
def test_one_payment_has_the_bits_of_its_row(
    train: list[tuple[float | None, float | None, str | None, str | None]],
    test: list[tuple[float | None, float | None, str | None, str | None]],
    max_values: int,
) -> None:
    preparation = learn(table(train), max_values)
    frame = table(train + test)
    matrix = preparation.matrix(frame)
    payments = frame.rows(named=True)
    with np.errstate(over="ignore"):
        alone = np.array([preparation.vector(row) for row in payments], dtype=np.float32)
    assert matrix.dtype == np.float32
    assert np.array_equal(alone, matrix, equal_nan=True)
    assert preparation.vectors(payments).tobytes() == alone.tobytes()


@given(train=rows, test=rows)
def test_json_keeps_every_bit(
    train: list[tuple[float | None, float | None, str | None, str | None]],
    test: list[tuple[float | None, float | None, str | None, str | None]],
) -> None:
    preparation = learn(table(train))
    back = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert back == preparation
    assert np.array_equal(back.matrix(table(test)), preparation.matrix(table(test)), equal_nan=True)


def test_numbers_are_scaled_by_the_training_rows() -> None:
    train = pl.DataFrame({"x": [1.0, 3.0, None, 5.0]})
    preparation = Preparation.learn(train, numeric=["x"], nominal=[])
    spread = Spread.of(train["x"].to_numpy())
    assert preparation.numeric == (Numeric("x", 3.0, math.sqrt(8 / 3), spread),)
    assert spread is not None
    assert (spread.mean, spread.median, spread.missing, spread.usual) == (
        3.0,
        3.0,
        0.25,
        (1.0, 5.0),
    )
    z = preparation.matrix(pl.DataFrame({"x": [3.0, 3.0 + math.sqrt(8 / 3), None]}))[:, 0]
    assert z[:2].tolist() == [0.0, 1.0]
    assert np.isnan(z[2])


@pytest.mark.parametrize("value", [0.1, 7.0, 1e15 + 0.3])
def test_a_constant_column_is_only_shifted(value: float) -> None:
    (column,) = Preparation.learn(
        pl.DataFrame({"x": [value] * 1001}), numeric=["x"], nominal=[]
    ).numeric
    assert column.std == 1.0
    assert column.mean == pytest.approx(value)
    assert column.spread is not None
    assert column.spread.missing == 0.0


def test_a_column_without_values_stays_as_it_is() -> None:
    frame = pl.DataFrame(
        {"x": [None, None], "y": [None, None]}, schema={"x": pl.Float64, "y": pl.Null}
    )
    preparation = Preparation.learn(frame, numeric=["x", "y"], nominal=[])
    assert preparation.numeric == (Numeric("x"), Numeric("y"))
    assert preparation.vector({"x": 2.5, "y": 1}) == [2.5, 1.0]


def test_the_vocabulary_goes_by_frequency_then_text() -> None:
    frame = pl.DataFrame({"mcc": ["b", "a", "c", "c", None, "d", None, None]})
    preparation = Preparation.learn(frame, numeric=[], nominal=["mcc"], max_values=3)
    assert preparation.nominal == (
        Nominal("mcc", ("undefined", "c", "a"), (3 / 8, 2 / 8, 1 / 8, 2 / 8)),
    )
    codes = preparation.matrix(
        pl.DataFrame({"mcc": ["undefined", None, "c", "a", "b", "never seen"]})
    )
    assert codes[:, 0].tolist() == [1, 1, 2, 3, 0, 0]
    assert preparation.nominal_codes == {0: 4}


def test_missing_text_never_seen_in_training_is_code_0() -> None:
    preparation = Preparation.learn(pl.DataFrame({"mcc": ["a"]}), numeric=[], nominal=["mcc"])
    assert preparation.vector({"mcc": None}) == [0.0]
    assert preparation.matrix(
        pl.DataFrame({"mcc": [None]}, schema={"mcc": pl.String})
    ).tolist() == [[0.0]]


def test_numeric_inputs_come_first() -> None:
    frame = pl.DataFrame({"mcc": ["a", "b"], "x": [1, 2], "ok": [True, False]})
    preparation = Preparation.learn(frame, numeric=["x", "ok"], nominal=["mcc"])
    assert preparation.names == ("x", "ok", "mcc")
    assert preparation.nominal_codes == {2: 3}
    assert preparation.matrix(frame).tolist() == [[-1, 1, 1], [1, -1, 2]]


def test_plain_inputs_are_not_scaled() -> None:
    preparation = Preparation.plain(["a > 1", "b"])
    assert preparation.matrix(pl.DataFrame({"a > 1": [True, None], "b": [7.5, -3.0]})).tolist()[
        0
    ] == [1, 7.5]
    assert preparation.vector({"a > 1": False, "b": -3.0}) == [0.0, -3.0]


def test_plain_inputs_know_how_they_are_spread_too() -> None:
    rows = pl.DataFrame({"a > 1": [1.0, 0.0, 0.0, None]})
    (column,) = Preparation.plain(["a > 1"], rows).numeric
    assert (column.mean, column.std) == (0.0, 1.0)
    assert column.spread is not None
    assert (column.spread.mean, column.spread.missing) == (1 / 3, 0.25)


def test_an_empty_table_gives_an_empty_matrix() -> None:
    preparation = learn(table([(1.0, 2.0, "GB", "5411")]))
    assert preparation.matrix(table([])).shape == (0, 4)


def test_a_wrong_training_table_is_refused() -> None:
    frame = pl.DataFrame({"x": [1.0], "mcc": ["a"], "far": [math.inf]})
    with pytest.raises(UnknownColumn, match="did you mean `mcc`"):
        Preparation.learn(frame, numeric=[], nominal=["mc"])
    with pytest.raises(ConfigurationError, match="expected numbers in column `mcc`"):
        Preparation.learn(frame, numeric=["mcc"], nominal=[])
    with pytest.raises(ConfigurationError, match="expected text in column `x`"):
        Preparation.learn(frame, numeric=[], nominal=["x"])
    with pytest.raises(DataError, match="`far`"):
        Preparation.learn(frame, numeric=["far"], nominal=[])
    with pytest.raises(DataError, match="got none"):
        Preparation.learn(frame.clear(), numeric=["x"], nominal=[])
    with pytest.raises(ConfigurationError, match="twice"):
        Preparation.learn(frame, numeric=["x", "x"], nominal=[])
    with pytest.raises(ConfigurationError, match="at least one"):
        Preparation.learn(frame, numeric=[], nominal=[])
    with pytest.raises(ConfigurationError, match="max_values"):
        Preparation.learn(frame, numeric=["x"], nominal=["mcc"], max_values=0)


def test_a_wrong_payment_is_refused_without_its_values() -> None:
    preparation = learn(table([(1.0, 2.0, "GB", "5411")]))
    good: dict[str, float | str | None] = {
        "amount": 1.0,
        "count": 2.0,
        "country": "GB",
        "mcc": None,
    }
    for prepare in (preparation.vector, lambda row: preparation.vectors([good, row])):
        with pytest.raises(BadPayment, match="the feature `mcc`, got a payment without it"):
            prepare({name: good[name] for name in ("amount", "count", "country")})
        with pytest.raises(
            BadPayment, match="expected a number in the feature `count`, got str"
        ) as refusal:
            prepare(good | {"count": "4929123456789012"})
        assert "4929" not in str(refusal.value)
        with pytest.raises(BadPayment, match="far too large"):
            prepare(good | {"amount": 10**400})
        with pytest.raises(BadPayment, match="expected text in the feature `country`, got list"):
            prepare(good | {"amount": None, "country": ["GB"]})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "data", [{}, {"numeric": [], "nominal": []}, {"numeric": [{"nam": "x"}], "nominal": []}]
)
def test_other_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=r"expected a preparation .*; train it again\.$"):
        Preparation.from_json(data)  # type: ignore[arg-type]  # wrong on purpose
