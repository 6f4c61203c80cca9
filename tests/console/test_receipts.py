"""How a receipt shows the values of a payment."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from console.site import visiting
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from shroff import Schema
from shroff.console import ConsoleBackend
from shroff.console.receipts import _values
from shroff.control.models import Models
from shroff.control.users import Users
from shroff.ledger import Ledger
from shroff.package import Bundle, save
from shroff.scoring import Scorer
from shroff.settings import Settings
from shroff.simulate import RATES


def test_an_amount_that_is_there_has_the_currency_that_it_was_converted_to() -> None:
    schema = Schema(id="id", time="at", amount="amount", currency="currency", rates=RATES)
    bundle = cast(Bundle, SimpleNamespace(schema=schema, groups=[]))
    for amount, text in ((133.47, f"133.47 {RATES.base}"), (None, "–")):
        shown = _values({"amount": amount, "currency": "USD"}, bundle)
        assert [one.text for one in shown] == [text, "USD"]
    paid, _, original = _values(
        {"amount": 133.47, "currency": "USD", "original_amount": 146.67}, bundle
    )
    assert (paid.text, original.text) == (f"133.47 {RATES.base}", "146.67 USD")


def test_the_page_names_the_currency_of_what_was_converted(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    rated = replace(SCHEMA, rates=RATES).with_keys(VELOCITY.key_columns)
    made = make_bundle(fitted_model(), schema=rated, currency=RATES.base)
    bundle = save(made, tmp_path / "bundle")
    Models(settings.models).publish(tmp_path / "bundle")
    scorer = Scorer(bundle, Ledger(settings.ledger), key=settings.hmac_key())
    scorer.start()
    payment = {"payment_id": "p1", "created_at": iso_now(), "amount": 100.0, "currency": "USD"}
    payment |= {"card_id": "c1", "merchant_id": "m1", "mcc": "5411"}
    asyncio.run(decided(scorer, payment))
    scorer.close()
    Users(settings.control).add("ada", "analyst")
    with visiting(ConsoleBackend(settings), "ada") as visit:
        shown = visit.page("/payments/receipt?id=p1")
    (head,) = re.findall(r"<strong>([^<]*)</strong>\s*<span>paid", shown)
    (amount,) = re.findall(r"<dt>amount</dt><dd>\s*([^<]*?)\s*</dd>", shown)
    assert head == amount == f"90.91 {RATES.base}"
    assert re.search(r"<dt>currency</dt><dd>\s*USD\s*</dd>", shown)


async def decided(scorer: Scorer, payment: dict[str, Any]) -> None:
    await scorer.decide(msgspec.json.encode(payment))


def iso_now() -> str:
    return datetime.now(UTC).isoformat()
