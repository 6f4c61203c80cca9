"""Numbers with few digits, as bundles keep them of held-out payments."""

from __future__ import annotations

import numpy as np

from shroff.arrays import Floats


def written(values: list[float]) -> str:
    """Numbers between blanks, whole ones without a point."""
    return " ".join(str(int(one)) if one == int(one) else repr(one) for one in values)


def round_digits(values: Floats, digits: int) -> Floats:
    """Values with so many digits; 0 and what is not finite stay."""
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        return np.where(np.isfinite(places), np.round(values * up / down) * down / up, values)


def round_odds(p: Floats, digits: int) -> Floats:
    """Probabilities with so many digits, those above one half with so many of their complement."""
    return np.where(
        p > 0.5, np.round(1.0 - round_digits(1.0 - p, digits), 15), round_digits(p, digits)
    )
