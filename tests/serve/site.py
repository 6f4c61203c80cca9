"""A service that asks for keys, of a usual schema and of one whose column names try to break out of
the help page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serve.service import Service
from shroff import Schema

Json = dict[str, Any]
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "quotes": "'><b title='&amp;",
    "shell": "'; exit 1; $(exit 1)`exit 1`$HOME$",
    "marks": "`code` {0} $fields é 🪙",
}


@dataclass
class Site:
    """A running service that asks for keys, and a key for it."""

    service: Service
    token: str

    @property
    def text(self) -> str:
        return self.service.request("GET", "/help").text

    @property
    def document(self) -> Json:
        described: Json = self.service.request("GET", "/openapi.json").json()
        return described


def hostile_schema() -> Schema:
    """Column names that break out of HTML, of a shell, of texts in code and of templates."""
    first, second, third, fourth = HOSTILE.values()
    return Schema(
        id="payment_id",
        time="created_at",
        amount="amount",
        currency="currency",
        label="is_fraud",
        labelled_at="labelled_at",
        result="result",
        result_at="result_at",
        nominal=["mcc", "request_country", "account_country", first],
        numeric=[second],
        personal=[third],
        keys=["card_id", "host_id", fourth],
    )
