"""The public handbook's simulated card payments, with its 15 classic features.

    shroff train examples/handbook --data handbook.parquet

Conventions of that data set: a customer's current payment counts, a terminal's are seen 7 days late
(labels arrive after a week), the night ends at 7 o'clock. Its protocol leaves payments of customers
with an earlier known fraud out of the test (`known_cards=drop`), for a bank would have blocked
their cards; figures of the book compare with figures of that kind only.
"""

from shroff import Entity, FeatureGroup, Project, Schema, calendar, sql
from shroff.detect import BoostedTrees, LogisticRegression, Rules

payments = Schema(
    id="TRANSACTION_ID",
    time="TX_DATETIME",
    amount="TX_AMOUNT",
    label="TX_FRAUD",
    timezone="UTC",
    required=["CUSTOMER_ID", "TERMINAL_ID"],
    keys=["CUSTOMER_ID", "TERMINAL_ID"],
)

customer = Entity("customer", "CUSTOMER_ID")
terminal = Entity("terminal", "TERMINAL_ID")
windows = ["1d", "7d", "30d"]

classic = FeatureGroup(
    "classic",
    version=1,
    of=payments,
    description="The handbook's transformations: how a customer spends, and how risky a terminal "
    "is",
    features=[
        calendar("weekend", name="TX_DURING_WEEKEND"),
        calendar("hour"),
        sql("TX_DURING_NIGHT", "hour <= 6"),
        customer.count(windows, include_current=True, name="CUSTOMER_ID_NB_TX_{window}"),
        customer.mean(
            "TX_AMOUNT", windows, include_current=True, name="CUSTOMER_ID_AVG_AMOUNT_{window}"
        ),
        terminal.count(windows, delay="7d", name="TERMINAL_ID_NB_TX_{window}"),
        terminal.risk(windows, delay="7d", name="TERMINAL_ID_RISK_{window}"),
    ],
)

project = Project(
    schema=payments,
    features=[classic],
    # all but the helper `hour`
    inputs=[
        "TX_AMOUNT",
        *(feature.name for feature in classic.definitions if feature.name != "hour"),
    ],
    card="CUSTOMER_ID",
    split="time:2018-07-25/7/7/7,known_cards=drop",
    detectors=[Rules(["TX_AMOUNT > 220"]), LogisticRegression(), BoostedTrees()],
)
