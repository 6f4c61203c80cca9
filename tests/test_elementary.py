"""EXP, POWER and DISTANCE_KM against arithmetic with more digits, and SIMILARITY's law and its
bound.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import InvalidExpression
from shroff.expression import parse
from shroff.expression.elementary import EARTH_RADIUS_KM, distance_km, exp, power
from shroff.expression.similar import similarity

DIGITS = 60
ANY = st.floats(allow_nan=False, allow_infinity=False)
LATITUDE, LONGITUDE = st.floats(-90.0, 90.0), st.floats(-180.0, 180.0)
# the bits of results, which may not change between machines or releases
GOLDEN = [
    (exp(0.1), "0x1.1aec7b35a00d4p+0"),
    (exp(-700.25), "0x1.af5fe9a485c8ep-1011"),
    (power(1.05, 7.5), "0x1.711d02057f365p+0"),
    (power(1e-300, -0.9), "0x1.e494034e79edep+896"),
    (distance_km(48.8566, 2.3522, 40.7128, -74.006), "0x1.6cd3fbc45dc61p+12"),
]


def units_off(found: float | None, true: Decimal) -> float:
    """How many units in the last place a result is from the true one."""
    assert found is not None
    return float(abs(Decimal(found) - true) / Decimal(math.ulp(found)))


@given(st.floats(-700.0, 709.0))
def test_exp_is_good_to_a_unit_in_the_last_place(x: float) -> None:
    with localcontext(prec=DIGITS):
        assert units_off(exp(x), Decimal(x).exp()) < 1.0


@given(st.floats(1e-300, 1e300), st.floats(-100.0, 100.0))
def test_power_is_good_to_two_units_unless_the_exponent_is_whole(x: float, y: float) -> None:
    with localcontext(prec=DIGITS):
        logarithm = Decimal(y) * Decimal(x).ln()
        if abs(logarithm) < 700 and y != math.floor(y):
            assert units_off(power(x, y), logarithm.exp()) < 2.0


@given(st.integers(2, 64), st.floats(308.3, 322.0), st.booleans())
def test_a_small_whole_power_is_not_zero(y: int, digits: float, negative: bool) -> None:
    """x^-y may be too large for a float64 where x^y is one."""
    x = 10.0 ** (digits / y)
    with localcontext(prec=DIGITS):
        exact = Decimal(x) ** -y
        found = power(-x if negative else x, float(-y))
        assert found is not None
        assert (found < 0.0) == (negative and y % 2 == 1)
        # a rounded result, and what is left of it below the smallest normal number
        assert abs(abs(Decimal(found)) - exact) <= Decimal(math.ulp(found))


@given(ANY, ANY)
def test_power_is_total(x: float, y: float) -> None:
    found = power(x, y)
    assert found is None or math.isfinite(found)


@given(st.integers(-20, 20), st.integers(0, 10))
def test_a_whole_power_that_fits_is_exact(x: int, y: int) -> None:
    assert power(float(x), float(y)) == float(x**y)


@given(LATITUDE, LONGITUDE, LATITUDE, LONGITUDE)
def test_a_distance_is_that_of_the_textbook(a: float, b: float, c: float, d: float) -> None:
    latitude, to_latitude = math.radians(a), math.radians(c)
    north, east = math.sin((to_latitude - latitude) / 2), math.sin(math.radians(d - b) / 2)
    haversine = north * north + math.cos(latitude) * math.cos(to_latitude) * east * east
    found = distance_km(a, b, c, d)
    assert found is not None
    assert found == distance_km(c, d, a, b)
    # opposite places are ill-conditioned in the textbook too
    assert found == pytest.approx(
        2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, haversine))), rel=1e-7, abs=1e-9
    )


@pytest.mark.parametrize(("found", "bits"), GOLDEN)
def test_the_bits_stay(found: float, bits: str) -> None:
    assert found.hex() == bits


@given(st.text(max_size=20), st.text(max_size=20))
def test_similarity_is_a_fraction_and_the_same_both_ways(left: str, right: str) -> None:
    assert 0.0 <= similarity(left, right) <= 1.0
    assert similarity(left, right) == similarity(right, left)
    assert similarity(left, left) == 1.0


def test_similarity_of_long_texts_costs_no_more() -> None:
    started = process_time()
    assert similarity("ab" * 5_000_000, "ab" * 5_000_000 + "c") == 1.0
    assert process_time() - started < 1.0


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "SUBSTR(s, 0)",
            "SUBSTR(s, -1)",
            "SUBSTR(s, 1.5)",
            "SUBSTR(s, 1, 0)",
            "SUBSTR(s, '1')",
            "SUBSTR(s)",
        ),
        *("SUBSTR(s, a)", "SUBSTR(s, 1, 99999999999)"),
    ],
)
def test_the_places_of_substr_are_literals(sql: str) -> None:
    with pytest.raises(
        InvalidExpression, match="SUBSTR takes a text, the place of the first character"
    ):
        parse(sql, {"s": "text", "a": "number"})


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DISTANCE_KM(a, a, a)", "wrong number of arguments in `DISTANCE_KM"),
        ("DISTANCE_KN(a, a, a, a)", "unknown function `DISTANCE_KN`.*did you mean `DISTANCE_KM`"),
        ("SIMILARITY(s, a)", "`SIMILARITY` takes text, got"),
        ("FLOOR(a, 2)", "is not part of the expression language"),
        ("EXP(s)", "`EXP` takes number, got `s`"),
    ],
)
def test_wrong_calls_are_refused(sql: str, message: str) -> None:
    with pytest.raises(InvalidExpression, match=message):
        parse(sql, {"s": "text", "a": "number"})
