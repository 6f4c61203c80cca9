"""What the people of the demo declare of their models, for the model card."""

from __future__ import annotations

from typing import Final

from shroff.report import ModelCard

DEMO_CARD: Final = ModelCard(
    owner="Payments risk (olga)",
    contact="risk@demo.example",
    purpose="Decides for each card payment of a simulated shop whether it is approved, reviewed "
    "or declined.",
    uses=["Card payments of the shop's own customers, before they are authorised."],
    not_for=["Credit decisions.", "Judging people: it knows payments, and nobody's intent."],
    data="Simulated payments of the shop, 45 a day; nothing in them is anybody's. Payments by "
    "invoice are missing.",
    labels="Chargebacks, most of them within two weeks, and outcomes of cases by analysts.",
    limits=[
        "It learned from a few hundred frauds, so that rare patterns are missing.",
        "Customers of countries that training never saw are judged by what is left.",
    ],
    monitoring="Noah reads the alarms of `shroff monitor` each morning; a model that declines "
    "too many regular customers is rolled back the same day.",
    approvals=["Olga and Noah, for the simulated shop only."],
)
