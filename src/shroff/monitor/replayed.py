"""The replay of one decision from the ledger, compared with the recorded answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET

from shroff.canonical import canonical
from shroff.clock import MAX_AHEAD_US
from shroff.collect import Payment, Schema
from shroff.collect.conversion import Converter
from shroff.collect.lookup import LookupReader
from shroff.collect.payment import as_sent
from shroff.collect.rates import Rates
from shroff.collect.tables import ReferenceTable
from shroff.control import Edit, effective
from shroff.decide import LaneDecision
from shroff.decide.decider import Decider
from shroff.decide.lane import Draws
from shroff.decide.reasons import Reason
from shroff.decide.standing import Standing
from shroff.errors import NotFound
from shroff.evaluate.expected import ExpectedCosts
from shroff.features.engines.batch import compute_plan
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.answer import DecisionRecord, encode, fingerprint, forgotten_on
from shroff.monitor.recorded import recorded_payments, recorded_plan, with_history
from shroff.package import Bundle
from shroff.scoring.control_group import carried_out, lane_again


class _Recorded(msgspec.Struct):
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    degraded: bool
    expected_costs: ExpectedCosts | None = None


_record = msgspec.json.Decoder(DecisionRecord).decode
_payment = msgspec.json.Decoder(Payment).decode
_answer = msgspec.json.Decoder(_Recorded).decode


def _none_kept(marks: Sequence[str]) -> Sequence[Any]:
    return ()


def _unpublished(version: str) -> Standing:
    raise NotFound(
        f"it was decided by the published policy {version}: expected a folder of published "
        "policies."
    )


@dataclass(frozen=True)
class Line:
    """One value of a decision, as recorded and as replayed."""

    name: str
    decided: Any
    replayed: Any

    @property
    def equal(self) -> bool:
        """Whether both are equal, numbers to the bit."""
        return type(self.decided) is type(self.replayed) and bool(self.decided == self.replayed)


@dataclass(frozen=True)
class Replayed:
    """A decision and its replay, compared line by line, from payload to reasons."""

    payment: str
    model: str
    policy: str
    lines: tuple[Line, ...]
    lacking: int = 0
    """Payments before it that were forgotten, of which nothing was kept for it to count."""
    read: int = 0
    """Records of the ledger that its features were computed from again, its own among them."""
    since: int | None = None
    """The time of the first payment among these, microseconds since the epoch."""

    @property
    def holds(self) -> bool:
        """Whether all of it is equal."""
        return all(line.equal for line in self.lines)


def replay_decision(
    payment_id: str,
    ledger: Ledger,
    decided_by: Callable[[str], Bundle],
    *,
    policies: Callable[[str], Standing] = _unpublished,
    edits: Callable[[], Sequence[Edit]] = list,
    rates: Callable[[Sequence[str]], Sequence[Rates]] = _none_kept,
    tables: Callable[[Sequence[str]], Sequence[ReferenceTable]] = _none_kept,
    history: Callable[[Bundle], pl.DataFrame | None] = lambda bundle: None,
    key: Callable[[], bytes] | None = None,
) -> Replayed:
    """Replay a decision: features in batch over the ledger, score and action by model and policy of
    then.

    Args:
        decided_by: the bundle of a version.
        policies: the published policy of a version.
        edits: all edits of lists ever made.
        rates: the exchange rates with these marks, of all replacements; `tables`: the reference
            tables.
        history: the clean table that the service was started from, if it was.
        key: gives that of personal columns, to make the draw of a control lane again; without it,
            or with another than the recorded one, the draw is taken as recorded.

    Raises:
        NotFound: the ledger has no such payment, or it was forgotten, or its model, policy,
            exchange rates or reference tables are not there any more.
        LedgerUnavailable, ControlUnavailable: a database does not answer.
    """
    entry = ledger.find(canonical(payment_id))
    if entry is None:
        raise NotFound("the ledger has no payment with this id.")
    if entry.forgotten is not None:
        raise NotFound(forgotten_on(entry))
    record = _record(entry.body)
    bundle = decided_by(record.model)
    # without a state the policy decided, and no feature was computed
    before = _before(bundle, entry, ledger) if record.features else []
    features = _features(bundle, entry, before, history(bundle)) if before else {}
    values = msgspec.json.decode(record.payment)["values"]
    decider = Decider(
        bundle, None if record.policy in (None, record.model) else policies(record.policy)
    )
    if record.lists is not None:
        last, moment = record.lists
        known = [edit for edit in edits() if edit.id <= last]
        decider = decider.listing(effective(decider.policy.lists, known, moment))
    (again,) = decider.assess([values | features])
    answered = _answer(record.answer)
    # without a model the policy decided, though the replay's model may be well again
    if answered.degraded:
        (again,) = decider.assess_blindly([values | features])
    draws = None if key is None or record.lane is UNSET else Draws(key())
    lane = lane_again(payment_id, record, decider, values | features, again, draws)
    again = carried_out(again, lane)
    return Replayed(
        payment_id,
        f"{bundle.name}, version {record.model}",
        record.policy or record.model,
        (
            Line("payload (SHA-256)", entry.digest.hex(), _digest(record, bundle.schema).hex()),
            *_converted(record, bundle.schema, rates),
            *_looked_up(record, bundle.schema, tables),
            *(Line(name, record.features[name], value) for name, value in features.items()),
            Line("probability", record.probability, again.probability),
            *_costs(answered.expected_costs, again.verdict.costs),
            *_lane(record, lane, draws),
            Line("action", record.action, again.verdict.action),
            Line("rules", answered.rules, again.verdict.rules),
            Line("reasons", _texts(answered.reasons), _texts(again.reasons)),
        ),
        lacking=sum(one.kind == "payment" and one.gone for one in before),
        read=len(before),
        since=min((one.time for one in before if one.kind == "payment"), default=None),
    )


def _lane(
    record: DecisionRecord, again: LaneDecision | None, draws: Draws | None
) -> Iterator[Line]:
    """The control lane: the propensity, and the draw where its key is known."""
    if record.lane is UNSET and again is None:
        return
    decided = None if record.lane is UNSET else record.lane
    drawn = decided is not None and draws is not None and draws.mark == decided.key
    yield Line("control lane" if drawn else "control lane (the draw as recorded)", decided, again)


def _costs(decided: ExpectedCosts | None, again: ExpectedCosts | None) -> Iterator[Line]:
    """What each action was expected to cost, where the policy decides by cost."""
    if decided is not None or again is not None:
        yield Line("expected costs", decided, again)


def _texts(reasons: Sequence[Any]) -> tuple[str, ...]:
    return tuple(reason.text for reason in reasons)


def _before(bundle: Bundle, entry: StoredEntry, ledger: Ledger) -> list[StoredEntry]:
    """The records that a payment's features can have seen, with its own."""
    # no window reaches further back, and nothing happens long after it arrived
    oldest = entry.time - recorded_plan(bundle).horizon - MAX_AHEAD_US
    return list(takewhile(lambda one: one.seq <= entry.seq, ledger.entries(since=oldest)))


def _features(
    bundle: Bundle,
    entry: StoredEntry,
    before: Sequence[StoredEntry],
    history: pl.DataFrame | None,
) -> dict[str, Any]:
    plan = recorded_plan(bundle)
    frame = recorded_payments(plan, before)
    table = frame if history is None else with_history(frame, history, bundle.schema, plan, before)
    (row,) = (
        compute_plan(plan, table)
        .filter(pl.col(plan.schema.id) == entry.payment_id)
        .iter_rows(named=True)
    )
    return {name: row[name] for name in plan.names}


def _digest(record: DecisionRecord, schema: Schema) -> bytes:
    """The fingerprint of the payment as it was sent, before its schema added anything."""
    payment = _payment(record.payment)
    return fingerprint(
        encode(as_sent(payment, schema))
        if payment.rates or payment.tables
        else bytes(record.payment)
    )


def _converted(
    record: DecisionRecord, schema: Schema, kept: Callable[[Sequence[str]], Sequence[Rates]]
) -> Iterator[Line]:
    """The amount in the base currency, converted again by the rates of then."""
    payment = _payment(record.payment)
    if not payment.rates or schema.rates is None:
        return
    own = schema.rates
    known = [own] if own.mark == payment.rates else kept([payment.rates])
    if not known:
        raise NotFound(
            "it was converted by exchange rates that are neither the model's nor were ever put in "
            "place."
        )
    sent = as_sent(payment, schema)
    converter = Converter(known[0])
    again = converter.minor(str(sent.values[str(schema.currency)]), sent.time, sent.minor)
    yield Line(f"amount (minor units of {converter.base})", payment.minor, again)


def _looked_up(
    record: DecisionRecord,
    schema: Schema,
    kept: Callable[[Sequence[str]], Sequence[ReferenceTable]],
) -> Iterator[Line]:
    """The columns from reference tables, looked up again in those of then."""
    payment = _payment(record.payment)
    if not payment.tables:
        return
    tables = {table.mark: table for table in schema.tables}
    others = [mark for mark in payment.tables if mark not in tables]
    tables |= {table.mark: table for table in (kept(others) if others else ())}
    if not tables.keys() >= {*payment.tables}:
        raise NotFound(
            "it was looked up in reference tables that are neither the model's nor were ever put "
            "in place."
        )
    values = as_sent(payment, schema).values
    reader = LookupReader(
        schema.lookups, [tables[mark] for mark in payment.tables], time=schema.time
    )
    reader.add(values, payment.time)
    for name in schema.looked_up:
        yield Line(name, payment.values.get(name), values[name])
