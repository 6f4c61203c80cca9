"""A small bundle of the two-table kind, and a service over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serve.audit import read_ledger
from serve.fixtures import fitted_model, make_bundle
from serve.service import Service
from shroff import Schema
from shroff.detect import Preparation
from shroff.detect.preparation import Nominal, Numeric
from shroff.package import save

Json = dict[str, Any]
SECRET = "do-not-echo-4111111111111111"

FACTS = (
    "PartitionKey RowKey Timestamp CardId CrmAccountId MCC MerchantId TransactionAmount "
    "TransactionCreatedTime TransactionCurrency TransactionId TransactionResult "
    "CardExpirationDate CardholderName CrmAccountFullName TransactionRequestHost"
).split()
COUNTS = (
    "CardsCountFromThisCrmAccount1D CardsCountFromThisCrmAccount1H CardsCountFromThisCrmAccount1M "
    "CardsCountFromThisCrmAccount1S CardsCountFromThisHost1D CrmAccountsCountFromThisCard1D "
    "FailedPaymentsCountByThisCard1D SecondsPassedFromPreviousPaymentByThisCard1D "
    "PaymentsCountByThisCard1D HostsCountFromThisCard1D"
).split()
NAMES = (
    "HasHumanEmail HasHumanPhone IsCardholderNameIsTheSameAsCrmAccountName "
    "IsRequestCountryIsTheSameAsCrmAccountCountry TransactionDayOfWeek TransactionLocalTimeOfDay"
).split()
COPIES = ["PartitionKey (2)", "RowKey (2)", "Timestamp (2)"]
COLUMNS = [*FACTS, *COPIES, *COUNTS, *NAMES]

TRANSACTIONS = Schema(
    id="TransactionId",
    time="TransactionCreatedTime",
    amount="TransactionAmount",
    currency="TransactionCurrency",
    label="IsFraud",
    result="TransactionResult",
    nominal=["MCC", "TransactionCurrency", *NAMES],
    numeric=COUNTS,
    personal=["CardholderName", "CrmAccountFullName"],
    required=["CardholderName"],
    # the copies that the join made are not named here: they go without saying
    ignored=[
        *("PartitionKey", "RowKey", "Timestamp", "CrmAccountId", "MerchantId"),
        *("CardExpirationDate", "TransactionRequestHost"),
    ],
    keys=["CardId"],
)
INPUTS = Preparation(
    numeric=(
        Numeric("TransactionAmount", 80.0, 60.0),
        *(Numeric(name, 1.0, 2.0) for name in COUNTS[:7]),
    ),
    nominal=(
        Nominal("MCC", ("32", "5411", "undefined")),
        Nominal("HasHumanEmail", ("true", "undefined")),
    ),
)


def values(**changes: Any) -> list[Any]:
    """One row, as the online anti-fraud service that published the schema was sent it."""
    key, time, person = (
        "f31f64f367644b1cb173a48a34817fbc",
        "2015-03-15T20:54:28.6508575Z",
        "640ab2bae07bedc4",
    )
    facts = ["990", key, time, "349567471", "10145", "32", "990", "136.69", time, "840", key, None]
    row = [
        *(*facts, "2015-04-15T23:44:28.6508575+03:00", person, person, "20.30.30.40"),
        *("990", key, time, "2", "1", "0", "0", "0", "0", "1", "2", "0", "0"),
        *("true", None, "true", "true", "Monday", "Morning"),
    ]
    return list((dict(zip(COLUMNS, row, strict=True)) | changes).values())


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service over a bundle whose statistics come with the payment."""
    folder = tmp_path_factory.mktemp("tables")
    bundle = make_bundle(
        fitted_model(),
        schema=TRANSACTIONS,
        groups=(),
        preparation=INPUTS,
        policy={"review_at": 0.3, "decline_at": 0.9},
    )
    save(bundle, folder / "bundle")
    with Service(folder / "bundle", folder / "home") as running:
        yield running


def counted(service: Service) -> int:
    """How many records the ledger has."""
    return len(read_ledger(service.ledger))
