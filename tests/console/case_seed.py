"""Cases for the tests' console: a service's decisions, followed into queues."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from serve.fixtures import fitted_model, make_bundle
from shroff import Policy, Rule
from shroff.act import CaseIntake, CaseQueue, Desk
from shroff.act.follow import ledger_name
from shroff.act.intake import SUSPICIOUS
from shroff.ledger import Ledger
from shroff.scoring.scorer import Scorer
from shroff.settings import Settings

SCRIPT: Final = "<script>document.title='stolen'</script>"
IMAGE: Final = '"><img src=x onerror="document.title=\'stolen\'">'
SHIFT: Final = 24
"""Cases of the queue `shift`."""
QUEUES: Final = [
    CaseQueue(name="hidden", condition="amount > 9000", hide_reasons=1.0),
    CaseQueue(name="strange", condition="amount > 5000", sla_minutes=1),
    CaseQueue(name="pairs", condition="amount > 2000", second_review=1.0),
    CaseQueue(name="shift", sla_minutes=240, minutes=2),
]


def cases(settings: Settings) -> None:
    """Payments that were reviewed, in four queues."""
    rule = Rule("secret_rule", "amount > 9000", "review")
    policy = msgspec.to_builtins(
        Policy(review_at=0.0001, decline_at=0.999999, degraded="review", rules=[rule])
    )
    bundle = make_bundle(fitted_model(), policy=policy)
    ledger = Ledger(settings.ledger)
    asyncio.run(_decide(Scorer(bundle, ledger, key=settings.hmac_key()), _payments()))
    desk = Desk(settings.control, key=settings.hmac_key())
    desk.set_queues(QUEUES)
    name = ledger_name(ledger)
    assert name is not None
    intake = CaseIntake(settings.control, name, bundle, actions=SUSPICIOUS)
    intake.take(ledger.entries())


async def _decide(scorer: Scorer, payments: list[dict[str, Any]]) -> None:
    scorer.start()
    for payment in payments:
        await scorer.decide(msgspec.json.encode(payment))
    scorer.close()


def _payments() -> list[dict[str, Any]]:
    found = [
        _payment(f"s{n}", f"card-{n}", 300.0 + n, host_id=f"10.0.0.{n % 5}") for n in range(SHIFT)
    ]
    found += [_payment(f"t{n}", f"pair-{n}", 3_000.0 + n) for n in range(4)]
    found.append(_payment("h0", "secret-card", 9_500.0, host_id="10.0.0.1"))
    strange = {"merchant_id": SCRIPT, "host_id": IMAGE, "email": "eve@example.org"}
    found += [_payment(f"x{n}", f"{IMAGE}{n}", 6_000.0 + n, **strange) for n in range(2)]
    return found


def _payment(payment_id: str, card: str, amount: float, **fields: Any) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "created_at": f"2026-11-20T10:{int(amount) % 60:02}:00+00:00",
        "amount": amount,
        "currency": "EUR",
        "card_id": card,
        "merchant_id": "m1",
        "host_id": "10.9.9.9",
        "mcc": "6011",
        "request_country": "DK",
        "account_country": "SE",
        "items": 1,
        "email": f"{payment_id}@example.org",
    } | fields
