"""PSD2 fraud rates and the VAMP ratio: tables by hand, and a slow oracle."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Project, Rates, Schema
from shroff.arrays import Times
from shroff.errors import ConfigurationError, DataError, InvalidExpression, UnknownColumn
from shroff.evaluate.schemes import (
    Instrument,
    counted_days,
    crossings,
    fraud_rates,
    quarterly_rates,
    vamp,
)
from shroff.pipeline import scheme_figures

GOLDEN = Path(__file__).parents[1] / "golden"
NEVER = np.datetime64("NaT", "D")
ANNEX: dict[Instrument, dict[int, str]] = {
    "card": {500: "0.0001", 250: "0.0006", 100: "0.0013"},
    "credit_transfer": {500: "0.00005", 250: "0.0001", 100: "0.00015"},
}
INSTRUMENTS: tuple[Instrument, ...] = ("card", "credit_transfer")


def golden(name: str) -> pl.DataFrame:
    """A table computed by hand."""
    return pl.read_csv(GOLDEN / name, comment_prefix="#", try_parse_dates=True)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_fraud_rates_are_those_computed_by_hand(instrument: Instrument) -> None:
    paid = [
        ("2024-01-01", 9_990_000, 0),
        ("2024-01-01", 10_000, 1),
        ("2024-01-02", 6_666_667, 0),
        ("2024-03-30", 1_000, 1),
        ("2024-04-01", 9_999_000, 0),
    ]
    day, amount, y = (np.array(column) for column in zip(*paid, strict=True))
    day = day.astype("datetime64[D]")
    fraud_day = counted_days(day, y, counted_on="payment")
    rates = fraud_rates(day, amount, fraud_day, instrument)
    columns = ["day", "days", "fraud", "total", "threshold"]
    expected = golden("fraud_rates.csv").select(
        *columns[:-1], pl.col(instrument).alias("threshold")
    )
    assert len(rates) == 92
    found = rates.join(expected.select("day"), on="day", how="semi").select(columns)
    assert found.rows() == expected.rows()
    quarters = quarterly_rates(day, amount, fraud_day, instrument)
    usable = {"card": (100, 500), "credit_transfer": (0, 500)}[instrument]
    assert quarters.drop("fraud_rate", "threshold").rows() == [
        (date(2024, 1, 1), 91, 11_000, 16_667_667, usable[0]),
        (date(2024, 4, 1), 1, 0, 9_999_000, usable[1]),
    ]
    if instrument == "card":
        assert crossings(rates).rows() == [
            (date(2024, 3, 30), None, 100),
            (date(2024, 3, 31), 100, 250),
            (date(2024, 4, 1), 250, 500),
        ]


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_rates_by_registration_are_those_computed_by_hand(instrument: Instrument) -> None:
    paid = [
        ("2024-01-01", 9_990_000, 0, "NaT"),
        ("2024-01-01", 10_000, 1, "2024-03-31"),
        ("2024-01-02", 6_666_667, 0, "2024-03-01"),
        ("2024-03-30", 1_000, 1, "2024-04-01"),
        ("2024-04-01", 9_999_000, 0, "NaT"),
    ]
    day, amount, y, known = (np.array(column) for column in zip(*paid, strict=True))
    day, known = day.astype("datetime64[D]"), known.astype("datetime64[D]")
    by_payment = counted_days(day, y)
    assert (by_payment[y == 1] == day[y == 1]).all(), "the default"
    fraud_day = counted_days(day, y, known, counted_on="registration")
    rates = fraud_rates(day, amount, fraud_day, instrument)
    expected = golden("fraud_rates_registered.csv").select(
        "day", "days", "fraud", "total", pl.col(instrument).alias("threshold")
    )
    found = rates.join(expected.select("day"), on="day", how="semi").select(expected.columns)
    assert found.rows() == expected.rows()
    quarters = quarterly_rates(day, amount, fraud_day, instrument)
    usable = {"card": (250, 250), "credit_transfer": (0, 100)}[instrument]
    assert quarters.drop("fraud_rate", "threshold").rows() == [
        (date(2024, 1, 1), 91, 10_000, 16_667_667, usable[0]),
        (date(2024, 4, 1), 1, 1_000, 9_999_000, usable[1]),
    ]


def test_a_threshold_is_lost_after_two_quarters_above_its_rate() -> None:
    day = np.array([f"2024-{month:02}-01" for month in (1, 4, 7, 10)], "datetime64[D]").repeat(2)
    frauds = [1, 5, 7, 1]  # of 10,000: the reference rates of cards are 1, 6 and 13
    amount = np.array([value for one in frauds for value in (10_000 - one, one)])
    fraud_day = np.where(np.arange(8) % 2 == 1, day, NEVER)
    quarters = quarterly_rates(day, amount, fraud_day, "card")
    assert quarters["threshold"].to_list() == [500, 250, 100, 500]
    assert quarters["usable"].to_list() == [500, 500, 250, 500]


payment = st.tuples(
    st.integers(0, 200), st.integers(0, 10**15 - 1), st.none() | st.integers(0, 120)
)


@given(st.lists(payment, min_size=1, max_size=30), st.sampled_from(INSTRUMENTS), st.booleans())
def test_fraud_rates_equal_those_of_a_slow_oracle(
    paid: list[tuple[int, int, int | None]], instrument: Instrument, registered: bool
) -> None:
    start = date(2024, 1, 1)
    day = np.array([start + timedelta(at) for at, _, _ in paid], "datetime64[D]")
    amount = np.array([value for _, value, _ in paid])
    y = np.array([delay is not None for _, _, delay in paid])
    delays = np.array([delay or 0 for _, _, delay in paid])
    on = "registration" if registered else "payment"
    fraud_day = counted_days(day, y, day + delays, counted_on=on)  # type: ignore[arg-type]  # one of two
    rates = fraud_rates(day, amount, fraud_day, instrument)
    first, last = min(at for at, _, _ in paid), max(at for at, _, _ in paid)
    assert rates["day"].to_list() == [start + timedelta(at) for at in range(first, last + 1)]
    for at, row in zip(range(first, last + 1), rates.to_dicts(), strict=True):
        window = range(at - 89, at + 1)
        total = sum(value for paid_at, value, _ in paid if paid_at in window)
        fraud = sum(
            value
            for paid_at, value, delay in paid
            if delay is not None and paid_at + registered * delay in window
        )
        assert (row["fraud"], row["total"], row["days"]) == (fraud, total, min(at - first + 1, 90))
        allowed = [
            threshold
            for threshold, rate in ANNEX[instrument].items()
            if total and Fraction(fraud, total) <= Fraction(rate)
        ]
        assert row["threshold"] == max(allowed, default=0)


def test_the_vamp_ratio_is_that_computed_by_hand() -> None:
    expected = golden("vamp.csv").with_columns(pl.col("merchant").replace("", None))
    parts: dict[str, list[Any]] = {"merchant": [], "day": [], "fraud": [], "dispute": []}
    for one in expected.drop_nulls("merchant").to_dicts():
        on = np.datetime64(one["month"] + timedelta(days=9))
        number = np.arange(one["settled"])
        parts["merchant"] += [one["merchant"]] * one["settled"]
        parts["day"].append(np.full(one["settled"], on))
        parts["fraud"].append(np.where(number < one["frauds"], on, NEVER))
        parts["dispute"].append(np.where(number < one["disputes"], on, NEVER))
    columns: list[Times] = [np.concatenate(parts[name]) for name in ("day", "fraud", "dispute")]
    day, fraud, dispute = columns
    found = vamp(day, fraud, dispute, pl.Series(parts["merchant"]))
    assert found.drop("ratio").rows() == expected.rows()
    cases = found["frauds"] + found["disputes"]
    assert found["ratio"].to_list() == (cases / found["settled"]).to_list()
    # a log without merchants is one merchant's
    alone = parts["merchant"].count("a")
    only = vamp(day[:alone], fraud[:alone], dispute[:alone])
    assert only["level"].to_list() == expected.filter(merchant="a")["level"].to_list()


def log(currencies: list[str], **columns: Any) -> pl.DataFrame:
    """A clean table of a payment a day, the second a fraud."""
    n = len(currencies)
    start = pl.datetime(2024, 1, 1, 23, 30, time_zone="UTC")
    table: pl.DataFrame = pl.select(
        id=pl.int_range(n).cast(pl.String),
        at=start + pl.duration(days=pl.int_range(n)),
        amount=pl.lit(10_000),
        currency=pl.Series(currencies),
        fraud=pl.int_range(n) == 1,
        **columns,
    )
    return table


def project(**given: Any) -> Project:
    schema = {"id": "id", "time": "at", "amount": "amount", "currency": "currency"} | given
    return Project(schema=Schema(label="fraud", **schema))


def test_days_are_those_of_the_schema_s_zone() -> None:
    found = scheme_figures(project(timezone="Europe/Paris"), log(["EUR"] * 3))
    assert found.rates["card"].daily["day"].to_list()[0] == date(2024, 1, 2)


def test_fraud_rates_need_amounts_in_euros() -> None:
    assert scheme_figures(project(), log(["EUR"] * 3)).refusal is None
    rated = project(rates=Rates.constant("EUR", {"USD": "0.9"}))
    assert scheme_figures(rated, log(["EUR", "USD", "USD"])).refusal is None
    for codes, named in ((["USD"] * 3, "in USD"), (["EUR", "USD", "USD"], "several currencies")):
        found = scheme_figures(project(), log(codes))
        assert named in str(found.refusal)
        assert not found.rates
        assert found.vamp.height == 1


def test_conditions_choose_the_payments_that_count() -> None:
    found = scheme_figures(
        project(), log(["EUR"] * 4), where="amount >= 100 AND id <> '3'", transfers="id = '1'"
    )
    assert (found.payments, found.counted) == (4, 3)
    assert found.rates["credit_transfer"].daily.row(0)[2:5] == (10_000, 10_000, 1.0)
    assert found.rates["card"].daily["total"].to_list() == [10_000, 10_000, 20_000]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"where": "amout > 1"}, UnknownColumn, "--where: unknown column `amout`"),
        ({"where": "amount + 1"}, InvalidExpression, "--where: expected a condition"),
        ({"where": "amount < 0"}, ConfigurationError, "of 3 payments none meets"),
        ({"merchant": "shop"}, UnknownColumn, "--merchant: unknown column `shop`"),
        ({"counted_on": "registration"}, ConfigurationError, "Schema\\(labelled_at=…\\)"),
    ],
)
def test_what_cannot_be_rated_is_refused(
    given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        scheme_figures(project(), log(["EUR"] * 3), **given)


def test_arrays_that_do_not_fit_are_refused() -> None:
    day, never = np.array(["2024-01-01"], "datetime64[D]"), np.array([NEVER])
    with pytest.raises(DataError, match="integers of 0 or more"):
        fraud_rates(day, np.array([1.5]), never, "card")
    with pytest.raises(DataError, match="a day for every payment"):
        fraud_rates(never, np.array([1]), never, "card")
    with pytest.raises(DataError, match="at least one payment"):
        fraud_rates(day[:0], np.array([], dtype=np.int64), never[:0], "card")
    with pytest.raises(DataError, match="one value for each of 1"):
        vamp(day, never[:0], never)
