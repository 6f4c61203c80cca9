"""The finished log: simulated payments as the table that a payment provider would export."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Floats, Ints
from shroff.simulate.clock import DAY_MS, HOUR_MS, Clock
from shroff.simulate.identity import Texts, addresses, transaction_ids
from shroff.simulate.payments import ALL_PATTERNS, SimulatedPayments
from shroff.simulate.population import Population
from shroff.simulate.reference import CATEGORIES, COUNTRIES, CURRENCIES, EXPONENTS

_WITH_GAPS: Final = ("host_id", "request_country", "account_country", "email", "phone")
_MISSING_SHARE: Final = 0.01
_COUNTRY_CODES: Final = pl.Series([country.code for country in COUNTRIES])
_MEAN_CHARGEBACK_MS: Final = 7.0 * DAY_MS
_CHARGEBACK_SPREAD: Final = 0.9
_CHARGEBACK_RANGE_MS: Final = (3 * HOUR_MS, 60 * DAY_MS)


def tabulate(
    rng: np.random.Generator,
    population: Population,
    clock: Clock,
    texts: Texts,
    payments: SimulatedPayments,
) -> pl.DataFrame:
    """The payments, in order of time, with ids, results and labels; some values are missing."""
    payments = payments.take(np.argsort(payments.time, kind="stable"))
    size = len(payments)
    fraud = payments.pattern > 0
    result = payments.time + _result_delay(rng, size)
    label = payments.time + _label_delay(rng, size)
    category = population.merchants.category[payments.merchant]
    home = population.accounts.country[payments.account]
    frame = pl.DataFrame(
        {
            "transaction_id": transaction_ids(rng, size),
            "created_at": _moments(clock, payments.time),
            "amount": payments.minor / 10.0 ** EXPONENTS[payments.currency],
            "currency": pl.Series([currency.code for currency in CURRENCIES])[payments.currency],
            "card_id": texts.card_id[payments.card],
            "account_id": texts.account_id[payments.account],
            "merchant_id": texts.merchant_id[payments.merchant],
            "host_id": addresses(payments.host),
            "mcc": pl.Series([kind.mcc for kind in CATEGORIES])[category],
            "request_country": _COUNTRY_CODES[payments.country],
            "account_country": _COUNTRY_CODES[home],
            "cardholder_name": texts.cardholder[payments.card],
            "account_name": texts.account_name[payments.account],
            "email": texts.email[payments.contact],
            "phone": texts.phone[payments.contact],
            "result": pl.Series(["authorised", "failed"])[payments.failed.astype(np.int64)],
            "result_at": _moments(clock, result),
            "is_fraud": fraud.astype(np.int8),
            "labelled_at": pl.select(
                pl.when(pl.lit(pl.Series(fraud))).then(pl.lit(_moments(clock, label)))
            ).to_series(),
            "fraud_pattern": pl.Series([None, *ALL_PATTERNS])[payments.pattern],
        }
    )
    return _with_gaps(rng, frame)


def _moments(clock: Clock, since_start: Ints) -> pl.Series:
    start = datetime.combine(clock.start, time(), UTC)
    return pl.Series(since_start * 1_000 + round(start.timestamp()) * 1_000_000).cast(
        pl.Datetime("us", "UTC")
    )


def _result_delay(rng: np.random.Generator, size: int) -> Ints:
    """Milliseconds [size] until the card issuer answers: 0.2 s to 3 s, mostly well under 1 s."""
    return (200.0 + 2_800.0 * rng.beta(1.3, 7.0, size)).astype(np.int64)


def _label_delay(rng: np.random.Generator, size: int) -> Ints:
    """Milliseconds [size] until a chargeback: 3 hours to 60 days, a week in the median."""
    delay: Floats = _MEAN_CHARGEBACK_MS * rng.lognormal(0.0, _CHARGEBACK_SPREAD, size)
    return np.clip(delay, *_CHARGEBACK_RANGE_MS).astype(np.int64)


def _with_gaps(rng: np.random.Generator, frame: pl.DataFrame) -> pl.DataFrame:
    kept = {name: pl.Series(rng.random(frame.height) >= _MISSING_SHARE) for name in _WITH_GAPS}
    return frame.with_columns(
        pl.when(pl.lit(keep)).then(pl.col(name)).alias(name) for name, keep in kept.items()
    )
