"""Payments for the tests' console, by the model that is published, with a result and labels."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from shroff.collect.personal import tokenizer
from shroff.control.models import Models
from shroff.ledger import Ledger
from shroff.package import save
from shroff.scoring.scorer import Scorer
from shroff.settings import Settings

STRANGE_ID: Final = '"><img src=x onerror="window.owned = 1">/../?id=&#;é'
STRANGE_MERCHANT: Final = "</td></table><script>window.owned = 1</script>"
HOST: Final = "198.51.100.7"
PRIVATE: Final = "eve@example.org"
"""Whose token a payment has as its card, as a personal key is recorded."""
MANY: Final = 60


def payments(settings: Settings) -> None:
    """Sixty payments of one merchant, and one with an id and a merchant that attack pages."""
    models = Models(settings.models)
    if models.pointers.production is None:
        made = make_bundle(fitted_model(), schema=SCHEMA.with_keys(VELOCITY.key_columns))
        save(made, settings.home / "first")
        models.publish(settings.home / "first")
    bundle = models.production()
    key = settings.hmac_key()
    token = tokenizer(key)(PRIVATE)
    asyncio.run(_decide(Scorer(bundle, Ledger(settings.ledger), key=key), token))


async def _decide(scorer: Scorer, token: str) -> None:
    scorer.start()
    now = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(MANY):
        at = now + timedelta(seconds=number)
        await scorer.decide(_body(f"many-{number}", at, amount=20.0 + number, merchant_id="grocer"))
    strange = _body(
        STRANGE_ID, now, amount=777.25, merchant_id=STRANGE_MERCHANT, host_id=HOST, card_id="c-777"
    )
    await scorer.decide(strange)
    await scorer.decide(_body("private", now, amount=31.0, merchant_id="m", card_id=token))
    await scorer.learn("result", STRANGE_ID, "failed")
    await scorer.learn("label", STRANGE_ID, False, source="shop", note=STRANGE_MERCHANT)
    await scorer.learn("label", STRANGE_ID, True, source="shop")
    scorer.close()


def _body(payment_id: str, at: datetime, **fields: Any) -> bytes:
    usual = {
        "payment_id": payment_id,
        "created_at": at.isoformat(),
        "currency": "EUR",
        "card_id": "c-1",
        "host_id": "198.51.100.1",
        "mcc": "5411",
        "request_country": "DK",
        "account_country": "DK",
        "items": 1,
        "email": "ada@example.org",
    }
    return msgspec.json.encode(usual | fields)
