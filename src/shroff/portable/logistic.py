"""The logistic function, the same bits for an array and for one number, on every machine.

In additions, multiplications and one division: IEEE 754 rounds each of these alike on every
machine, for floats and arrays. exp does not: libm and NumPy's vector loops differ in the last bit.
So a decision made with `logistic_of_one` replays to the bit on another machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def logistic(exponents: Any) -> Any:
    """1 / (1 + exp(-z)) of each exponent, float64 [rows]; NaN of NaN.

    >>> logistic(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [9.85967654375977e-305, 0.5, 1.0]
    """
    bounded = np.clip(exponents, -_EXPONENT_LIMIT, _EXPONENT_LIMIT)
    return _logistic(bounded, _scale_array)


def logistic_of_one(exponent: float) -> float:
    """The same of one number, which must not be NaN."""
    if abs(exponent) > _EXPONENT_LIMIT:
        exponent = math.copysign(_EXPONENT_LIMIT, exponent)
    found: float = _logistic(exponent, _scale_float)
    return found


_EXPONENT_LIMIT = 700.0  # exp(700) is still finite
_LOG2_E = 1.0 / math.log(2.0)
_LN2_HIGH = float.fromhex(
    "0x1.62e42feep-1"
)  # the first 32 bits of ln 2: whole multiples of it are exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # the remaining bits of ln 2
_ROUNDING_SHIFT = 1.5 * 2.0**52  # adding and subtracting it rounds to a whole number
_TAYLOR = tuple(1.0 / math.factorial(n) for n in range(14))


def _logistic(z: Any, scale: Callable[[Any, Any], Any]) -> Any:
    power = (-z * _LOG2_E + _ROUNDING_SHIFT) - _ROUNDING_SHIFT
    rest = (-z - power * _LN2_HIGH) - power * _LN2_LOW
    _, _, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = _TAYLOR
    # without a loop: a payment's score goes through it
    series = (((rest * c13 + c12) * rest + c11) * rest + c10) * rest + c9
    series = (((series * rest + c8) * rest + c7) * rest + c6) * rest + c5
    series = (((series * rest + c4) * rest + c3) * rest + c2) * rest + 1.0
    series = series * rest + 1.0
    return 1.0 / (1.0 + scale(series, power))


def _scale_float(series: float, power: float) -> float:
    return math.ldexp(series, int(power))


def _scale_array(series: Any, power: Any) -> Any:
    # NaN has no whole number, and its product with any scale is NaN
    return np.ldexp(series, np.nan_to_num(power).astype(np.int32))
