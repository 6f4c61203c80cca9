"""What every engine keeps for a list of features: streams of events, slots over them, and outputs.

Features that count the same events share a `Stream` (one entity, one condition, one resolution),
and those over the same window of it share a `Slot`, so that each event is added once per stream and
expires once per slot. An `Output` says which measures of which slots a feature's value follows
from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from shroff.collect.schema import Kind
from shroff.expression import Expression
from shroff.features import aggregates
from shroff.features.aggregates import ORDERED_KINDS
from shroff.features.links import LinkFeature
from shroff.features.row import Calendar
from shroff.features.window import Window

Later = Literal["result", "label"]


class Measure(NamedTuple):
    """What is kept over a window: its kind, and the column it is of, if any.

    `at`: the event that it is of, 1 for the outermost; of a quantile, the share in millionths.
    """

    kind: aggregates.Kind
    column: str | None = None
    at: int = 1


@dataclass(eq=False)
class Slot:
    """One window of one stream and what is kept over it."""

    window: Window
    measures: list[Measure] = field(default_factory=list)


@dataclass(eq=False)
class Stream:
    """The events of one entity that meet one condition.

    `later` are the events that must have arrived, besides the payment, before it counts. All
    windows have one `resolution`, microseconds. `reads` are the columns of a payment that its
    measures need.
    """

    columns: tuple[str, ...]
    where: Expression | None
    later: frozenset[Later]
    resolution: int
    slots: dict[Window, Slot] = field(default_factory=dict)
    reads: set[str] = field(default_factory=set)

    @property
    def horizon(self) -> int:
        """How far back any slot looks, in microseconds."""
        return max(window.window + window.delay + window.resolution for window in self.slots)

    @property
    def measures(self) -> frozenset[Measure]:
        """The measures of all its windows."""
        return frozenset(measure for slot in self.slots.values() for measure in slot.measures)

    @property
    def revised(self) -> bool:
        """Whether the order of its events matters, and they may leave when their label changes."""
        return self.ordered and "label" in self.later

    @property
    def ordered(self) -> bool:
        """Whether a measure depends on the order of events of one moment."""
        return any(measure.kind in ORDERED_KINDS for measure in self.measures)


class Input(NamedTuple):
    """One measure of one slot, as a formula reads it."""

    stream: Stream
    slot: Slot
    measure: Measure


@dataclass(frozen=True)
class Output:
    """How an aggregate is computed: its recipe's formula over these inputs and constants.

    `text`: the column of names whose value it gives; None for a number.
    """

    name: str
    recipe: aggregates.Recipe
    inputs: tuple[Input, ...]
    constants: tuple[float, ...]
    text: str | None = None


@dataclass(frozen=True)
class LinkOutput:
    """How a feature of what is linked follows from what slots hold.

    `values`: those that link, by key; `cards`: the keys, by value that links; `fact`: what is
    counted of each that is linked, None for how many there are.
    """

    name: str
    link: LinkFeature
    values: Input
    cards: Input
    fact: Input | None


@dataclass(frozen=True)
class RowFeature:
    """A feature of the payment and earlier features: an expression or a calendar field."""

    name: str
    source: Expression | Calendar
    kind: Kind
