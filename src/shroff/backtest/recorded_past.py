"""The past of a ledger: the values, features and probabilities by which payments were decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import polars as pl
from msgspec import UNSET

from shroff.backtest.past import PASSED, PAST, Past, columns_of, probabilities
from shroff.collect.labels import require_label
from shroff.decide.lists import Edit, Values
from shroff.ledger import StoredEntry
from shroff.ledger.answer import DecisionRecord
from shroff.monitor.recorded import recorded_payments, recorded_plan
from shroff.package import Bundle

_record: Final = msgspec.json.Decoder(DecisionRecord).decode
_UNKNOWN_MODEL: Final = "decided by a model that is not published here, so its features are unknown"
_OTHER_FEATURES: Final = "decided by a model without all features of this one"
_FORGOTTEN: Final = "forgotten since"
_NO_FEATURES: Final = "decided without features, as the state was away"


def past_of_ledger(
    bundle: Bundle,
    entries: Iterable[StoredEntry],
    published: Callable[[str], Bundle | None],
    *,
    lists: Values,
    edits: Sequence[Edit] = (),
    propensity: str | None = None,
) -> Past:
    """The payments of a ledger.

    Where the same model decided, its probability is the recorded one; where another did that had
    the same features, the bundle's model scores them. Payments without a label have none here: see
    `Past.matured`.

    Args:
        published: the bundle of a version; None if it is not there any more.
        lists: those of the policy, which a model of rules may read; `edits` are theirs.
        propensity: a column that has it; by default those of the control lane are taken.
    """
    plan, schema = recorded_plan(bundle), bundle.schema
    records: dict[str, DecisionRecord | None] = {}
    frame = recorded_payments(plan, _noting(entries, records))
    why = _Reasons(bundle, published)
    replayed = {name: one for name, one in records.items() if one is not None and why(one)}
    # of a forgotten payment there may be a row for others to count, but no decision
    frame = frame.filter(pl.col(schema.id).is_in([*replayed]))
    decided = [replayed[name] for name in frame[schema.id]]
    forgotten = sum(one is None for one in records.values())
    features = pl.DataFrame(
        [
            pl.Series(
                name,
                [record.features[name] for record in decided],
                dtype=pl.String if kind == "text" else pl.Float64,
            )
            for name, kind in plan.kinds.items()
        ]
    )
    table = columns_of(bundle, frame, features)
    moment = frame[str(plan.schema.arrived_at)].dt.epoch("us")
    lanes = _lanes(decided)
    nothing = pl.Series([None]).new_from_index(0, frame.height)
    known = {
        "\0id": frame[schema.id],
        "\0time": frame[schema.time].dt.epoch("us"),
        "\0moment": moment,
        "\0fraud": frame[require_label(bundle.schema)],
        "\0probability": _probabilities(bundle, decided, table, moment, lists, edits),
        "\0action": pl.Series([record.action for record in decided], dtype=pl.String),
        "\0decided": lanes["decided"],
        "\0policy": pl.Series([one.policy or one.model for one in decided], dtype=pl.String),
        "\0propensity": lanes["propensity"] if propensity is None else table[propensity],
        "\0taken": lanes["taken"] if propensity is None else nothing,
    }
    columns = [known[name].cast(kind).alias(name) for name, kind in PAST.items()]
    return Past(
        frame=table.hstack(columns),
        source="the ledger",
        until=int(moment.max() or 0),  # type: ignore[arg-type]  # integers
        left_out=why.left_out | ({_FORGOTTEN: forgotten} if forgotten else {}),
    )


def _lanes(records: Sequence[DecisionRecord]) -> pl.DataFrame:
    """What was decided before the control lane, and the chance of outcomes that it hid."""
    rows = [
        (record.action, None, None)
        if record.lane is UNSET
        else (record.lane.decided, record.lane.propensity or None, record.lane.drawn)
        for record in records
    ]
    types = {"decided": pl.String, "propensity": pl.Float64, "taken": pl.Boolean}
    found = pl.DataFrame(rows, schema=types, orient="row")
    # the outcome of an approved or reviewed payment comes to light without a lane
    hidden = pl.col("decided").is_in(PASSED).not_()
    return found.with_columns(
        pl.when(hidden).then("propensity").alias("propensity"),
        pl.when(hidden).then("taken").alias("taken"),
    )


def _noting(
    entries: Iterable[StoredEntry], records: dict[str, DecisionRecord | None]
) -> Iterator[StoredEntry]:
    """The entries, while the records of payments among them are noted; None where forgotten."""
    for entry in entries:
        if entry.kind == "payment":
            records[entry.payment_id] = None if entry.forgotten is not None else _record(entry.body)
        yield entry


class _Reasons:
    """Says whether a recorded decision has all features of a bundle, and counts why one has not."""

    def __init__(self, bundle: Bundle, published: Callable[[str], Bundle | None]) -> None:
        self._bundle, self._published = bundle, published
        self._lacking: dict[str, str | None] = {bundle.version: None}
        self._names = recorded_plan(bundle).names
        self._counts = Counter[str]()

    @property
    def left_out(self) -> dict[str, int]:
        return dict(self._counts)

    def __call__(self, record: DecisionRecord) -> bool:
        if record.model not in self._lacking:
            self._lacking[record.model] = self._lacks(self._published(record.model))
        why = self._lacking[record.model]
        if why is None and self._names and not record.features:
            why = _NO_FEATURES
        if why is not None:
            self._counts[why] += 1
        return why is None

    def _lacks(self, other: Bundle | None) -> str | None:
        if other is None:
            return _UNKNOWN_MODEL
        theirs = _definitions(other)
        same = all(theirs.get(name) == one for name, one in _definitions(self._bundle).items())
        return None if same else _OTHER_FEATURES


def _definitions(bundle: Bundle) -> dict[str, Any]:
    return {one.name: one for group in bundle.groups for one in group.definitions}


def _probabilities(
    bundle: Bundle,
    records: Sequence[DecisionRecord],
    table: pl.DataFrame,
    moment: pl.Series,
    lists: Values,
    edits: Sequence[Edit],
) -> pl.Series:
    own = pl.Series([record.model == bundle.version for record in records], dtype=pl.Boolean)
    found = pl.Series([record.probability for record in records], dtype=pl.Float64)
    if own.all():
        return found
    others = table.filter(~own)
    scored = probabilities(bundle, others, moment.filter(~own).to_numpy(), lists, edits)
    return found.scatter((~own).arg_true(), pl.Series(scored).fill_nan(None))
