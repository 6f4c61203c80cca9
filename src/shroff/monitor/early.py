"""How many frauds there are among decisions whose labels are not all in yet.

Two estimates, each with its assumption, and beside them the figure that labels gave once they are
in. By delay: the frauds that are known, over the share that is known at that age
(`evaluate/delay.py`). By the lane: prediction-powered (Angelopoulos et al., *Prediction-Powered
Inference*, 2023), the model's probabilities over all payments, corrected by how far they are wrong
on those that the control lane drew, each weighted by 1 / propensity. The second needs no calibrated
model: a wrong one costs width, not truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from scipy.stats import t

from shroff.arrays import Bools, Floats, Ints
from shroff.collect.times import DAY_US, iso_time
from shroff.evaluate.cost import ACTIONS, UNSEEN
from shroff.evaluate.delay import ReportingDelay
from shroff.evaluate.reference import PROBABILITY
from shroff.evaluate.weighted import Estimate, by_card, weighted_share
from shroff.monitor.lane import as_decided
from shroff.monitor.performance import card_numbers

ASSUMPTIONS: Final = {
    "by_delay": "frauds of young payments are reported after the same delays as those of older "
    "ones, and none after the label delay",
    "by_lane": "the control lane drew payments as recorded, and their frauds are reported after "
    "the same delays as others that were done the same with; the model may be wrong",
}
MIN_TAKEN: Final = 10
"""Payments that the lane took, with fewer of which nothing is estimated."""

Delays = Mapping[str, ReportingDelay | None]


class EarlyFrauds(NamedTuple):
    """The frauds among the payments of a month (UTC) that were decided in one way.

    Attributes:
        as_of: what was known until then is used: the end of the month where its labels are in, so
            that `matured` judges the estimates; else now.
        payments: those that are old enough to be estimated; `too_young` are not.
        known: frauds that were reported.
        by_delay, by_lane: the two estimates; None where there is nothing to estimate from.
        matured: what labels gave, of declines by the control lane; None while they come in.
        amount: what the known frauds amount to; `amount_by_delay` and `amount_matured` as above.
    """

    month: str
    decided: str
    as_of: str
    payments: int
    too_young: int
    known: int
    by_delay: Estimate | None
    by_lane: Estimate | None
    matured: Estimate | None
    amount: float
    amount_by_delay: Estimate | None
    amount_matured: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            name: value._asdict() if isinstance(value, Estimate) else value
            for name, value in self._asdict().items()
        }


class _Rows(NamedTuple):
    """Decisions in columns [n], ages in days as of a moment."""

    decided: np.ndarray
    action: np.ndarray
    age: Floats
    reported: Bools
    fraud: Bools
    delay: Floats
    amount: Floats
    card: Ints
    probability: Floats
    propensity: Floats
    taken: Bools

    def where(self, rows: Bools) -> _Rows:
        return _Rows(*(one[rows] for one in self))  # type: ignore[arg-type]  # each keeps its type


def early_by_month(
    decisions: pl.DataFrame, *, now: int, until: int, delay_days: float
) -> list[EarlyFrauds]:
    """The frauds of each month by decision, estimated before their labels are in.

    Args:
        decisions: as `observed.from_ledger` gives them.
        now: microseconds since the epoch; payments after `until` may still get a label.
        delay_days: after which no label is expected.
    """
    month = pl.from_epoch("arrived", time_unit="us").dt.strftime("%Y-%m").alias("month")
    end = (
        pl.from_epoch("arrived", time_unit="us").dt.month_end().dt.truncate("1d").dt.offset_by("1d")
    )
    # numbers are ranked faster than texts, month by month
    card = pl.col("card").rank("dense")
    table = as_decided(decisions).with_columns(card, month, end.dt.epoch("us").alias("end"))
    found = []
    for part in table.partition_by("month", maintain_order=True):
        mature = int(part["end"][0]) <= until
        as_of = int(part["end"][0]) if mature else now
        delays = _delays(_rows(table, as_of), delay_days)
        rows = _rows(part, as_of)
        for decided in ACTIONS:
            if (chosen := rows.decided == decided).any():
                made = _one(rows.where(chosen), delays, mature=mature)
                told = str(part["month"][0]), decided, iso_time(as_of, "seconds")
                found.append(EarlyFrauds(*told, *made))
    return found


def _rows(table: pl.DataFrame, as_of: int) -> _Rows:
    kept = table.filter(pl.col("arrived") < as_of)
    fraud = kept["fraud"].fill_null(value=False).to_numpy()
    labelled = kept["labelled"].fill_null(as_of + 1).to_numpy()
    return _Rows(
        decided=kept["decided"].to_numpy(),
        action=kept["action"].to_numpy(),
        age=(as_of - kept["arrived"].to_numpy()) / DAY_US,
        reported=fraud & (labelled <= as_of),
        fraud=fraud,
        delay=(labelled - kept["arrived"].to_numpy()) / DAY_US,
        amount=kept["amount"].fill_null(0.0).to_numpy(),
        card=card_numbers(kept["card"]),
        probability=kept[PROBABILITY].fill_null(np.nan).to_numpy(),
        propensity=kept["propensity"].fill_null(0.0).to_numpy(),
        taken=kept["taken"].fill_null(value=False).to_numpy(),
    )


def _delays(rows: _Rows, longest: float) -> Delays:
    """How long frauds take to be reported, by what was done with the payment."""
    return {
        action: ReportingDelay.of(rows.delay[own], rows.age[own], rows.card[own], longest=longest)
        for action in ACTIONS
        if (own := rows.reported & (rows.action == action)).any()
    }


def _one(rows: _Rows, delays: Delays, *, mature: bool) -> tuple[Any, ...]:
    hidden = str(rows.decided[0]) in UNSEEN
    told = rows.taken | (not hidden)
    used = [delays.get(one) for one in {*rows.action[told].tolist()}]
    oldest = max((one.youngest() for one in used if one is not None), default=0.0)
    old = rows.age >= oldest
    kept = rows.where(old)
    matured, amount_matured = None, None
    if mature and hidden:
        matured = _by_weights(kept)
    elif mature:
        count, amount_matured = float(kept.fraud.sum()), float(kept.amount[kept.fraud].sum())
        matured = Estimate(count, count, count)
    return (
        len(kept.age),
        int((~old).sum()),
        int(kept.reported.sum()),
        None if hidden else _by_delay(kept, np.ones(len(kept.age)), delays),
        _by_lane(kept, delays),
        matured,
        float(kept.amount[kept.reported].sum()),
        None if hidden else _by_delay(kept, kept.amount, delays),
        amount_matured,
    )


def _by_delay(rows: _Rows, value: Floats, delays: Delays) -> Estimate | None:
    """What frauds come to, over the share that is reported, added up over what was done."""
    parts = []
    for action in {*rows.action.tolist()}:
        own, delay = rows.reported & (rows.action == action), delays.get(action)
        if delay is not None:
            parts.append(delay.whole(value[own], rows.age[own], rows.card[own]))
        elif action == rows.decided[0]:
            return None
    return Estimate(*(sum(one) for one in zip(*parts, strict=True))) if parts else None


def _by_weights(rows: _Rows) -> Estimate | None:
    covered = rows.propensity > 0
    drawn = covered & rows.taken
    share = weighted_share(rows.fraud[drawn], 1.0 / rows.propensity[drawn], rows.card[drawn])
    return share and share.times(float(covered.sum()))


def _by_lane(rows: _Rows, delays: Delays) -> Estimate | None:
    """The prediction-powered number of frauds among payments that had a chance."""
    covered = rows.where((rows.propensity > 0) & np.isfinite(rows.probability))
    sample = covered.where(covered.taken)
    known = _reported_share(sample, delays)
    if known is None or len(sample.age) < MIN_TAKEN:
        return None
    p, weight = sample.probability, 1.0 / sample.propensity
    error = sample.reported / known - p
    number, total = len(covered.age), float(weight.sum())
    mean = float((weight * error).sum()) / total
    value = float(covered.probability.sum()) + number * mean
    of_card = by_card(np.column_stack((weight * (error - mean), weight)), sample.card)
    cards = len(of_card)
    seen = float((of_card[:, 0] ** 2).sum()) * cards / max(cards - 1, 1)
    # where the lane took no fraud by chance, the errors look smaller than they are
    foreseen = float((weight**2 * p * (1.0 - p) / known).sum())
    wide = t.ppf(0.975, max(cards - 1, 1)) * number / total * max(seen, foreseen) ** 0.5
    low, high = max(value - wide, 0.0), min(value + wide, float(number))
    return Estimate(min(max(value, 0.0), float(number)), low, high)


def _reported_share(sample: _Rows, delays: Delays) -> Floats | None:
    """The share of frauds of each payment's kind that is reported at its age [n]."""
    found = np.ones(len(sample.age))
    for action in {*sample.action.tolist()}:
        delay, own = delays.get(action), sample.action == action
        if delay is None:
            return None
        found[own] = delay.share(sample.age[own])
    return found
