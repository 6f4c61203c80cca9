"""Payments that a candidate is measured on: a log that neither model learned from, or what the
ledger recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.collect.labels import require_label
from shroff.collect.payment import Value, payments, rows_of
from shroff.collect.times import DAY_US, iso_time
from shroff.decide.decider import Decider, scoring_decider
from shroff.decide.standing import Standing, kinds_of
from shroff.decide.weighing import cost_expressions
from shroff.errors import ConfigurationError, DataError
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan
from shroff.ledger import Records, StoredEntry
from shroff.monitor.recorded import recorded_payments, recorded_plan
from shroff.package import Bundle
from shroff.package.trained import card_column, judged_from, usual_delay
from shroff.promotion.paired import PairedDecisions
from shroff.scoring.shadow import Shadow


class Contender(NamedTuple):
    """A model, and the policy by which it decides or would decide."""

    bundle: Bundle
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Payments to measure a candidate on.

    Attributes:
        source: where they are from, in words.
        plan, frame: the candidate's plan, and a clean table of its schema for it.
        pairs: what it and the model in production decided; None while none is in production.
    """

    source: str
    plan: Plan
    frame: pl.DataFrame
    pairs: PairedDecisions | None


class _Row(NamedTuple):
    """A payment as both models read it; `fraud` is None where nobody knows."""

    id: str
    time: int
    card: str
    amount: float
    fraud: bool | None
    values: Mapping[str, Value]


def from_log(
    candidate: Contender,
    incumbent: Contender | None,
    read: Callable[[Bundle], pl.DataFrame],
    *,
    source: str,
    card: str | None = None,
) -> Evidence:
    """The payments of a log that are later than what either model learned from, with labels.

    Args:
        read: the clean table of the log, by the schema of a bundle.
        card: the column that cards are told apart by; by default the bundle's own.

    Raises:
        ConfigurationError: no card, no label, or no payment is late enough.
        DataError: the log is unusable.
    """
    # before the log is read
    column = "" if incumbent is None else card_column(candidate.bundle, card)
    frame, plan = read(candidate.bundle), _plan(candidate.bundle)
    if incumbent is None:
        return Evidence(source=source, plan=plan, frame=frame, pairs=None)
    same = incumbent.bundle.schema == candidate.bundle.schema
    other = frame if same else read(incumbent.bundle)
    since = max(judged_from(one.bundle) for one in (candidate, incumbent))
    own = {row.id: row for row in _logged(candidate.bundle, frame, since, column)}
    if not own:
        raise ConfigurationError(
            f"{source}: expected labelled payments from {iso_time(since, 'seconds')[:10]} on, "
            "later than what both models learned from, got none."
        )
    theirs = [row for row in _logged(incumbent.bundle, other, since, column) if row.id in own]
    rows = [own[row.id] for row in theirs]
    newest = int(frame[candidate.bundle.schema.time].dt.epoch("us").max())  # type: ignore[arg-type]  # no null
    pairs = _paired(
        rows,
        _actions(scoring_decider(*candidate), (row.values for row in rows)),
        _actions(scoring_decider(*incumbent), (row.values for row in theirs)),
        _given(incumbent, (row.values for row in theirs)),
        until=newest,
    )
    return Evidence(source=source, plan=plan, frame=frame, pairs=pairs)


def from_ledger(
    candidate: Contender,
    incumbent: Contender,
    entries: Records | Sequence[StoredEntry],
    *,
    now: int,
    card: str | None = None,
    delay_days: float | None = None,
) -> Evidence:
    """The payments that the model in production decided, with the values and features of then: what
    the shadow sees.

    A payment whose label has not come after the delay is genuine, unless it was declined: then
    nobody knows.

    Args:
        now: microseconds since the epoch.
        delay_days: in which labels come in; by default that of the candidate's split, or 7.

    Raises:
        BundleError: the candidate reads what was not computed.
        ConfigurationError: no card, or no label.
    """
    plan = recorded_plan(candidate.bundle)
    frame = recorded_payments(plan, entries)
    column, label = card_column(candidate.bundle, card), require_label(candidate.bundle.schema)
    labels = dict(zip(frame[plan.schema.id], frame[label], strict=True))
    shadow = Shadow(candidate.bundle, incumbent.bundle, candidate.standing).decider
    since = max(judged_from(one.bundle) for one in (candidate, incumbent))
    rows = [
        row for row in _recorded(entries, incumbent.bundle, column, labels) if row.time >= since
    ]
    days = usual_delay(candidate.bundle) if delay_days is None else delay_days
    pairs = _paired(
        rows,
        _actions(shadow, (row.values for row in rows)),
        _actions(scoring_decider(*incumbent), (row.values for row in rows)),
        _given(incumbent, (row.values for row in rows)),
        until=now - int(days * DAY_US),
    )
    return Evidence(source="the ledger", plan=plan, frame=frame, pairs=pairs)


def _logged(bundle: Bundle, frame: pl.DataFrame, since: int, card: str) -> Iterator[_Row]:
    schema, plan = bundle.schema, _plan(bundle)
    label = require_label(bundle.schema)
    late = (frame[schema.time].dt.epoch("us") >= since) & frame[label].is_not_null()
    features = rows_of(compute_plan(plan, frame).filter(late), plan.names)
    table = frame.filter(late)
    for payment, known, fraud in zip(payments(table, schema), features, table[label], strict=True):
        values = payment.values | known
        yield _row(payment.id, payment.time, values, fraud, bundle, card)


def _recorded(
    entries: Iterable[StoredEntry], bundle: Bundle, card: str, labels: Mapping[str, bool | None]
) -> Iterator[_Row]:
    for entry in entries:
        if entry.kind != "payment" or entry.forgotten is not None:
            continue
        record: dict[str, Any] = msgspec.json.decode(entry.body)
        if record["model"] != bundle.version or record["probability"] is None:
            continue  # another model decided, or none
        fraud = labels.get(entry.payment_id)
        if fraud is None and record["action"] != "decline":
            fraud = False
        values = record["payment"]["values"] | record["features"]
        yield _row(entry.payment_id, entry.time, values, fraud, bundle, card)


def _row(
    identifier: str,
    moment: int,
    values: Mapping[str, Value],
    fraud: bool | None,
    bundle: Bundle,
    card: str,
) -> _Row:
    # a payment without a card is one of its own
    holder, amount = values.get(card), values[bundle.schema.amount]
    if not isinstance(amount, float | int):
        raise DataError("expected payments with an amount each, got one without.")
    told = f"card {holder}" if holder is not None else f"payment {identifier}"
    return _Row(identifier, moment, told, float(amount), fraud, values)


def _paired(
    rows: Sequence[_Row],
    challenger: list[str],
    incumbent: list[str],
    given: Mapping[str, Floats],
    *,
    until: int,
) -> PairedDecisions:
    return PairedDecisions(
        time=np.array([row.time for row in rows], dtype=np.int64),
        card=np.array([row.card for row in rows], dtype=object),
        fraud=np.array([row.fraud is True for row in rows], dtype=np.bool_),
        known=np.array([row.fraud is not None for row in rows], dtype=np.bool_),
        amount=np.array([row.amount for row in rows], dtype=np.float64),
        incumbent=np.array(incumbent, dtype=object),
        challenger=np.array(challenger, dtype=object),
        until=until,
        given=given,
    )


def _given(incumbent: Contender, values: Iterable[Mapping[str, Value]]) -> dict[str, Floats]:
    """What the SQL costs of the policy in force come to for each payment, NaN where one is null."""
    read = cost_expressions(incumbent.standing.policy.cost, kinds_of(incumbent.bundle))
    asked = [one.closure() for one in read.values()]
    rows = [[ask(each) for ask in asked] for each in values] if read else []
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(read))
    return {name: table[:, at] for at, name in enumerate(read)}


def _actions(decider: Decider, values: Iterable[Mapping[str, Value]]) -> list[str]:
    return [one.verdict.action for one in decider.assess_all(values, explain=False)]


def _plan(bundle: Bundle) -> Plan:
    return Plan(bundle.groups, bundle.schema)
