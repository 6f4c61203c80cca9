"""Payments in several currencies: every engine adds and compares amounts in one, or says that it
cannot.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.engines import ENGINES, Engine, Engines, engine_of
from contract.examples import examples
from contract.oracle import Row
from contract.strategies import MINUTE, START, Ask, Log, cases
from shroff import Entity, FeatureGroup, Rate, Rates, Schema, sql
from shroff.collect import clean
from shroff.errors import MixedCurrencies
from shroff.features.group import Feature

Case = tuple[Log, FeatureGroup, list[Ask]]
Mixed = tuple[Schema, pl.DataFrame, list[Row], FeatureGroup, list[Ask]]
Definition = Feature | tuple[Feature, ...]
KEY = b"k" * 32


def at(minute: int) -> str:
    return datetime.fromtimestamp(START // 1_000_000 + 60 * minute, UTC).isoformat()


RATES: Final = Rates(
    "EUR",
    [
        Rate("JPY", "0.0065", at(-1)),
        Rate("JPY", "0.00625", at(6), at(12)),
        Rate("JPY", "0.0081", at(12)),
        Rate("KWD", "3.0303"),
    ],
)
DECIMALS: Final = {"EUR": 2, "JPY": 0, "KWD": 3}
MOST: Final = {"EUR": 10**15 - 1, "JPY": 10**14, "KWD": int(10**15 / 10 / 3.0303)}
"""Minor units that are taken, and still are when they are in euros."""


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


def in_euros(currency: str, paid: Fraction, time: int) -> Fraction:
    """The oracle: the rate of the moment, to whole cents, a half to the even one."""
    minute = Fraction(time - START, MINUTE)
    rates = {
        "EUR": Fraction(1),
        "KWD": Fraction("3.0303"),
        "JPY": Fraction("0.0065")
        if minute < 6
        else Fraction("0.00625")
        if minute < 12
        else Fraction("0.0081"),
    }
    return Fraction(round(paid * rates[currency] * 100), 100)


@st.composite
def mixed(draw: st.DrawFn, *, most: bool = False) -> Mixed:
    """A raw log whose payments are in several currencies, the same in euros as the oracle sees it,
    and features.

    `most`: amounts are as large as they may be.
    """
    log, group, asks = draw(cases(most=most))
    schema = msgspec.structs.replace(log.schema, rates=RATES)
    rows: list[Row] = []
    paid: list[Fraction] = []
    for row in log.rows:
        currency = draw(st.sampled_from(sorted(DECIMALS)))
        least, limit = (MOST[currency] - 10, MOST[currency]) if most else (0, 10**7)
        amount = Fraction(draw(st.integers(least, limit)), 10 ** DECIMALS[currency])
        paid.append(amount)
        values = row.values | {"currency": currency}
        rows.append(replace(row, amount=in_euros(currency, amount, row.time), values=values))
    raw = log.frame.with_columns(
        pl.Series("amount", [float(amount) for amount in paid]),
        pl.Series("currency", [row.values["currency"] for row in rows]),
    )
    return schema, raw, rows, group, asks


@examples(30)
@given(case=mixed())
def test_every_engine_adds_amounts_in_the_base_currency(engines: Engines, case: Mixed) -> None:
    require_equal(engines, case)


@examples(20)
@given(case=mixed(most=True))
def test_converted_amounts_at_the_limit_are_summed_exactly(engines: Engines, case: Mixed) -> None:
    require_equal(engines, case)


def require_equal(engines: Engines, case: Mixed) -> None:
    """Every engine gives what the oracle gives."""
    schema, raw, rows, group, asks = case
    cleaned = clean(raw, schema, key=KEY, max_bad=0.0).frame
    seen = Log(schema, raw, tuple(rows))
    expected = pl.DataFrame([raw["id"], *(ask.column(seen) for ask in asks)])
    for engine in engines:
        assert_frame_equal(engine([group], cleaned, schema), expected, check_exact=True)


card = Entity("card", "card")
SCHEMA = Schema(id="id", time="time", amount="amount", currency="currency", keys=["card"])


def table(*payments: tuple[str, float]) -> pl.DataFrame:
    """A raw log of one card, a payment a minute: in which currency, how much."""
    return pl.DataFrame(
        {
            "id": [f"p{number}" for number in range(len(payments))],
            "time": [at(number) for number in range(len(payments))],
            "currency": [currency for currency, _ in payments],
            "amount": [float(amount) for _, amount in payments],
            "card": ["c"] * len(payments),
        }
    )


def test_conditions_read_what_was_paid_beside_what_it_is_worth(engine: Engine) -> None:
    schema = msgspec.structs.replace(SCHEMA, rates=RATES)
    features: list[Definition] = [
        card.total(
            "amount", "1h", where="original_amount >= 1000 AND currency = 'JPY'", name="in_yen"
        ),
        sql("worth", "amount"),
        sql("paid", "original_amount"),
        sql("ratio", "ROUND(original_amount / amount)"),
    ]
    frame = clean(
        table(("JPY", 1000), ("EUR", 2000.5), ("JPY", 999), ("KWD", 1.001)), schema, key=KEY
    ).frame
    found = engine([FeatureGroup("g", features)], frame, schema)
    assert found["in_yen"].to_list() == [0.0, 6.5, 6.5, 6.5]
    assert found["worth"].to_list() == [6.5, 2000.5, 6.49, 3.03]
    assert found["paid"].to_list() == [1000.0, 2000.5, 999.0, 1.001]
    assert found["ratio"].to_list() == [154.0, 1.0, 154.0, 0.0]


@pytest.mark.parametrize(
    "features",
    [
        [card.total("amount", "1h")],
        [card.mean("amount", "1h")],
        [card.max("amount", "1h")],
        [card.std("amount", "1h")],
        [card.decayed_total("amount", "1h", half_life="10m")],
        [card.count("1h", where="amount > 5")],
        [card.share("amount > 5", "1h")],
        [sql("large", "amount > 5")],
    ],
    ids=["total", "mean", "max", "std", "decayed", "where", "share", "sql"],
)
def test_without_rates_amounts_of_two_currencies_are_refused(
    engine: Engine, features: list[Definition]
) -> None:
    group = FeatureGroup("g", features)
    (name,) = [feature.name for feature in group.definitions]
    frame = clean(table(("EUR", 5.0), ("JPY", 800), ("EUR", 6.0)), SCHEMA, key=KEY).frame
    with pytest.raises(
        MixedCurrencies, match=f"`{name}` .* 2 currencies .*Schema\\(rates=Rates.read"
    ):
        engine([group], frame, SCHEMA)
    # one currency under its two codes is one
    engine([group], clean(table(("EUR", 5.0), ("978", 6.0)), SCHEMA, key=KEY).frame, SCHEMA)


def test_without_rates_what_reads_no_amount_is_computed(engine: Engine) -> None:
    group = FeatureGroup("g", [card.count("1h"), card.distinct("currency", "1h")])
    frame = clean(table(("EUR", 5.0), ("JPY", 800), ("EUR", 6.0)), SCHEMA, key=KEY).frame
    found = engine([group], frame, SCHEMA)
    assert found["card_count_1h"].to_list() == [0.0, 1.0, 2.0]
    assert found["card_distinct_currency_1h"].to_list() == [0.0, 1.0, 2.0]
