"""What decides now, as one frozen value: every switch assigns another value, and changes none.

The sequencer reads the value once per turn of the event loop. So a payment meets the model, policy,
lists, rates and state of one value, whatever is switched while it is in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from shroff.collect import PaymentReader
from shroff.decide.decider import Decider
from shroff.ledger.answer import ModelName
from shroff.package import Bundle
from shroff.scoring.shadow import Shadow
from shroff.state import State


@dataclass(frozen=True, slots=True)
class Active:
    """A bundle, its decider (policy and lists included), and the state that gives its features.

    `reader` reads its payments and converts them by the exchange rates in force; `model` is its
    name in answers; `shadow` is the candidate that is compared with it.
    """

    bundle: Bundle
    decider: Decider
    reader: PaymentReader
    state: State
    model: ModelName
    shadow: Shadow | None = None

    @classmethod
    def of(cls, bundle: Bundle, decider: Decider, state: State, reader: PaymentReader) -> Self:
        """A bundle without a shadow."""
        return cls(bundle, decider, reader, state, ModelName.of(bundle))


def reader_of(bundle: Bundle, state: State, key: bytes) -> PaymentReader:
    """What reads payments for a bundle and its state, by the bundle's own exchange rates and
    reference tables; `key` is that of the HMAC over personal columns.
    """
    schema = state.engine.plan.schema
    return PaymentReader(schema, key=key, currency=bundle.currency, numbers=bundle.numbers)
