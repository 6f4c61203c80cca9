"""What every online engine can do, wherever its state is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.plan import Later, Plan


class Observed(NamedTuple):
    """What became of a payment.

    `arrived` is its place in the order of the state, in microseconds since the epoch. `features` are None when
    it came too late to be seen (later than the lateness after the newest payment): it counts nowhere. `again`
    says that the state had it already: it counts once, and the features are those of its first arrival.
    """

    arrived: int
    features: dict[str, Value] | None
    again: bool = False


class Engine(Protocol):
    """Features of payments as they come.

    Payments must be observed in order of arrival, each once; `forget` undoes one that came to nothing.
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
            StateUnavailable: the state cannot be reached, or is being rebuilt; some of them may count, so observe
                them again later, or forget them.
        """

    def later(self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first result counts. Of labels that of the lowest rank stands, and of one rank the one that arrived last: a
        label can be told again, and out of order. Returns whether the payment is one that windows still reach.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """

    def forget(self, payment: Payment) -> None:
        """Undo `observe` for a payment that was not accepted after all (no later event of it has arrived).

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
