"""Each fraud pattern and each honest lookalike is there and bears its signature."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from shroff.simulate import simulate
from shroff.simulate.reference import CURRENCIES, LIMIT_SCALES

EURO = {currency.code: currency.per_euro for currency in CURRENCIES}
LIMIT = {
    currency.code: float(scale) for currency, scale in zip(CURRENCIES, LIMIT_SCALES, strict=True)
}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return simulate(100_000, seed=4).with_columns(
        euros=pl.col("amount") / pl.col("currency").replace_strict(EURO, return_dtype=pl.Float64),
        abroad=pl.col("request_country") != pl.col("account_country"),
        failed=pl.col("result") == "failed",
    )


@pytest.fixture(scope="module")
def genuine(log: pl.DataFrame) -> pl.DataFrame:
    return log.filter(is_fraud=0)


def of(log: pl.DataFrame, pattern: str) -> pl.DataFrame:
    return log.filter(pl.col("fraud_pattern") == pattern)


def minutes(name: str) -> pl.Expr:
    return (pl.col(name).max() - pl.col(name).min()).dt.total_seconds() / 60


def test_card_testing_tries_many_cards_from_one_host_within_minutes(log: pl.DataFrame) -> None:
    tests = of(log, "card_testing").drop_nulls("host_id")
    hosts = tests.group_by("host_id").agg(
        pl.len(),
        cards=pl.col("card_id").n_unique(),
        merchants=pl.col("merchant_id").n_unique(),
        lasted=minutes("created_at"),
    )
    big = hosts.filter(pl.col("len") >= 8)
    assert big.height >= 4
    assert (big["cards"] >= 0.9 * big["len"]).all()
    assert (big["merchants"] == 1).all()
    assert (big["lasted"] < 30).all()
    assert tests["failed"].mean() > 0.6  # type: ignore[operator]
    assert (tests["euros"] < 10).all()


def test_a_stolen_card_is_spent_in_a_growing_spree(log: pl.DataFrame) -> None:
    spent = of(log, "stolen_card")
    sprees = spent.group_by("card_id").agg(
        pl.len(),
        hours=minutes("created_at") / 60,
        hosts=pl.col("host_id").drop_nulls().n_unique(),
        growth=pl.col("euros").tail(3).mean() / pl.col("euros").head(3).mean(),
    )
    big = sprees.filter(pl.col("len") >= 5)
    assert big.height >= 10
    assert (big["hours"] < 24).all()
    assert (big["hosts"] == 1).all()
    assert big["growth"].median() > 1.5  # type: ignore[operator]
    assert 0.4 < spent["abroad"].mean() < 0.9  # type: ignore[operator]
    usual = log.filter(is_fraud=0)["host_id", "card_id"].unique()
    assert spent.join(usual, on=["host_id", "card_id"]).height < 0.05 * spent.height


def test_copied_cards_were_seen_at_one_merchant_before(log: pl.DataFrame) -> None:
    misused = of(log, "compromised_merchant").drop_nulls("host_id")
    # sessions of a ring: one host, several cards, within hours
    rings = misused.filter(
        pl.col("card_id").n_unique().over("host_id") >= 4, pl.len().over("merchant_id") < 12
    )
    sessions = rings.partition_by("host_id")
    assert len(sessions) >= 5
    for session in sessions:
        cards = session["card_id"].unique()
        before = log.filter(
            pl.col("card_id").is_in(cards.implode()),
            pl.col("created_at") < session["created_at"][0],
        )
        seen = before.group_by("merchant_id").agg(pl.col("card_id").n_unique())["card_id"]
        assert seen.max() == len(cards)


def test_at_a_thieves_shop_all_payments_of_a_period_are_fraud(log: pl.DataFrame) -> None:
    counts = of(log, "compromised_merchant")["merchant_id"].value_counts(sort=True)
    shops = counts.filter(pl.col("count") >= 12)["merchant_id"]
    assert len(shops) >= 2
    for shop in shops:
        there = log.filter(pl.col("merchant_id") == shop)
        crimes = of(there, "compromised_merchant")["created_at"]
        # the middle half of the crimes' time: a copied card may be misused there on any other day
        during = there.filter(
            pl.col("created_at").is_between(crimes.quantile(0.25), crimes.quantile(0.75))
        )
        assert (during["is_fraud"] == 1).all()
        assert there["is_fraud"].min() == 0


def test_a_taken_account_has_new_contacts_a_new_host_and_many_cards(
    log: pl.DataFrame, genuine: pl.DataFrame
) -> None:
    taken = of(log, "account_takeover")
    accounts = taken.group_by("account_id").agg(
        pl.len(), cards=pl.col("card_id").n_unique(), hours=minutes("created_at") / 60
    )
    big = accounts.filter(pl.col("len") >= 6)
    assert big.height >= 5
    assert (big["cards"] >= 3).all()
    assert (big["hours"] < 48).all()
    for name in ("email", "phone"):
        assert not set(taken[name].drop_nulls()) & set(genuine[name].drop_nulls())
    assert (taken["cardholder_name"] != taken["account_name"]).mean() > 0.5  # type: ignore[operator]


def test_a_bled_card_pays_just_under_a_limit_for_weeks(log: pl.DataFrame) -> None:
    bled = of(log, "slow_bleed").with_columns(
        units=pl.col("amount") / pl.col("currency").replace_strict(LIMIT, return_dtype=pl.Float64)
    )
    shortfall = np.min(
        [
            np.where(bled["units"] < limit, 1 - bled["units"] / limit, 1.0)
            for limit in (50, 100, 500)
        ],
        axis=0,
    )
    assert (shortfall <= 0.031).all()
    cards = bled.group_by("card_id").agg(
        pl.len(), days=minutes("created_at") / 1_440, merchants=pl.col("merchant_id").n_unique()
    )
    big = cards.filter(pl.col("len") >= 7)
    assert big.height >= 4
    assert (big["days"] > 6).all()
    assert (big["merchants"] == 1).all()


def test_honest_people_travel(genuine: pl.DataFrame) -> None:
    away = (
        genuine.filter(pl.col("abroad"))
        .group_by("card_id", "request_country")
        .agg(pl.len(), days=minutes("created_at") / 1_440)
    )
    trips = away.filter(pl.col("len") >= 3, pl.col("days").is_between(1, 16))
    assert trips.height > 30
    assert 0.01 < genuine["abroad"].mean() < 0.08  # type: ignore[operator]


def test_honest_people_make_big_purchases(genuine: pl.DataFrame) -> None:
    usual = genuine.with_columns(times=pl.col("euros") / pl.col("euros").median().over("card_id"))
    assert 0.002 < (usual["times"] > 15).mean() < 0.05  # type: ignore[operator]


def test_offices_and_networks_share_a_host(genuine: pl.DataFrame) -> None:
    busiest = (
        genuine.drop_nulls("host_id")
        .group_by("host_id", pl.col("created_at").dt.date().alias("day"))
        .agg(pl.col("card_id").n_unique())
    )
    assert (busiest["card_id"] >= 6).sum() > 30
    # people work at daytime on weekdays: some hosts are silent on weekends
    weekend = (
        genuine.drop_nulls("host_id")
        .group_by("host_id")
        .agg(
            pl.len(),
            cards=pl.col("card_id").n_unique(),
            weekend=(pl.col("created_at").dt.weekday() >= 6).mean(),
        )
    )
    shared = weekend.filter(pl.col("cards") >= 10)
    assert ((shared["weekend"] == 0).sum()) >= 10
    assert ((shared["weekend"] > 0.15).sum()) >= 10


def test_some_honest_payments_fail_and_are_tried_again(genuine: pl.DataFrame) -> None:
    assert 0.01 < genuine["failed"].mean() < 0.06  # type: ignore[operator]
    turns = genuine.sort("card_id", "created_at").with_columns(
        again=(pl.col("created_at").shift(-1) - pl.col("created_at"))
        .dt.total_seconds()
        .over("card_id"),
        same=(pl.col("amount").shift(-1) == pl.col("amount")).over("card_id"),
    )
    retried = turns.filter(pl.col("failed"), pl.col("same"), pl.col("again") <= 120)
    assert retried.height > genuine["failed"].sum() / 5


def test_honest_subscriptions_recur(genuine: pl.DataFrame) -> None:
    recurring = genuine.group_by("card_id", "merchant_id", "amount", "currency").agg(
        pl.len(), gap=pl.col("created_at").diff().dt.total_hours().median() / 24
    )
    weekly = recurring.filter(pl.col("len") >= 8, (pl.col("gap") - 7).abs() < 0.1)
    assert weekly.height > 50


def test_some_honest_accounts_change_their_contacts(genuine: pl.DataFrame) -> None:
    changes = (
        genuine.drop_nulls("email")
        .group_by("account_id")
        .agg(
            pl.col("email").n_unique(), switches=(pl.col("email") != pl.col("email").shift()).sum()
        )
    )
    moved = changes.filter(pl.col("email") > 1)
    assert 0.005 < moved.height / changes.height < 0.05
    assert (moved["switches"] == 1).all()


def test_a_ring_is_cards_that_share_hosts_in_pairs_and_pay_twice_each() -> None:
    log = simulate(20_000, fraud_rate=0.02, rings=0.4, seed=5)
    ring = of(log, "ring")
    assert ring.height == 160
    assert log["is_fraud"].sum() == 400
    cards = ring.group_by("card_id").agg(pl.len(), hosts=pl.col("host_id").n_unique())
    assert cards["len"].max() == 2
    hosts = ring.drop_nulls("host_id").group_by("host_id").agg(cards=pl.col("card_id").n_unique())
    assert hosts["cards"].max() == 2
    assert (hosts["cards"] == 2).mean() > 0.8  # type: ignore[operator]  # a number
    shared = ring.drop_nulls("email").group_by("email").agg(cards=pl.col("card_id").n_unique())
    assert shared["cards"].max() == 3


def test_without_rings_a_log_is_what_it_was() -> None:
    assert "ring" not in simulate(2_000, seed=5)["fraud_pattern"].to_list()
