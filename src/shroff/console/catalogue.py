"""The inputs of the model in production: definitions, what they were in training and are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from shroff.decide.words import sentences
from shroff.errors import NotFound
from shroff.features.plan import Plan
from shroff.package import Bundle
from shroff.store.features import feature_table

if TYPE_CHECKING:
    from shroff.clock import Clock
    from shroff.ledger import Ledger
    from shroff.monitor.current import CurrentColumn

PARITY_PAYMENTS: Final = 200


class InputEntry(NamedTuple):
    """An input of a model: its group (none: a column of payments), and its definition."""

    name: str
    group: str
    unit: str
    definition: str
    words: str


@dataclass(frozen=True)
class InputsMeasured:
    """What was measured of the inputs of a version on the ledger, and when (microseconds)."""

    version: str
    at: int
    columns: Mapping[str, CurrentColumn]
    different: Mapping[str, int]
    compared: int


def entries_of(bundle: Bundle) -> list[InputEntry]:
    """Every input that monitoring knows of a bundle, in the order of its model."""
    plan = Plan(bundle.groups, bundle.schema)
    words, made = sentences(bundle.groups, bundle.schema), dict[str, InputEntry]()
    for group in bundle.groups:
        for name, column in feature_table(group, plan).columns.items():
            said = words[name].tells(1.0) if name in words and column.kind == "number" else ""
            where = f"{group.name}, version {group.version}"
            made[name] = InputEntry(name, where, column.unit, column.definition, said)
    columns = () if bundle.reference is None else bundle.reference.columns
    return [
        made.get(name, InputEntry(name, "", "", "", ""))
        for name in (one.bins.name for one in columns)
    ]


def training_columns(bundle: Bundle) -> dict[str, CurrentColumn]:
    """The inputs as they were in training, without any of now."""
    from shroff.monitor.current import current_columns

    if bundle.reference is None:
        return {}
    return {one.name: one for one in current_columns(bundle.reference, None)}


def measure(bundle: Bundle, ledger: Ledger, key: bytes, clock: Clock) -> InputsMeasured:
    """Measure the inputs of all that a model decided, and the parity of some of it.

    Raises:
        NotFound: it has decided nothing yet.
        ConfigurationError: the bundle keeps no reference.
    """
    from shroff.monitor import from_ledger
    from shroff.monitor.current import current_columns
    from shroff.monitor.observed import reference_of
    from shroff.monitor.sampled import sampled_parity

    now, observed = clock(), from_ledger(bundle, ledger.records())
    if not len(observed.decisions):
        raise NotFound(
            f"version {bundle.version} has decided no payment of this ledger yet: measure again "
            "when it has."
        )
    parity = sampled_parity(
        bundle,
        ledger.records(),
        size=PARITY_PAYMENTS,
        key=key,
        day=datetime.fromtimestamp(now / 1e6, UTC).date(),
    )
    found = current_columns(reference_of(bundle), observed)
    return InputsMeasured(
        bundle.version, now, {one.name: one for one in found}, parity.different, parity.payments
    )
