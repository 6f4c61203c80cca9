"""EXP, POWER and DISTANCE_KM from operations that IEEE 754 rounds the same way on every machine.

The C library's `exp`, `pow` and `sin` differ in the last bit between processors, and from Java's.
Here only `+ - * /`, the square root and exact scaling by powers of two are used, and all engines
call these very functions, so history and payments agree to the bit wherever they are computed.
"""

from __future__ import annotations

import math
from typing import Final

# the mean radius of the earth of the International Union of Geodesy and Geophysics
EARTH_RADIUS_KM: Final = 6371.0088

_LN_2: Final = 0.6931471805599453
# ln 2 as a sum of two floats; an integer of up to 11 bits times the first is exact
_LN_2_HIGH: Final = float.fromhex("0x1.62e42fefa38p-1")
_LN_2_LOW: Final = 5.497923018708371e-14
_ROOT_HALF: Final = 0.7071067811865476
_SPLIT: Final = 134217729.0  # 2**27 + 1 cuts a float64 into two halves (Veltkamp)
_MAX_LN: Final = 709.782712893384
_MIN_LN: Final = -745.1332191019412
_RADIANS: Final = 0.017453292519943295
# for larger exponents repeated squaring would lose more digits than a logarithm
_MAX_SQUARED_EXPONENT: Final = 64

# Taylor series, the highest power first
_EXP: Final = tuple(1.0 / math.factorial(n) for n in range(14, 1, -1))
_SIN: Final = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(11, 0, -1))
_ATAN: Final = tuple((-1.0) ** n / (2 * n + 1) for n in range(11, 0, -1))
_ATANH: Final = tuple(2.0 / (2 * n + 1) for n in range(10, 0, -1))


def exp(x: float) -> float | None:
    """e to the power of x; None if it overflows.

    >>> exp(0.0), exp(1.0), exp(710.0), exp(-800.0)
    (1.0, 2.718281828459045, None, 0.0)
    """
    return _exp(x, 0.0)


def power(x: float, y: float) -> float | None:
    """x to the power of y; None if it overflows or is undefined, as 0 to a negative power.

    >>> power(3.0, 2.0), power(2.0, 0.5), power(-2.0, 3.0), power(-2.0, 0.5), power(0.0, -1.0)
    (9.0, 1.4142135623730951, -8.0, None, None)
    """
    if y == 0.5:
        return math.sqrt(x) if x >= 0.0 else None
    whole = y == math.floor(y)
    if x == 0.0 or (x < 0.0 and not whole):
        return None if y < 0.0 or x < 0.0 else float(y == 0.0)
    if whole and abs(y) <= _MAX_SQUARED_EXPONENT:
        squared = _squared(x, int(y))
        # x^-y may overflow a float64 although x^y is a small, representable number
        if squared != 0.0:
            return squared
    found = _exp(*_times(y, *_ln(abs(x))))
    return -found if found is not None and x < 0.0 and y % 2.0 == 1.0 else found


def distance_km(
    latitude: float, longitude: float, to_latitude: float, to_longitude: float
) -> float | None:
    """Kilometres along the surface of a sphere between two places in degrees (haversine).

    None outside latitudes -90 to 90 and longitudes -180 to 180.

    >>> round(distance_km(48.8566, 2.3522, 40.7128, -74.0060))  # Paris to New York
    5837
    >>> distance_km(91.0, 0.0, 0.0, 0.0)
    """
    if (
        max(abs(latitude), abs(to_latitude)) > 90.0
        or max(abs(longitude), abs(to_longitude)) > 180.0
    ):
        return None
    turn = abs(to_longitude - longitude)
    north = _sine(0.5 * abs(to_latitude - latitude))
    east = _sine(0.5 * min(turn, 360.0 - turn))
    haversine = north * north + _sine(90.0 - abs(latitude)) * _sine(90.0 - abs(to_latitude)) * (
        east * east
    )
    haversine = min(haversine, 1.0)
    return 2.0 * EARTH_RADIUS_KM * _angle(math.sqrt(haversine), math.sqrt(1.0 - haversine))


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    total = 0.0
    for coefficient in coefficients:
        total = total * x + coefficient
    return total


def _sine(degrees: float) -> float:
    """The sine of an angle from 0 to 90 degrees."""
    x = degrees * _RADIANS
    square = x * x
    return x + x * (square * _polynomial(_SIN, square))


def _angle(sine: float, cosine: float) -> float:
    """The angle from 0 to π/2 with this sine and cosine, in radians."""
    tangent = sine / (1.0 + cosine)
    # halve the angle twice by its tangent: the series needs small arguments
    for _ in range(2):
        tangent /= 1.0 + math.sqrt(1.0 + tangent * tangent)
    square = tangent * tangent
    return 8.0 * (tangent + tangent * (square * _polynomial(_ATAN, square)))


def _exp(x: float, rest: float) -> float | None:
    """e to the power of x + rest, where the rest is smaller than the last digit of x."""
    if not _MIN_LN <= x <= _MAX_LN:
        return 0.0 if x < 0.0 else None
    twos = math.floor(x / _LN_2 + 0.5)
    fraction, lost = _sum(x - twos * _LN_2_HIGH, rest - twos * _LN_2_LOW)
    near, rounded = _sum(1.0, fraction)
    value = near + (rounded + (lost + fraction * fraction * _polynomial(_EXP, fraction)))
    try:
        return math.ldexp(value, twos)
    except OverflowError:
        return None


def _squared(x: float, exponent: int) -> float | None:
    """x to a whole power by repeated squaring."""
    result, base, left = 1.0, x, abs(exponent)
    while left:
        if left & 1:
            result *= base
        left >>= 1
        if left:
            base *= base
    if exponent >= 0:
        return result if math.isfinite(result) else None
    if result == 0.0:
        return None
    return 1.0 / result if math.isfinite(1.0 / result) else None


def _ln(x: float) -> tuple[float, float]:
    """The natural logarithm of a positive number as a sum of two floats, good to about 60 bits."""
    fraction, twos = math.frexp(x)
    if fraction < _ROOT_HALF:
        fraction, twos = 2.0 * fraction, twos - 1
    # ln(fraction) = 2 atanh(s)
    numerator, denominator = fraction - 1.0, fraction + 1.0
    s = numerator / denominator
    product, lost = _product(s, denominator)
    s_low = ((numerator - product) - lost - s * (fraction - (denominator - 1.0))) / denominator
    square = s * s
    high, low = _sum(twos * _LN_2_HIGH, 2.0 * s)
    return _sum(
        high, low + (twos * _LN_2_LOW + 2.0 * s_low + s * (square * _polynomial(_ATANH, square)))
    )


def _times(y: float, high: float, low: float) -> tuple[float, float]:
    """y times a sum of two floats."""
    if abs(y) > 1e290 or abs(y * high) > 1e3:
        return y * high, 0.0
    product, lost = _product(y, high)
    return _sum(product, lost + y * low)


def _sum(x: float, y: float) -> tuple[float, float]:
    """The rounded sum and its exact rounding error (Knuth)."""
    total = x + y
    of_y = total - x
    return total, (x - (total - of_y)) + (y - of_y)


def _product(x: float, y: float) -> tuple[float, float]:
    """The rounded product and its exact rounding error (Dekker)."""
    product = x * y
    x_high, y_high = _SPLIT * x, _SPLIT * y
    x_high, y_high = x_high - (x_high - x), y_high - (y_high - y)
    x_low, y_low = x - x_high, y - y_high
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
