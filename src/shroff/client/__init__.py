"""Client: ask a Shroff service, with one client for threads and one for asyncio, the same verbs.

    with Client("http://127.0.0.1:8080") as client:
        decision = client.decide({"transaction_id": "t-1", "amount": 136.69, ...})
        if decision.action != "approve": ...

Reads payments as mappings from the schema's column names to values. Times are ISO 8601 text or
datetimes that name their zone; timeouts are seconds.

Promises that sending a payment again is safe: the service answers the same id with the same
decision and counts it once. So the client retries after connection errors and after answers that
say "later" (429, 503). A change of a case is sent again only where the service surely did not make
it: it was not reached, or said 429.
"""

from shroff.client.cases import AsyncCases, Cases
from shroff.client.client import AsyncClient, Client
from shroff.client.requests import Moment, Outcome
from shroff.decisions import (
    CaseFile,
    CasePage,
    CaseQueueLoad,
    Decision,
    Forgetting,
    ModelVersion,
    PaymentLabel,
    Reason,
    ReviewCase,
    ReviewPayment,
    ReviewStep,
)

__all__ = [
    "AsyncCases",
    "AsyncClient",
    "CaseFile",
    "CasePage",
    "CaseQueueLoad",
    "Cases",
    "Client",
    "Decision",
    "Forgetting",
    "ModelVersion",
    "Moment",
    "Outcome",
    "PaymentLabel",
    "Reason",
    "ReviewCase",
    "ReviewPayment",
    "ReviewStep",
]
