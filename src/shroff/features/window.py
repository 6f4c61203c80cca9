"""The window law, in one place.

    A payment sees the events that reached the system before it and that happened less than `w`
    before it.

Event `j` counts for payment `i` over window `w` when `arrival(j) < arrival(i)` and
`t(j) > t(i) − w`. With `delay=d` the window is shifted back: `t(i) − d − w < t(j) ≤ t(i) − d`. With
`resolution=r` both sides are floored to `r`: `floor(t(j)/r) > floor((t(i) − d − w)/r)`, and
`floor(t(j)/r) ≤ floor((t(i) − d)/r)`.

Every engine asks `after` and `upto`, so the law is written once: an event is in the window when
`after < t(j) ≤ upto` (no upper bound without a delay). All times are integer microseconds; a
`delay` or `resolution` of 0 means none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shroff.errors import ConfigurationError

_UNITS: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
END_OF_TIME_US: Final = 2**63 - 1
"""A time later than any event."""

_DURATION: Final = re.compile(r"([1-9]\d{0,5})([smhd])", re.ASCII)


class Window(NamedTuple):
    """Bounds in microseconds (0: no delay, no resolution) and whether the payment itself counts."""

    window: int
    delay: int = 0
    resolution: int = 0
    include_current: bool = False


def after(time: int, window: int, delay: int, resolution: int) -> int:
    """The latest time that is too old to count: events later than this are in the window.

    >>> after(100, 10, 0, 0), after(100, 10, 50, 0), after(105, 10, 0, 10)
    (90, 40, 99)
    """
    return upto(time, window + delay, resolution)


def upto(time: int, delay: int, resolution: int) -> int:
    """The latest time that counts under a delay.

    >>> upto(100, 50, 0), upto(103, 50, 10)
    (50, 59)
    """
    bound = time - delay
    if resolution > 0:
        # floor(t/r) > floor(bound/r)  <=>  t >= (floor(bound/r) + 1) * r
        return (bound // resolution + 1) * resolution - 1
    return bound


def micros(duration: str) -> int:
    """Microseconds of a duration such as `30s`, `5m`, `1h`, `7d`.

    Raises:
        ConfigurationError: not a whole number of s, m, h or d.

    >>> micros("1h")
    3600000000
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ConfigurationError(
            f"expected a duration such as `30s`, `5m`, `1h` or `7d`, got `{duration}`."
        )
    return int(match[1]) * _UNITS[match[2]]
