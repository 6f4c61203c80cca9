"""What every online engine can do, wherever its state is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.plan import Plan
from shroff.features.streams import Later


class Observed(msgspec.Struct, frozen=True, gc=False):
    """What the engine made of a payment.

    `arrived` is its arrival in the order of the state, microseconds since 1970. `features` are None
    if it came later than the lateness allows: then it counts nowhere. `again` says that the state
    had it already: it counts once, and the features are those of its first arrival.
    """

    arrived: int
    features: dict[str, Value] | None
    again: bool = False


class Engine(Protocol):
    """Features of payments as they come.

    Payments must be observed in order of arrival, each once; `forget` undoes one that was not
    accepted.
    """

    @property
    def plan(self) -> Plan:
        """What the engine computes."""

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

        The first result counts. Of labels the one of the lowest rank stands, within a rank the one
        that arrived last: a label may come twice, and out of order. Returns whether windows still
        reach the payment.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def forget(self, payment: Payment) -> None:
        """Undo `observe` of a payment that was not accepted, before any later event of it.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """


class StateEngine(Engine, Protocol):
    """An engine that a state can fill from history and ledger, and that counts what it holds."""

    @property
    def too_late(self) -> str:
        """The message for a payment that is older than the lateness allows."""

    @property
    def keys(self) -> int:
        """How many timelines this process holds: one per stream and key."""

    @property
    def pending(self) -> int:
        """How many payments this process keeps for a result or a label to come."""

    def census(self) -> Iterator[int]:
        """How many events the timelines of this process hold, in batches to pause between."""

    def count_all(self, payments: Sequence[Payment]) -> None:
        """`observe_all` for payments whose features nobody needs.

        Raises:
            StateUnavailable: as `observe_all`.
        """

    def lacking(self, payments: Sequence[Payment]) -> Sequence[Payment]:
        """Those of the payments that a replay of the ledger must still let the engine observe.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def close(self) -> None:
        """Release what the engine holds outside of this process; it is not used afterwards."""
