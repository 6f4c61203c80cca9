"""The definitions of the soak: what `benchmarks/loop.py` trains, again and again."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as changed

from shroff import ControlLane, Cost, Entity, FeatureGroup, Policy, Project, Schema, calendar, sql
from shroff.detect import BoostedTrees

payments = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    label="is_fraud",
    labelled_at="labelled_at",
    label_sources=["analyst", "chargeback"],
    nominal=["mcc", "request_country", "account_country"],
    keys=["card_id", "account_id", "merchant_id", "host_id", "email"],
)
card = Entity("card", "card_id")
account = Entity("account", "account_id")
host = Entity("host", "host_id")
merchant = Entity("merchant", "merchant_id")

velocity = FeatureGroup(
    "velocity",
    [
        card.count(["1h", "1d", "7d"]),
        card.total("amount", "1d"),
        card.mean("amount", "14d"),
        card.distinct("host_id", "1d"),
        account.distinct("card_id", ["1h", "1d"]),
        account.distinct("email", "14d"),
        host.count("1h"),
        host.distinct("card_id", "1d"),
        merchant.count("1h"),
        merchant.mean("amount", "7d"),
        sql("amount_to_card_mean", "amount / card_mean_amount_14d"),
        sql("amount_to_merchant_mean", "amount / merchant_mean_amount_7d"),
        sql("same_country", "request_country = account_country"),
        calendar("hour"),
    ],
)

project = Project(
    schema=payments,
    features=[velocity],
    detectors=[BoostedTrees(n_trees=100, learning_rate=0.1, max_bins=255)],
    policy=Policy(cost=Cost(review=4.0, missed="amount", declined=15.0)),
)

lane = ControlLane(share=0.2, money_per_day=1_000.0, action="review", of=["decline"])
with_lane = replace(project, policy=changed(project.policy, control=lane))
"""The same, with one in five of those that it would decline reviewed instead, at random."""
