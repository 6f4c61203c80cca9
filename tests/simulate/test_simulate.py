"""The simulated log as a whole: its shape, its law of seeds, its rhythm, its labels."""

from __future__ import annotations

import ipaddress
from datetime import date, datetime, timedelta

import lightgbm
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from shroff.collect.money import EXPONENT
from shroff.errors import ConfigurationError
from shroff.simulate import PATTERNS, simulate

SCHEMA = {
    "transaction_id": pl.String,
    "created_at": pl.Datetime("us", "UTC"),
    "amount": pl.Float64,
    "currency": pl.String,
    "card_id": pl.String,
    "account_id": pl.String,
    "merchant_id": pl.String,
    "host_id": pl.String,
    "mcc": pl.String,
    "request_country": pl.String,
    "account_country": pl.String,
    "cardholder_name": pl.String,
    "account_name": pl.String,
    "email": pl.String,
    "phone": pl.String,
    "result": pl.String,
    "result_at": pl.Datetime("us", "UTC"),
    "is_fraud": pl.Int8,
    "labelled_at": pl.Datetime("us", "UTC"),
    "fraud_pattern": pl.String,
}
GAPS = ["host_id", "request_country", "account_country", "email", "phone"]


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return simulate(60_000, seed=11)


def test_it_has_the_columns_of_the_contract(log: pl.DataFrame) -> None:
    assert log.schema == SCHEMA


@given(
    payments=st.integers(1, 600),
    days=st.integers(1, 40),
    fraud_rate=st.floats(0.0, 0.5),
    seed=st.integers(0, 2**64),
)
@settings(max_examples=40)
def test_any_log_is_well_formed(payments: int, days: int, fraud_rate: float, seed: int) -> None:
    log = simulate(payments, days=days, start="2023-10-20", fraud_rate=fraud_rate, seed=seed)
    assert log.schema == SCHEMA
    assert log.height == payments
    assert log["created_at"].is_sorted()
    assert (log["created_at"].dt.date() >= date(2023, 10, 20)).all()
    assert (log["created_at"].dt.date() < date(2023, 10, 20) + timedelta(days=days)).all()
    # a thieves' shop keeps all its payments of the period, so that a tiny log may have a few more
    # frauds
    assert 0 <= log["is_fraud"].sum() - round(payments * fraud_rate) <= 25
    assert log["amount"].is_finite().all()
    assert (log["amount"] > 0).all()


def test_size_and_fraud_rate_are_as_asked() -> None:
    for payments, rate in ((20_000, 0.01), (30_000, 0.002), (10_000, 0.2)):
        log = simulate(payments, fraud_rate=rate)
        assert log.height == payments
        assert log["is_fraud"].mean() == pytest.approx(rate, rel=0.02)
    assert simulate(5_000, fraud_rate=0.0)["fraud_pattern"].null_count() == 5_000


def test_the_same_seed_gives_the_same_log_and_another_seed_another() -> None:
    once = simulate(3_000, seed=5)
    assert once.equals(simulate(3_000, seed=5))
    other = simulate(3_000, seed=6)
    assert not set(once["transaction_id"]) & set(other["transaction_id"])
    assert not once["amount"].equals(other["amount"])


def test_the_dates_follow_the_start() -> None:
    log = simulate(2_000, days=3, start="2025-02-27")
    assert sorted(set(log["created_at"].dt.date())) == [
        date(2025, 2, 27),
        date(2025, 2, 28),
        date(2025, 3, 1),
    ]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"payments": 0}, "payments must be at least 1, got 0"),
        ({"payments": 10**13}, "to simulate 10,000,000,000,000 payments takes about 6,600,000"),
        ({"days": 0}, "days must be from 1 to 3660, got 0"),
        ({"fraud_rate": 0.6}, "fraud_rate must be from 0 to 0.5, got 0.6"),
        ({"fraud_rate": float("nan")}, "fraud_rate must be from 0 to 0.5, got nan"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"start": "1.2.2024"}, "start must be a date such as 2024-01-01"),
        ({"start": "1900-01-01"}, "start must lie in the years 1970 to 2200, got the year 1900"),
    ],
)
def test_an_unusable_argument_is_refused(wrong: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        simulate(**wrong)  # type: ignore[arg-type]


def test_ids_are_unique_hexadecimal_and_unordered(log: pl.DataFrame) -> None:
    ids = log["transaction_id"]
    assert ids.n_unique() == log.height
    assert ids.str.contains("^[0-9a-f]{32}$").all()
    assert not ids.is_sorted()


def test_amounts_have_no_more_decimals_than_their_currency(log: pl.DataFrame) -> None:
    assert set(log["currency"]) >= {"EUR", "USD", "GBP", "DKK", "SEK", "JPY"}
    for (currency,), rows in log.group_by("currency"):
        exponent = EXPONENT[str(currency)]
        amounts = rows["amount"].to_numpy()
        assert np.array_equal(amounts, np.rint(amounts * 10**exponent) / 10**exponent)
        # and they do use the decimals they have
        assert exponent == 0 or not np.array_equal(
            amounts * 10 ** (exponent - 1) % 1, np.zeros(len(amounts))
        )


def test_about_one_in_a_hundred_values_is_missing_where_allowed(log: pl.DataFrame) -> None:
    nulls = {name: log[name].null_count() / log.height for name in log.columns}
    assert {name for name, share in nulls.items() if share} == {
        *GAPS,
        "labelled_at",
        "fraud_pattern",
    }
    assert all(0.005 < nulls[name] < 0.02 for name in GAPS)


def test_results_come_at_once_and_labels_later(log: pl.DataFrame) -> None:
    wait = (log["result_at"] - log["created_at"]).dt.total_milliseconds()
    assert wait.min() >= 200  # type: ignore[operator]
    assert wait.max() <= 3_000  # type: ignore[operator]
    fraud = log.filter(is_fraud=1)
    assert log.filter(is_fraud=0)["labelled_at"].null_count() == log.height - fraud.height
    days = (fraud["labelled_at"] - fraud["created_at"]).dt.total_seconds() / 86_400
    assert days.null_count() == 0
    assert days.min() >= 1 / 24  # type: ignore[operator]
    assert days.max() <= 60  # type: ignore[operator]
    assert 5 < float(np.median(days)) < 9


def test_the_answer_key_agrees_with_the_label(log: pl.DataFrame) -> None:
    assert (log["fraud_pattern"].is_not_null() == (log["is_fraud"] == 1)).all()
    assert set(log["fraud_pattern"].drop_nulls()) == set(PATTERNS)


@pytest.mark.parametrize(
    ("country", "zone"), [("DE", "Europe/Berlin"), ("US", "America/New_York"), ("JP", "Asia/Tokyo")]
)
def test_people_sleep_at_night_where_they_live(log: pl.DataFrame, country: str, zone: str) -> None:
    at_home = log.filter(pl.col("request_country") == country, pl.col("account_country") == country)
    hours = at_home["created_at"].dt.convert_time_zone(zone).dt.hour()
    night, evening = hours.is_in([2, 3, 4]).mean(), hours.is_in([17, 18, 19]).mean()
    assert night < 0.2 * evening  # type: ignore[operator]
    # a day has 24 hours: three of them would be an eighth
    assert evening > 0.17  # type: ignore[operator]


def test_the_weekend_starts_later(log: pl.DataFrame) -> None:
    same_time = pl.col("account_country").is_in(
        ["DE", "FR", "DK", "SE", "NO", "NL", "ES", "IT", "PL", "CH"]
    )
    local = log.filter(same_time)["created_at"].dt.convert_time_zone("Europe/Berlin")
    weekend = local.dt.weekday() >= 6
    morning = local.dt.hour().is_between(6, 8)
    late = (local.dt.hour() < 3) | (local.dt.hour() == 23)
    assert morning.filter(weekend).mean() < 0.85 * morning.filter(~weekend).mean()  # type: ignore[operator]
    assert late.filter(weekend).mean() > 1.3 * late.filter(~weekend).mean()  # type: ignore[operator]


def test_saturdays_are_busier_than_sundays(log: pl.DataFrame) -> None:
    per_day = log["created_at"].dt.weekday().value_counts().sort("created_at")["count"].to_list()
    assert per_day[5] > 1.2 * per_day[6]


def test_entities_relate_as_in_life(log: pl.DataFrame) -> None:
    genuine = log.filter(is_fraud=0)
    assert genuine.group_by("card_id").agg(pl.col("account_id").n_unique())["account_id"].max() == 1
    assert genuine.group_by("account_id").agg(pl.col("card_id").n_unique())["card_id"].max() >= 3  # type: ignore[operator]
    assert log.group_by("merchant_id").agg(pl.col("mcc").n_unique())["mcc"].max() == 1
    assert log["mcc"].str.contains("^[0-9]{4}$").all()
    share = genuine["merchant_id"].value_counts(sort=True)["count"] / genuine.height
    # Zipf: a few merchants have many payments, and no merchant has most
    assert 0.25 < share.head(len(share) // 20).sum() < 0.8
    assert share[0] < 0.1


def test_cards_have_habits(log: pl.DataFrame) -> None:
    genuine = log.filter(is_fraud=0).drop_nulls("host_id")
    busy = genuine.filter(pl.len().over("card_id") >= 30)
    favourite = busy.group_by("card_id").agg(
        (pl.col("host_id").unique_counts().max() / pl.len()).alias("host"),
        (pl.col("merchant_id").unique_counts().max() / pl.len()).alias("merchant"),
        (pl.col("request_country") == pl.col("account_country")).mean().alias("home"),
    )
    assert favourite["host"].median() > 0.35  # type: ignore[operator]
    assert favourite["merchant"].median() > 0.12  # type: ignore[operator]
    assert favourite["home"].median() > 0.95  # type: ignore[operator]


def test_nothing_points_to_anybody(log: pl.DataFrame) -> None:
    hosts = log["host_id"].drop_nulls().unique()
    private = ipaddress.IPv4Network("10.0.0.0/8")
    assert all(ipaddress.IPv4Address(host) in private for host in hosts)
    assert log["email"].drop_nulls().str.contains(r"^[a-z.\-]+\.\d+@[a-z]+\.example$").all()
    assert log["phone"].drop_nulls().str.contains(r"^\+\d{1,3}00\d{7}$").all()
    texts = log.select(pl.col(pl.String)).select(
        pl.all().str.contains(r"^[ +\-]*(\d[ \-]?){13,19}$").any()
    )
    assert not any(texts.row(0))


def test_contacts_are_their_owners_own(log: pl.DataFrame) -> None:
    for contact in ("email", "phone"):
        assert (
            log.drop_nulls(contact)
            .group_by(contact)
            .agg(pl.col("account_id").n_unique())["account_id"]
            .max()
            == 1
        )


def test_it_can_be_learned_from_velocity_but_not_from_amounts(log: pl.DataFrame) -> None:
    past = log.with_row_index("row").select(
        "row",
        "is_fraud",
        "created_at",
        "amount",
        (pl.col("request_country") == pl.col("account_country"))
        .cast(pl.Float64)
        .alias("same_country"),
        *(
            pl.len()
            .rolling("created_at", period=period, closed="left")
            .over(key)
            .alias(f"{key}_{period}")
            for key in ("card_id", "host_id", "merchant_id", "account_id")
            for period in ("1h", "1d")
        ),
    )
    start = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    train = past.filter(pl.col("created_at") < start + timedelta(days=55))
    test = past.filter(pl.col("created_at") >= start + timedelta(days=62))

    def average_precision(columns: list[str]) -> float:
        model = lightgbm.LGBMClassifier(n_estimators=60, random_state=0, n_jobs=1, verbose=-1)
        model.fit(train.select(columns).to_numpy(), train["is_fraud"].to_numpy())
        # the booster itself, because the wrapper warns about names that an array does not have
        score = model.booster_.predict(test.select(columns).to_numpy())
        return float(average_precision_score(test["is_fraud"].to_numpy(), score))

    assert average_precision(["amount"]) < 0.1
    assert 0.4 < average_precision(past.columns[3:]) < 0.95
