"""The two-table example: the published columns, statistics that hold what they say, and the same
bytes for a seed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from shroff.collect import Schema, clean, read, read_joined
from shroff.collect.money import NUMERIC
from shroff.errors import BadFile, TooManyBadRows
from shroff.simulate import simulate
from shroff.simulate.two_tables import write_two_tables

FACTS = (
    "PartitionKey RowKey Timestamp CardId CrmAccountId MCC MerchantId TransactionAmount "
    "TransactionCreatedTime TransactionCurrency TransactionId TransactionResult "
    "CardExpirationDate CardholderName CrmAccountFullName TransactionRequestHost"
).split()
STATISTICS = (
    "CardsCountFromThisCrmAccount1D CardsCountFromThisCrmAccount1H CardsCountFromThisCrmAccount1M "
    "CardsCountFromThisCrmAccount1S CardsCountFromThisHost1D CrmAccountsCountFromThisCard1D "
    "FailedPaymentsCountByThisCard1D SecondsPassedFromPreviousPaymentByThisCard1D "
    "PaymentsCountByThisCard1D HostsCountFromThisCard1D HasHumanEmail HasHumanPhone "
    "IsCardholderNameIsTheSameAsCrmAccountName IsRequestCountryIsTheSameAsCrmAccountCountry "
    "TransactionDayOfWeek TransactionLocalTimeOfDay"
).split()
SERVICE = ["PartitionKey (2)", "RowKey (2)", "Timestamp (2)"]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return simulate(2_000, days=10, fraud_rate=0.1, seed=5)


@pytest.fixture(scope="module")
def folder(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("two")
    write_two_tables(log, home, seed=5)
    return home


@pytest.fixture(scope="module")
def joined(folder: Path) -> pl.DataFrame:
    return read_joined(folder / "facts.csv", folder / "statistics.csv", on="RowKey")


def test_joined_they_have_the_published_columns_and_the_label(
    folder: Path, joined: pl.DataFrame
) -> None:
    assert read(folder / "facts.csv").columns == [*FACTS, "IsFraud"]
    assert read(folder / "statistics.csv").columns == [
        "PartitionKey",
        "RowKey",
        "Timestamp",
        *STATISTICS,
    ]
    published = [*FACTS, *SERVICE, *STATISTICS]
    assert len(published) == 35
    assert [name for name in joined.columns if name != "IsFraud"] == published
    assert joined["RowKey"].equals(joined["RowKey (2)"].rename("RowKey"))


def test_every_payment_is_there_with_its_values(log: pl.DataFrame, joined: pl.DataFrame) -> None:
    assert joined["TransactionId"].to_list() == log["transaction_id"].to_list()
    assert joined["RowKey"].to_list() == log["transaction_id"].to_list()
    assert joined["IsFraud"].to_list() == [str(label) for label in log["is_fraud"]]
    for row, payment in zip(joined.iter_rows(named=True), log.iter_rows(named=True), strict=True):
        assert row["TransactionCurrency"] in (NUMERIC[payment["currency"]], None)
        assert (
            row["TransactionAmount"] is None or float(row["TransactionAmount"]) == payment["amount"]
        )
        assert (
            row["TransactionResult"]
            == {"authorised": "Success", "failed": "Failed"}[payment["result"]]
        )
        assert datetime.fromisoformat(row["TransactionCreatedTime"]) == payment["created_at"]
        assert row["CardExpirationDate"][:10] > row["TransactionCreatedTime"][:10]


def test_names_are_pseudonyms_that_stay_equal(log: pl.DataFrame, joined: pl.DataFrame) -> None:
    names = joined.select(name="CardholderName", other="CrmAccountFullName").with_columns(
        real=log["cardholder_name"], same=log["cardholder_name"] == log["account_name"]
    )
    told = names.drop_nulls()
    assert told["name"].str.contains("^[0-9a-f]{40}$").all()
    assert told["name"].n_unique() == told["real"].n_unique()
    assert ((told["name"] == told["other"]) == told["same"]).all()


def _expected(payments: list[dict[str, object]], at: int) -> dict[str, object]:
    """What was known just before payment `at`, the slow and obvious way."""
    this = payments[at]
    time: datetime = this["created_at"]  # type: ignore[assignment]  # a column of datetimes
    earlier = [(p, time - p["created_at"]) for p in payments[:at]]  # type: ignore[operator]  # and so is this

    def values(key: str, of: str, within: timedelta) -> str | None:
        if this[key] is None:
            return None
        return str(
            len(
                {
                    p[of]
                    for p, age in earlier
                    if age < within and p[key] == this[key] and p[of] is not None
                }
            )
        )

    by_card = [(p, age) for p, age in earlier if age < DAY and p["card_id"] == this["card_id"]]
    failed = [p for p, _ in by_card if p["result"] == "failed" and p["result_at"] < time]  # type: ignore[operator]
    return {
        "CardsCountFromThisCrmAccount1D": values("account_id", "card_id", DAY),
        "CardsCountFromThisCrmAccount1H": values("account_id", "card_id", timedelta(hours=1)),
        "CardsCountFromThisCrmAccount1M": values("account_id", "card_id", timedelta(minutes=1)),
        "CardsCountFromThisCrmAccount1S": values("account_id", "card_id", timedelta(seconds=1)),
        "CardsCountFromThisHost1D": values("host_id", "card_id", DAY),
        "CrmAccountsCountFromThisCard1D": values("card_id", "account_id", DAY),
        "FailedPaymentsCountByThisCard1D": str(len(failed)),
        "SecondsPassedFromPreviousPaymentByThisCard1D": (
            str(min(age for _, age in by_card) // timedelta(seconds=1)) if by_card else None
        ),
        "PaymentsCountByThisCard1D": str(len(by_card)),
        "HostsCountFromThisCard1D": values("card_id", "host_id", DAY),
    }


def test_statistics_hold_what_was_known_before_the_payment(
    log: pl.DataFrame, joined: pl.DataFrame
) -> None:
    payments = log.rows(named=True)
    table = joined.rows(named=True)
    for at in range(0, len(payments), 7):
        expected = _expected(payments, at)
        assert {name: table[at][name] for name in expected} == expected
    # thieves are in the log, so the counts are not all alike
    assert all(joined[name].n_unique() > 1 for name in expected if not name.endswith("1S"))


def test_flags_are_true_or_missing_as_published(log: pl.DataFrame, joined: pl.DataFrame) -> None:
    for flag, column in (("HasHumanEmail", "email"), ("HasHumanPhone", "phone")):
        assert joined[flag].to_list() == [
            None if value is None else "true" for value in log[column]
        ]
        assert joined[flag].null_count() > 0
    countries = log.select((pl.col("request_country") == pl.col("account_country")).alias("same"))[
        "same"
    ]
    expected = [None if same is None else str(same).lower() for same in countries]
    assert joined["IsRequestCountryIsTheSameAsCrmAccountCountry"].to_list() == expected
    assert set(expected) == {"true", "false", None}


def test_days_and_parts_of_the_day_are_local(log: pl.DataFrame, joined: pl.DataFrame) -> None:
    local = log["created_at"].dt.convert_time_zone("Europe/Copenhagen").to_list()
    assert joined["TransactionDayOfWeek"].to_list() == [f"{moment:%A}" for moment in local]
    parts = ["Night", "Morning", "Afternoon", "Evening"]
    assert joined["TransactionLocalTimeOfDay"].to_list() == [
        parts[moment.hour // 6] for moment in local
    ]


def test_some_payments_are_unusable_and_counted(joined: pl.DataFrame) -> None:
    schema = Schema(
        id="TransactionId",
        time="TransactionCreatedTime",
        amount="TransactionAmount",
        currency="TransactionCurrency",
        label="IsFraud",
        personal=["CardholderName"],
        required=["CardholderName"],
    )
    with pytest.raises(TooManyBadRows, match="CardholderName: expected a value, got none"):
        clean(joined, schema, key=b"k" * 32)
    cleaned = clean(joined, schema, key=b"k" * 32, max_bad=0.05)
    assert set(cleaned.dropped) == {
        f"{name}: expected a value"
        for name in ("TransactionAmount", "TransactionCurrency", "CardholderName")
    }
    assert len(cleaned.frame) == len(joined) - sum(cleaned.dropped.values())


def test_same_seed_same_bytes(log: pl.DataFrame, folder: Path, tmp_path: Path) -> None:
    write_two_tables(log, tmp_path / "again", seed=5)
    write_two_tables(log, tmp_path / "other", seed=6)
    for name in ("facts.csv", "statistics.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "other" / "facts.csv").read_bytes() != (folder / "facts.csv").read_bytes()


def test_a_log_that_lacks_a_column_leaves_nothing_behind(log: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="expected a column `email`"):
        write_two_tables(log.drop("email"), tmp_path / "never", seed=0)
    assert not (tmp_path / "never").exists()
