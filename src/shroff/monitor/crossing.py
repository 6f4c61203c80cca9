"""When a rolling rate would reach its limit, if the trend of the last weeks went on.

The weekly rates of the last 13 weeks are put on a straight line, weighted by their volume. The line
is drawn again from residuals that are resampled, and goes on with resampled residuals (residual
bootstrap; Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 9); in each of
these futures, the rolling rate reaches the limit in some week, or does not. So the interval knows
how much weeks differ, and not that trends end.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from shroff.arrays import Floats

HORIZON_DAYS: Final = 90
_TREND_WEEKS: Final = 13
_LEAST_WEEKS: Final = 8
_FUTURES: Final = 1_000
_NEVER: Final = float(np.inf)


class Crossing(NamedTuple):
    """The date on which a limit would be reached: in half of all futures by `likely`, and in 95 of
    100 between `earliest` and `latest`; None: not within 90 days.
    """

    earliest: date | None
    likely: date | None
    latest: date | None

    def seconds(self, bound: str) -> float:
        """The start of the date of a bound, by its name, in seconds since the epoch; infinite
        without one.

        >>> Crossing(date(1970, 1, 3), None, None).seconds("earliest")
        172800.0
        """
        found: date | None = self._asdict()[bound]
        return _NEVER if found is None else (found - date(1970, 1, 1)).days * 86_400.0

    @property
    def words(self) -> str:
        """The date and its interval in words.

        >>> Crossing(date(2026, 2, 3), date(2026, 3, 3), None).words
        'on 2026-03-03 (95 %: from 2026-02-03 to not within 90 days)'
        >>> Crossing(None, None, None).words
        'not within 90 days'
        """
        never = f"not within {HORIZON_DAYS} days"
        if self.likely is None and self.earliest is None:
            return never
        begin, end = (str(one) if one else never for one in (self.earliest, self.latest))
        likely = never if self.likely is None else f"on {self.likely}"
        return f"{likely} (95 %: from {begin} to {end})"


def crossing(
    part: Floats,
    whole: Floats,
    last: date,
    *,
    limit: float,
    window_days: int,
    least: float = 0.0,
    seed: int = 0,
) -> Crossing | None:
    """The date on which the sum of `part` over that of `whole`, over a rolling window, would reach
    `limit`; None with less than eight weeks that have any.

    Args:
        part, whole: daily sums [days] up to the day `last`.
        least: what the sum of `part` must reach too.
    """
    weeks = min(len(part) // 7, _TREND_WEEKS)
    f, v = (days[len(days) - 7 * weeks :].reshape(weeks, 7).sum(axis=1) for days in (part, whole))
    if (v > 0).sum() < _LEAST_WEEKS:
        return None
    ahead = HORIZON_DAYS // 7
    rates = _futures(f, v, ahead, np.random.default_rng(seed))
    future = rates * v.mean()
    width = round(window_days / 7)
    fs = np.hstack([np.broadcast_to(f, (_FUTURES, weeks)), future])
    vs = np.append(v, np.full(ahead, v.mean()))
    sums, volumes = _rolling(fs, width)[:, -ahead:], _rolling(vs[None], width)[:, -ahead:]
    reached = (sums >= limit * volumes) & (sums >= least)
    week = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, _NEVER)
    ends = np.quantile(week, (0.025, 0.5, 0.975), method="inverted_cdf").tolist()
    return Crossing(
        *(None if one == _NEVER else last + timedelta(days=7 * int(one)) for one in ends)
    )


def _futures(f: Floats, v: Floats, ahead: int, random: np.random.Generator) -> Floats:
    """Weekly rates of the weeks ahead in every future, 0 or more [futures, ahead]."""
    weeks = len(f)
    rate = np.divide(f, v, out=np.zeros(weeks), where=v > 0)
    at = np.arange(weeks + ahead, dtype=np.float64)
    design = np.stack((np.ones_like(at), at), axis=1)
    root = np.sqrt(v)[:, None]
    fit = np.linalg.pinv(design[:weeks] * root) @ np.diag(root[:, 0])
    line = design[:weeks] @ (fit @ rate)
    # a week without volume has no rate
    residual = (rate - line)[v > 0]
    # a fitted line lies too near to its points: two of its degrees of freedom are theirs
    residual *= np.sqrt(len(residual) / (len(residual) - 2))
    drawn = random.choice(residual - residual.mean(), (_FUTURES, weeks + ahead))
    lines = (fit @ (line + drawn[:, :weeks]).T).T @ design.T
    found: Floats = np.clip(lines[:, weeks:] + drawn[:, weeks:], 0.0, None)
    return found


def _rolling(values: Floats, width: int) -> Floats:
    """Sums of so many weeks up to each, of those that there are [n, weeks]."""
    total = np.cumsum(values, axis=1)
    before = np.zeros_like(total)
    before[:, width:] = total[:, :-width]
    found: Floats = total - before
    return found
