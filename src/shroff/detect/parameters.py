"""Checks of a detector's parameters, so that a wrong one is told before the library meets it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Final, NoReturn

from shroff.errors import ConfigurationError, one_line

_MAX_SHOWN: Final = 60
_LARGEST: Final = 2**31 - 1
"""What LightGBM and liblinear count in."""
_MAX_SEED: Final = 2**32 - 1
"""The largest seed that scikit-learn takes."""


def require_whole(owner: object, *names: str, low: int, high: int = _LARGEST) -> None:
    """Raise ConfigurationError unless these parameters of a detector are whole numbers in range.

    >>> from shroff.detect import BoostedTrees
    >>> require_whole(BoostedTrees(n_trees=0), "n_trees", low=1)
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: BoostedTrees(n_trees=0): expected a whole number from 1
    """
    for name in names:
        value = getattr(owner, name)
        # True is 1 to Python, and not to LightGBM
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            to = "" if high == _LARGEST else f" to {high:,}"
            refuse(owner, name, f"a whole number from {low}{to}")


def require_number(
    owner: object,
    *names: str,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Raise ConfigurationError unless these parameters of a detector are finite numbers in range.

    An infinite number is in range where `most` is infinite.
    """
    for name in names:
        value = getattr(owner, name)
        number = isinstance(value, Real) and not isinstance(value, bool)
        if (
            number
            and (math.isfinite(value) or value == most)
            and (above is None or value > above)
            and (least is None or value >= least)
            and (most is None or value <= most)
        ):
            continue
        bounds = [
            "" if above is None else f" above {above:g}",
            "" if least is None else f" from {least:g}",
            "" if most is None or math.isinf(most) else f" to {most:g}",
        ]
        refuse(owner, name, f"a number{''.join(bounds)}")


def require_seed(owner: object) -> None:
    """Raise ConfigurationError unless `seed` is one that scikit-learn takes."""
    if vars(owner)["seed"] is not None:
        require_whole(owner, "seed", low=0, high=_MAX_SEED)


def require_one_of(owner: object, name: str, *options: str | None) -> None:
    """Raise ConfigurationError unless a parameter of a detector is one of these."""
    value = getattr(owner, name)
    if not (value is None or isinstance(value, str)) or value not in options:
        *others, last = map(repr, options)
        refuse(owner, name, f"{', '.join(others)} or {last}")


def require_class_weight(owner: object) -> None:
    """Raise ConfigurationError unless `class_weight` is one that scikit-learn takes."""
    given = vars(owner)["class_weight"]
    # scikit-learn's own tools set weights by class, which stay as they are
    if not isinstance(given, Mapping):
        require_one_of(owner, "class_weight", "balanced", None)
    elif not set(given) <= {0, 1} or not all(
        isinstance(one, Real) and 0 <= float(one) < math.inf for one in given.values()
    ):
        refuse(owner, "class_weight", "'balanced', None, or weights from 0 of the classes 0 and 1")


def refuse(owner: object, name: str, expected: str) -> NoReturn:
    """Raise ConfigurationError: the parameter of a detector, and what was expected."""
    shown = one_line(repr(getattr(owner, name)))
    shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
    raise ConfigurationError(f"{type(owner).__name__}({name}={shown}): expected {expected}")
