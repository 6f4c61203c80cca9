"""What a bundle keeps of its training for monitoring: counts of inputs, scores and decisions."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Floats, Ints
from shroff.collect.times import DAY_US
from shroff.collect.wire import live_scales
from shroff.decide.decider import scoring_decider
from shroff.evaluate.cost import ACTIONS
from shroff.evaluate.reference import PROBABILITY, TrainingReference
from shroff.experiment import Run
from shroff.features.plan import Plan
from shroff.package import Bundle

_MAX_DECIDED: Final = 100_000
"""How many of the judging payments, the last ones, are decided again for their mix of decisions."""


def training_reference(bundle: Bundle, run: Run, judged: Floats, horizon: int) -> TrainingReference:
    """The inputs of the payments learned from, and probabilities and decisions of those that
    judged.

    Where the log begins, windows of `horizon` microseconds are not full, which is no sight that a
    service with a history ever has: such payments are left out where others remain.

    Args:
        judged: the probabilities of the test part [n].
    """
    dataset, rows = run.dataset, run.rows
    time = _micros(run)
    full = time[rows.train] >= time.min() + horizon
    learned = rows.train[full] if full.any() else rows.train
    inputs = dataset.table[learned].select(*dataset.numeric, *dataset.nominal)
    probabilities = pl.DataFrame({PROBABILITY: judged})
    card = None if dataset.card is None else dataset.table[dataset.card]
    one, other = (
        TrainingReference.of(table, time[part], None if card is None else card[part])
        for table, part in ((inputs, learned), (probabilities, rows.test))
    )
    last = rows.test[-_MAX_DECIDED:]
    return one.joined(other).deciding(
        _decisions(bundle, run, last), time[last], None if card is None else card[last], ACTIONS
    )


def history_notices(run: Run, horizon: int) -> list[str]:
    """A sentence where most of the payments learned from are of the beginning of the log, when
    windows of `horizon` microseconds are not full: then inputs mean less than those of a service.
    """
    learned = _micros(run)[run.rows.once.train]
    cold = int((learned < _micros(run).min() + horizon).sum())
    if 2 * cold <= len(learned):
        return []
    return [
        f"{cold:,} of {len(learned):,} payments learned from are of the first "
        f"{horizon / DAY_US:.3g} days of the log, as far as features look back: theirs count less "
        "than those of a service that knows more history. Use a longer log, learn from later days "
        "(--split), or look back less far."
    ]


def _micros(run: Run) -> Ints:
    found: Ints = run.dataset.time.astype("datetime64[us]").astype(np.int64)
    return found


def _decisions(bundle: Bundle, run: Run, rows: Ints) -> pl.Series:
    """The actions of the bundle's own policy on payments of the log."""
    schema, table = bundle.schema, run.dataset.table[rows]
    names = (*live_scales(schema), *schema.looked_up, *Plan(bundle.groups, schema).names)
    values = table.with_columns(pl.col(schema.time).dt.epoch("us")).select(names)
    assessed = scoring_decider(bundle).assess_all(values.iter_rows(named=True), explain=False)
    return pl.Series([one.verdict.action for one in assessed], dtype=pl.String)
