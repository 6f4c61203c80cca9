"""A simulated payment log as two tables: payment facts, and precomputed velocity statistics.

Many online anti-fraud services keep such tables; the column names are those of a published scoring
request of one. The statistics are features of the batch engine, so they exclude the payment itself
and see only what had arrived before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from shroff.collect import Schema, clean, money
from shroff.collect.sources import written_whole
from shroff.features.define import Entity
from shroff.features.engines.batch import compute
from shroff.features.group import FeatureGroup
from shroff.features.row import calendar, sql

LOG: Final = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    result="result",
    result_at="result_at",
    personal=["cardholder_name", "account_name", "email", "phone"],
    keys=["mcc", "merchant_id", "request_country", "account_country"],
    timezone="Europe/Copenhagen",
)

_card, _account, _host = (
    Entity("card", "card_id"),
    Entity("account", "account_id"),
    Entity("host", "host_id"),
)

_COUNTED: Final = (
    *_account.distinct("card_id", "1d", name="CardsCountFromThisCrmAccount1D"),
    *_account.distinct("card_id", "1h", name="CardsCountFromThisCrmAccount1H"),
    *_account.distinct("card_id", "1m", name="CardsCountFromThisCrmAccount1M"),
    *_account.distinct("card_id", "1s", name="CardsCountFromThisCrmAccount1S"),
    *_host.distinct("card_id", "1d", name="CardsCountFromThisHost1D"),
    *_card.distinct("account_id", "1d", name="CrmAccountsCountFromThisCard1D"),
    *_card.count("1d", where="result = 'failed'", name="FailedPaymentsCountByThisCard1D"),
    *_card.seconds_since_last("1d", name="SecondsPassedFromPreviousPaymentByThisCard1D"),
    *_card.count("1d", name="PaymentsCountByThisCard1D"),
    *_card.distinct("host_id", "1d", name="HostsCountFromThisCard1D"),
)
_PRESENT: Final = (
    sql("HasHumanEmail", "email IS NOT NULL"),
    sql("HasHumanPhone", "phone IS NOT NULL"),
)
_COMPARED: Final = (
    sql("IsCardholderNameIsTheSameAsCrmAccountName", "cardholder_name = account_name"),
    sql("IsRequestCountryIsTheSameAsCrmAccountCountry", "request_country = account_country"),
)
_NAMED: Final = (
    calendar("weekday", name="TransactionDayOfWeek"),
    calendar("part_of_day", name="TransactionLocalTimeOfDay"),
)

STATISTICS: Final = FeatureGroup(
    "payment_statistics",
    of=LOG,
    description="What an anti-fraud service knows of a payment's card, account and host when it "
    "comes in",
    features=[_COUNTED, _PRESENT, _COMPARED, _NAMED],
)

_GAPS: Final = {"CardholderName": 0.01, "TransactionAmount": 0.005, "TransactionCurrency": 0.005}
"""Shares of payments without values that a detector needs."""
_VALIDITY_MONTHS: Final = 48
"""Months from the first payment by which every card has expired."""


def write_two_tables(frame: pl.DataFrame, folder: str | Path, *, seed: int) -> None:
    """Write a simulated log as `facts.csv` and `statistics.csv` in a folder, both or none.

    Joined on `RowKey`, the payment id of both, they have the 35 columns of the published request
    and the label `IsFraud` (0 or 1) behind the facts. About 2 % of the payments are unusable:
    without card holder, amount or currency. The same table and seed give the same bytes.

    Args:
        frame: a log as `shroff.simulate.simulate` gives it.
        seed: that of the gaps, expiry dates and pseudonyms.

    Raises:
        BadFile: the log lacks a column, or the files cannot be written.

    >>> import tempfile
    >>> from shroff.collect import read_joined
    >>> from shroff.simulate import simulate
    >>> with tempfile.TemporaryDirectory() as home:
    ...     write_two_tables(simulate(1_000, seed=1), home, seed=1)
    ...     read_joined(f"{home}/facts.csv", f"{home}/statistics.csv", on="RowKey").shape
    (1000, 36)
    """
    log = clean(
        frame, LOG.with_keys(STATISTICS.key_columns), key=b"pseudonyms %d" % seed, max_bad=0.0
    ).frame
    rng = np.random.default_rng(seed)
    facts = _facts(log, rng)
    with (
        written_whole(Path(folder) / "facts.csv") as first,
        written_whole(Path(folder) / "statistics.csv") as second,
    ):
        facts.write_csv(first)
        _statistics(log, facts).write_csv(second)


def _facts(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    # the service's clock ticks in tenths of a microsecond
    tick = pl.lit(pl.Series(rng.integers(10, size=len(log))).cast(pl.String))
    created = pl.col("created_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f") + tick + "Z"
    facts = log.select(
        PartitionKey="merchant_id",
        RowKey="transaction_id",
        Timestamp=created,
        CardId="card_id",
        CrmAccountId="account_id",
        MCC="mcc",
        MerchantId="merchant_id",
        TransactionAmount=money.major("amount", "currency", LOG.default_currency),
        TransactionCreatedTime=created,
        TransactionCurrency=pl.col("currency").replace_strict(money.NUMERIC),
        TransactionId="transaction_id",
        TransactionResult=pl.when(pl.col("result") == "failed")
        .then(pl.lit("Failed"))
        .otherwise(pl.lit("Success")),
        CardExpirationDate=_expiry(log, rng),
        CardholderName=pl.col("cardholder_name").str.slice(0, 40),
        CrmAccountFullName=pl.col("account_name").str.slice(0, 40),
        TransactionRequestHost="host_id",
        IsFraud=pl.col("is_fraud").cast(pl.Int8),
    )
    gaps = {name: pl.Series(rng.random(len(log)) < share) for name, share in _GAPS.items()}
    return facts.with_columns(
        pl.when(~pl.lit(gap)).then(pl.col(name)).alias(name) for name, gap in gaps.items()
    )


def _expiry(log: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    """An expiry date per card: a month's end after the log's last payment, in the issuer's time."""
    cards, card = np.unique(log["card_id"].to_numpy(), return_inverse=True)
    months = pl.Series(rng.integers(1, _VALIDITY_MONTHS, size=len(cards))[card])
    last = log["created_at"].max()
    end = pl.lit(last).dt.offset_by(pl.lit(months).cast(pl.String) + "mo").dt.month_end()
    return pl.select(end.dt.strftime("%Y-%m-%dT23:59:59+03:00").alias("expiry")).to_series()


def _statistics(log: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    features = compute([STATISTICS], log, LOG)
    return facts.select("PartitionKey", "RowKey", "Timestamp").with_columns(
        *(features[feature.name].cast(pl.Int64) for feature in _COUNTED),
        *(_flag(features[feature.name], no=None) for feature in _PRESENT),
        *(_flag(features[feature.name], no="false") for feature in _COMPARED),
        *(features[feature.name] for feature in _NAMED),
    )


def _flag(condition: pl.Series, *, no: str | None) -> pl.Series:
    return condition.replace_strict([1.0, 0.0], ["true", no], default=None, return_dtype=pl.String)
