"""How a receipt shows the values of a payment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from shroff import Schema
from shroff.console.receipts import _values
from shroff.package import Bundle
from shroff.simulate import RATES


def test_an_amount_that_is_there_has_the_currency_that_it_was_converted_to() -> None:
    schema = Schema(id="id", time="at", amount="amount", currency="currency", rates=RATES)
    bundle = cast(Bundle, SimpleNamespace(schema=schema, groups=[]))
    for amount, text in ((133.47, f"133.47 {RATES.base}"), (None, "–")):
        shown = _values({"amount": amount, "currency": "USD"}, bundle)
        assert [one.text for one in shown] == [text, "USD"]
