"""Money: the codes of ISO 4217, exact minor units, a column and a single amount alike."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect import money


def _column(amounts: list[float], currency: str) -> list[int | None]:
    frame = pl.DataFrame({"amount": amounts, "currency": [currency] * len(amounts)})
    by_row = frame.select(money.minor("amount", "currency", "EUR"))["amount"].to_list()
    by_default = frame.select(money.minor("amount", None, currency))["amount"].to_list()
    assert by_row == by_default
    return by_row


@pytest.mark.parametrize(
    ("code", "number", "exponent"),
    [
        ("EUR", "978", 2),
        ("USD", "840", 2),
        ("JPY", "392", 0),
        ("KWD", "414", 3),
        ("CLF", "990", 4),
        ("AUD", "036", 2),
    ],
)
def test_exponents_of_the_standard(code: str, number: str, exponent: int) -> None:
    assert money.EXPONENT[code] == money.EXPONENT[number] == exponent
    assert money.NUMERIC[code] == number


def test_codes_are_those_of_the_standard_in_form() -> None:
    letters = [code for code in money.EXPONENT if not code.isdigit()]
    assert all(len(code) == 3 for code in money.EXPONENT)
    assert all(code.isupper() for code in letters)
    assert len(letters) * 2 == len(money.EXPONENT)
    assert set(money.EXPONENT.values()) == {0, 2, 3, 4}


@pytest.mark.parametrize(
    ("amount", "exponent", "minor"),
    [
        (136.69, 2, 13669),
        (0.29, 2, 29),
        (1.1, 3, 1100),
        (0.1 + 0.2, 2, 30),
        (0.0, 2, 0),
        (-0.0, 2, 0),
        (0.125, 2, None),
        (0.5, 0, None),
        (9_999_999_999_999.99, 2, 999_999_999_999_999),
        (1e13, 2, None),
        (1e14, 0, 10**14),
        (5e-324, 2, None),
        (1e-320, 3, None),
        (1e-12, 0, None),
        (float("inf"), 2, None),
        (float("nan"), 2, None),
    ],
)
def test_minor_units(amount: float, exponent: int, minor: int | None) -> None:
    assert money.minor_units(amount, exponent) == minor
    assert _column([amount], {0: "JPY", 2: "EUR", 3: "KWD"}[exponent]) == [minor]


@settings(max_examples=80)
@given(
    st.lists(st.floats(0, 1e15) | st.floats(0, 1e4) | st.floats(0, 1e-8), min_size=1, max_size=30),
    st.sampled_from(["JPY", "EUR", "KWD", "CLF"]),
)
def test_a_column_is_read_as_its_amounts_are(amounts: list[float], currency: str) -> None:
    exponent = money.EXPONENT[currency]
    # also what lies right beside a decimal number, where a tolerance decides
    beside = [
        round(amount, exponent) * (1 + step * 2.0**-52)
        for amount in amounts
        for step in (-2, -1, 0, 1, 2)
    ]
    values = amounts + beside
    assert _column(values, currency) == [money.minor_units(amount, exponent) for amount in values]


@given(st.integers(0, 10**15 - 1), st.sampled_from([0, 2, 3, 4]))
def test_every_decimal_amount_of_fifteen_digits_is_exact(minor: int, exponent: int) -> None:
    amount = float(Decimal(minor).scaleb(-exponent))
    assert money.minor_units(amount, exponent) == minor


@given(st.integers(0, 10**15 - 1), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_major_units_are_the_nearest_double_and_units_are_ten_thousandths(
    minor: int, currency: str
) -> None:
    exponent = money.EXPONENT[currency]
    frame = pl.DataFrame({"minor": [minor], "currency": [currency]})
    exact = Fraction(minor, 10**exponent)
    assert frame.select(money.major("minor", "currency", "EUR")).item() == float(exact)
    assert frame.select(money.major("minor", None, currency)).item() == float(exact)
    if exact < 10**14:
        assert frame.select(money.units("minor", "currency", "EUR")).item() == exact * money.UNITS


@pytest.mark.parametrize("currency", [None, "currency"])
def test_major_units_of_a_whole_column_are_those_of_each_payment(currency: str | None) -> None:
    # a column divided by one number takes another path through Polars than a single row does
    frame = pl.DataFrame({"minor": range(100_000)}).with_columns(currency=pl.lit("EUR"))
    column = frame.select(money.major("minor", currency, "EUR")).to_series()
    assert column.to_list() == [minor / 100 for minor in range(100_000)]


def test_an_unknown_currency_gives_nothing() -> None:
    frame = pl.DataFrame({"amount": [1.0], "minor": [100], "currency": ["XXX"]})
    scale = ("currency", "EUR")
    values = frame.select(
        money.minor("amount", *scale).alias("a"),
        money.major("minor", *scale).alias("b"),
        money.units("minor", *scale).alias("c"),
    )
    assert values.row(0) == (None, None, None)
