r"""Payment facts joined with the velocity statistics that an online service computes in advance.

    shroff simulate --two-tables tables
    shroff train examples/two_tables --data tables/facts.csv --join tables/statistics.csv \
        --max-bad 0.05 --bundle bundle
    shroff promote bundle --to production --why "the best of five" \
        --data tables/facts.csv --join tables/statistics.csv --max-bad 0.05
    shroff serve

Both may be tables of Azure Table storage: `--data azure-tables://account/facts` and
`--join azure-tables://account/statistics`.

The statistics are columns like any other: nothing is computed over history here, so a payment is
sent with them.
"""

from shroff import Cost, ModelCard, Policy, Project, Schema
from shroff.detect import MLP, BoostedTrees, LinearSVM, LogisticRegression, Rules
from shroff.simulate import RATES

COUNTS = [
    "CardsCountFromThisCrmAccount1D",
    "CardsCountFromThisCrmAccount1H",
    "CardsCountFromThisCrmAccount1M",
    "CardsCountFromThisCrmAccount1S",
    "CardsCountFromThisHost1D",
    "CrmAccountsCountFromThisCard1D",
    "FailedPaymentsCountByThisCard1D",
    "SecondsPassedFromPreviousPaymentByThisCard1D",
    "PaymentsCountByThisCard1D",
    "HostsCountFromThisCard1D",
]
FLAGS = [
    "HasHumanEmail",
    "HasHumanPhone",
    "IsCardholderNameIsTheSameAsCrmAccountName",
    "IsRequestCountryIsTheSameAsCrmAccountCountry",
]

transactions = Schema(
    id="TransactionId",
    time="TransactionCreatedTime",
    amount="TransactionAmount",
    currency="TransactionCurrency",  # ISO 4217 numbers: names, not quantities
    rates=RATES,
    label="IsFraud",
    result="TransactionResult",
    nominal=[
        "MCC",
        "TransactionCurrency",
        *FLAGS,
        "TransactionDayOfWeek",
        "TransactionLocalTimeOfDay",
    ],
    numeric=COUNTS,
    personal=["CardholderName", "CrmAccountFullName"],
    required=["CardholderName", "TransactionAmount", "TransactionCurrency"],
    ignored=[
        "PartitionKey",
        "RowKey",
        "Timestamp",
        "CrmAccountId",
        "MerchantId",
        "CardExpirationDate",
        "TransactionRequestHost",
        "PartitionKey (2)",
        "RowKey (2)",
        "Timestamp (2)",
    ],
    keys=["CardId"],
)

project = Project(
    schema=transactions,
    card="CardId",
    join="RowKey",
    detectors=[
        Rules(
            [
                "PaymentsCountByThisCard1D > 3 AND TransactionAmount > 500",
                "CardsCountFromThisHost1D > 5",
            ]
        ),
        LogisticRegression(),
        BoostedTrees(),
        LinearSVM(),
        MLP(),
    ],
    policy=Policy(cost=Cost(review=4.0), reviews_per_day=200),
    model_card=ModelCard(
        owner="Whoever tries this example",
        contact="the same",
        purpose="Shows how a model of two joined tables comes to production.",
        uses=["Trying Shroff out"],
        not_for=["Payments of real customers"],
        data="Simulated payments (`shroff simulate --two-tables`).",
        labels="The simulation's own; all of them are known at once.",
        limits=["Simulated frauds are easier to tell than real ones."],
        monitoring="Nobody watches it.",
        approvals=["Approved for this example only."],
    ),
)
