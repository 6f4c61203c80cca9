"""What every online engine can do, wherever its state is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.plan import Later, Plan


class Observed(NamedTuple):
    """What became of a payment.

    `arrived` is its place in the order of the state, in microseconds since the epoch. `features`
    are None when it came too late to be seen (later than the lateness after the newest payment): it
    counts nowhere. `again` says that the state had it already: it counts once, and the features are
    those of its first arrival.
    """

    arrived: int
    features: dict[str, Value] | None
    again: bool = False


class Engine(Protocol):
    """Features of payments as they come.

    Payments must be observed in order of arrival, each once; `forget` undoes one that came to
    nothing.
    """

    @property
    def plan(self) -> Plan:
        """What is computed."""

    @property
    def newest(self) -> int:
        """The latest event time seen that was not in the future, in microseconds.

        Windows are kept whole for the lateness before it.
        """

    def observe(self, payment: Payment) -> dict[str, Value]:
        """The payment's features by name; from now on later payments see it.

        Raises:
            OutOfBounds: it is older than the state's lateness allows.
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        """`observe` for payments that wait together, in their order.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt; some of them may
                count, so observe them again later, or forget them.
        """

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first result counts. Of labels that of the lowest rank stands, and of one rank the one
        that arrived last: a label can be told again, and out of order. Returns whether the payment
        is one that windows still reach.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def forget(self, payment: Payment) -> None:
        """Undo `observe` for a payment that was not accepted after all (no later event of it has
        arrived).

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """


class StateEngine(Engine, Protocol):
    """An engine as a state uses it, which is filled from history and ledger and says how much it
    holds.
    """

    @property
    def too_late(self) -> str:
        """What a payment is refused with that is older than the lateness allows."""

    @property
    def keys(self) -> int:
        """How many timelines this process holds: one per stream and key."""

    @property
    def pending(self) -> int:
        """How many payments of which this process holds what a result or a label may still
        change.
        """

    def census(self) -> Iterator[int]:
        """How many events the timelines of this process hold, in parts, so that a caller can pause
        between them.
        """

    def lacking(self, payments: Sequence[Payment]) -> Sequence[Payment]:
        """Those of the payments that a replay of the ledger must let the engine observe.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def close(self) -> None:
        """Let go of what the engine holds outside of this process; it is not used afterwards."""
