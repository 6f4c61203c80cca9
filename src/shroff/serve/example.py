"""An example payment of the deployed schema: one that the service accepts."""

from __future__ import annotations

from typing import Final

from shroff.clock import Clock, system_time
from shroff.collect import Schema
from shroff.collect.money import EXPONENT
from shroff.collect.payment import Value
from shroff.collect.schema import Scale
from shroff.collect.times import format_time
from shroff.collect.wire import live_scales
from shroff.detect.preparation import MISSING, Preparation

_AMOUNT: Final = 136.69
_SECOND_US: Final = 1_000_000
_MADE_UP: Final = {
    "mail": "ada@example.org",
    "phone": "+45 00 00 00 00",
    "name": "Ada Example",
    "country": "DK",
}
"""Made-up texts by a word in the column's name."""


def example_payment(
    schema: Schema,
    preparation: Preparation,
    *,
    currency: str | None = None,
    clock: Clock = system_time,
) -> dict[str, Value]:
    """A payment made this second, its nominal and numeric values typical of the training data.

    Without a `currency`, it is in the most frequent one. Its id carries the second, so the same id
    is never sent with another time.

    >>> from shroff.detect.preparation import Nominal, Numeric
    >>> schema = Schema(
    ...     id="id",
    ...     time="at",
    ...     amount="yen",
    ...     default_currency="JPY",
    ...     nominal=["mcc"],
    ...     keys=["card_id"],
    ... )
    >>> preparation = Preparation((Numeric("yen"),), (Nominal("mcc", ("undefined", "5411")),))
    >>> example_payment(schema, preparation, clock=lambda: 1_700_000_000_123_456)
    {'id': 'example-1700000000', 'at': '2023-11-14T22:13:20Z', 'yen': 137.0, 'mcc': '5411',
    'card_id': 'c-1'}
    """
    vocabulary = {one.name: one.values for one in preparation.nominal}
    means = {one.name: one.mean for one in preparation.numeric}
    seconds = clock() // _SECOND_US
    code = currency or _currency(schema, vocabulary)

    def value(name: str, scale: Scale) -> Value:
        match scale:
            case "id":
                return f"example-{seconds}"
            case "time":
                return format_time(seconds * _SECOND_US).replace(".000000", "")
            case "amount":
                return round(_AMOUNT, EXPONENT[code])
            case "currency":
                return code
            case "numeric":
                return float(f"{means.get(name, 1.0):.3g}")
            case "nominal":
                return next(
                    (known for known in vocabulary.get(name, ()) if known != MISSING),
                    _made_up(name),
                )
            case "personal":
                return _made_up(name)
            case _:
                return f"{name[0]}-1"

    return {name: value(name, scale) for name, scale in live_scales(schema).items()}


def _made_up(name: str) -> str:
    return next((text for part, text in _MADE_UP.items() if part in name.lower()), "example")


def _currency(schema: Schema, vocabulary: dict[str, tuple[str, ...]]) -> str:
    known = vocabulary.get(schema.currency or "", ())
    return next((code for code in known if code in EXPONENT), schema.default_currency)
