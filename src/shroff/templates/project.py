"""Simulated payments: features over cards, accounts, hosts and merchants, detectors, a policy.

shroff simulate payments.csv.gz
shroff train examples/payments --data payments.csv.gz --bundle bundle
shroff serve bundle --warm payments.csv.gz
"""

from shroff import Cost, Entity, FeatureGroup, Policy, Project, Rates, Rule, Schema, calendar, sql
from shroff.detect import BoostedTrees, LogisticRegression, Rules
from shroff.embed import Vectors

rates = Rates.constant(
    "EUR",
    {
        "CHF": "1.05",
        "DKK": "0.134",
        "GBP": "1.18",
        "JPY": "0.00625",
        "KWD": "3.03",
        "NOK": "0.087",
        "PLN": "0.233",
        "SEK": "0.091",
        "USD": "0.91",
    },
)

payments = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    currency="currency",
    rates=rates,
    label="is_fraud",
    labelled_at="labelled_at",
    result="result",
    result_at="result_at",
    nominal=["mcc", "currency", "request_country", "account_country"],
    # host_id: an IP address
    personal=["cardholder_name", "account_name", "email", "phone", "host_id"],
    required=["card_id", "amount", "currency"],
    keys=["card_id", "account_id", "merchant_id"],
)

card = Entity("card", "card_id")
account = Entity("account", "account_id")
host = Entity("host", "host_id")
merchant = Entity("merchant", "merchant_id")

velocity = FeatureGroup(
    "payment_velocity",
    version=1,
    of=payments,
    description="How busy the card, account, host and merchant of a payment have been",
    features=[
        card.count(["1m", "1h", "1d", "7d"]),
        card.count("1d", where="result = 'failed'", name="card_failed_1d"),
        card.total("amount", ["1h", "1d"]),
        card.mean("amount", "30d"),
        card.distinct("host_id", "1d"),
        card.distinct("merchant_id", "1d"),
        card.distinct("request_country", "7d"),
        card.seconds_since_last("1d"),
        account.distinct("card_id", ["1h", "1d"]),
        account.distinct("email", "30d"),
        account.distinct("phone", "30d"),
        host.count("1h"),
        host.distinct("card_id", ["1h", "1d"]),
        host.count("1h", where="result = 'failed'", name="host_failed_1h"),
        merchant.count("1h"),
        merchant.mean("amount", "7d"),
        merchant.risk("7d", delay="7d"),
        sql("amount_to_card_mean", "amount / card_mean_amount_30d"),
        sql("amount_to_merchant_mean", "amount / merchant_mean_amount_7d"),
        sql("same_country", "request_country = account_country"),
        sql("same_name", "cardholder_name = account_name"),
        calendar("hour"),
        calendar("part_of_day"),
        calendar("weekend"),
    ],
)

project = Project(
    schema=payments,
    features=[velocity],
    detectors=[
        Rules(
            [
                "card_count_1d > 3 AND amount > 500 AND request_country IN red_countries",
                "host_distinct_card_id_1h > 5 AND host_failed_1h > 3",
                "card_count_1h > 5",
            ]
        ),
        LogisticRegression(),
        BoostedTrees(),
    ],
    policy=Policy(
        cost=Cost(review=4.0, missed="amount", declined=15.0),
        reviews_per_day=200,
        # host_id is personal, so the list holds hashes: shroff lists add blocked_hosts 203.0.113.9
        # --personal
        rules=[Rule("blocked_host", "host_id IN blocked_hosts", action="decline")],
        lists={"red_countries": ["NG", "RU", "VN", "BR"], "blocked_hosts": []},
    ),
    # learned by `shroff embed train`
    vectors=[
        Vectors(
            name="purchases", entity=card, tokens=["mcc", "request_country", "amount", "created_at"]
        )
    ],
)
