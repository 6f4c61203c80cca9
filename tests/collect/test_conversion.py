"""Amounts in the base currency: one payment, a column of them and plain fractions give the same
ones.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shroff import Rate, Rates, Schema
from shroff.collect import PaymentReader, clean, money
from shroff.collect.conversion import Converter
from shroff.collect.payment import as_sent
from shroff.errors import BadPayment, ConfigurationError, TooManyBadRows

KEY = b"k" * 32
CODES = ("EUR", "JPY", "KWD", "CLF", "USD")
DAY = 86_400_000_000
MOST_MINOR = 10**15 - 1

texts = (
    st.integers(1, 10**18 - 1).flatmap(
        lambda digits: st.integers(0, 18).map(lambda at: shifted(digits, at))
    )
) | st.sampled_from(
    ["0.5", "0.005", "1.5", "2.5", "0.00625", "160", "999999999999999999", "0.000000000000000001"]
)


def shifted(digits: int, decimals: int) -> str:
    """`digits` with the point before the last so many."""
    text = str(digits).zfill(decimals + 1)
    return f"{text[: len(text) - decimals]}.{text[len(text) - decimals :]}" if decimals else text


@st.composite
def tables(draw: st.DrawFn) -> Rates:
    base, *others = draw(st.permutations(CODES))
    rates: list[Rate] = []
    for code in draw(st.lists(st.sampled_from(others), max_size=3, unique=True)):
        days = sorted(draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)))
        for day, following in zip(days, [*days[1:], 20], strict=True):
            until = draw(st.none() | st.integers(day + 1, following))
            rates.append(Rate(code, draw(texts), on(day), None if until is None else on(until)))
    return Rates(base, rates)


def on(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).isoformat()


def oracle(rates: Rates, code: str, time: int, minor: int) -> int | None:
    """By fractions: the last rate that began, unless it has ended; the nearest whole number, a half
    to the even.
    """
    alphabetic = next(one for one in CODES if code in (one, money.NUMERIC[one]))
    if alphabetic == rates.base:
        return minor
    began = [rate for rate in rates.rates if rate.currency == alphabetic and rate.start <= time]
    if not began or (began[-1].until is not None and time >= began[-1].end):
        return None
    paid = Fraction(minor, 10 ** money.EXPONENT[code])
    return round(paid * Fraction(began[-1].rate) * Fraction(10) ** money.EXPONENT[rates.base])


payments = st.tuples(
    st.sampled_from([code for one in CODES for code in (one, money.NUMERIC[one])]),
    st.integers(0, 12).flatmap(
        lambda day: st.integers(-1, 1).map(lambda off: max(day * DAY + off, 0))
    ),
    st.integers(0, 10**6) | st.integers(0, MOST_MINOR) | st.sampled_from([0, 1, MOST_MINOR]),
)


@settings(max_examples=300)
@given(rates=tables(), paid=st.lists(payments, min_size=1, max_size=12))
@example(rates=Rates("CLF", [Rate("JPY", "9" * 18)]), paid=[("JPY", 0, MOST_MINOR)])
@example(rates=Rates("JPY", [Rate("CLF", "0.000000000000000001")]), paid=[("CLF", 0, MOST_MINOR)])
@example(rates=Rates("EUR", [Rate("USD", "0.5")]), paid=[("USD", 0, minor) for minor in range(6)])
def test_a_column_and_one_payment_equal_fractions(
    rates: Rates, paid: list[tuple[str, int, int]]
) -> None:
    converter = Converter(rates)
    expected = [oracle(rates, *one) for one in paid]
    assert [converter.minor(*one) for one in paid] == expected
    codes, times, minors = (list(column) for column in zip(*paid, strict=True))
    column, without = converter.column(
        pl.Series(codes),
        pl.Series(times).cast(pl.Datetime("us", "UTC")),
        pl.Series(minors, dtype=pl.Int64),
    )
    assert column.to_list() == expected
    assert without.to_list() == [minor is None for minor in expected]


def test_what_is_missing_stays_missing() -> None:
    codes, times = (
        pl.Series([None, "EUR", "EUR"], dtype=pl.String),
        pl.Series([0, None, 0]).cast(pl.Datetime("us", "UTC")),
    )
    column, without = Converter(Rates("EUR", [])).column(
        codes, times, pl.Series([1, 1, None], dtype=pl.Int64)
    )
    assert column.to_list() == [None, None, None]
    assert without.to_list() == [False, False, False]


# --- at the door ----------------------------------------------------------------------------------
RATES = Rates(
    "EUR", [Rate("JPY", "0.0065", "2023-01-01"), Rate("JPY", "0.00625", "2024-01-01", "2025-01-01")]
)
SCHEMA = Schema(
    id="id", time="at", amount="amount", currency="currency", rates=RATES, nominal=["currency"]
)


def table(*rows: tuple[str, str, float]) -> pl.DataFrame:
    """A raw log: when, in which currency, how much."""
    return pl.DataFrame(
        {
            "id": [f"p{number}" for number in range(len(rows))],
            "at": [at for at, _, _ in rows],
            "currency": [currency for _, currency, _ in rows],
            "amount": [amount for _, _, amount in rows],
        }
    )


def body(at: str, currency: str, amount: float) -> bytes:
    return f'{{"id": "p", "at": "{at}", "currency": "{currency}", "amount": {amount}}}'.encode()


def test_the_amount_is_in_the_base_and_what_was_paid_beside_it() -> None:
    cleaned = clean(
        table(("2023-06-01T00:00Z", "JPY", 1198), ("2024-06-01T00:00Z", "392", 1198)),
        SCHEMA,
        key=KEY,
    )
    assert cleaned.frame["amount"].to_list() == [779, 749]
    assert cleaned.frame["original_amount"].to_list() == [1198, 1198]
    assert list(cleaned.frame.columns) == list(SCHEMA.scales)
    payment = PaymentReader(SCHEMA, key=KEY).read(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0)
    assert (payment.minor, payment.units) == (749, 74_900)
    assert (payment.values["amount"], payment.values["original_amount"]) == (7.49, 1198.0)
    assert payment.rates == RATES.mark


def test_payments_are_counted_by_currency() -> None:
    at = "2024-06-01T00:00Z"
    cleaned = clean(
        table((at, "EUR", 1), (at, "392", 1), (at, "JPY", 2), (at, "978", 3), (at, "EUR", 4)),
        SCHEMA,
        key=KEY,
    )
    assert cleaned.currencies == {"EUR": 3, "JPY": 2}


@pytest.mark.parametrize(
    ("at", "currency"),
    [("2022-12-31T23:59:59Z", "JPY"), ("2025-01-01T00:00Z", "JPY"), ("2024-01-01T00:00Z", "USD")],
)
def test_without_a_rate_at_its_time_a_payment_is_unusable(at: str, currency: str) -> None:
    raw = table(("2024-01-01T00:00Z", "EUR", 5.0), (at, currency, 5))
    cleaned = clean(raw, SCHEMA, key=KEY, max_bad=0.5)
    reason = "currency: expected a currency that has an exchange rate at the time of the payment"
    assert (cleaned.dropped, cleaned.first) == ({reason: 1}, {reason: 2})
    with pytest.raises(TooManyBadRows, match="exchange rate"):
        clean(raw, SCHEMA, key=KEY)
    with pytest.raises(BadPayment, match=r"exchange rate .* at `\$.currency`") as refused:
        PaymentReader(SCHEMA, key=KEY).read(body(at, currency, 5), arrived=0)
    assert "JPY" not in str(refused.value)
    assert "USD" not in str(refused.value)


@pytest.mark.parametrize(
    ("rates", "currency", "amount", "minor"),
    [
        (Rates.constant("EUR", {"JPY": "0.5"}), "JPY", 19_999_999_999_999.0, 999_999_999_999_950),
        (Rates.constant("EUR", {"JPY": "0.5"}), "JPY", 20_000_000_000_000.0, None),
        (Rates.constant("JPY", {"EUR": "100"}), "EUR", 1_000_000_000_000.0, 10**14),
        (Rates.constant("JPY", {"EUR": "100"}), "EUR", 1_000_000_000_000.01, None),
    ],
)
def test_the_limit_of_amounts_holds_after_conversion(
    rates: Rates, currency: str, amount: float, minor: int | None
) -> None:
    schema = Schema(id="id", time="at", amount="amount", currency="currency", rates=rates)
    cleaned = clean(table(("2024-01-01T00:00Z", currency, amount)), schema, key=KEY, max_bad=1.0)
    assert cleaned.frame["amount"].to_list() == ([] if minor is None else [minor])
    reader = PaymentReader(schema, key=KEY)
    if minor is not None:
        assert reader.read(body("2024-01-01T00:00Z", currency, amount), arrived=0).minor == minor
        return
    assert cleaned.dropped == {
        f"amount: expected an amount of at most 15 digits in {rates.base}": 1
    }
    with pytest.raises(BadPayment, match=f"15 digits in {rates.base}"):
        reader.read(body("2024-01-01T00:00Z", currency, amount), arrived=0)


def test_other_rates_convert_from_then_on() -> None:
    reader = PaymentReader(SCHEMA, key=KEY)
    before = reader.read(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0)
    other = reader.converting(Converter(Rates.constant("EUR", {"JPY": "0.007"})))
    after = other.read(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0)
    assert (before.minor, after.minor) == (749, 839)
    assert reader.read(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0) == before
    assert before.rates != after.rates
    # what was sent stays what it was
    assert (
        as_sent(before, SCHEMA)
        == as_sent(after, SCHEMA)
        == reader.parse(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0)
    )


def test_a_payment_is_converted_once() -> None:
    reader = PaymentReader(SCHEMA, key=KEY)
    payment = reader.read(body("2024-06-01T00:00Z", "JPY", 1198), arrived=0)
    reader.complete(payment)
    assert payment.minor == 749


# --- one currency ---------------------------------------------------------------------------------
PLAIN = Schema(id="id", time="at", amount="amount", currency="currency")


@pytest.mark.parametrize("code", ["EUR", "978"])
def test_without_rates_a_reader_takes_the_one_currency_it_is_given(code: str) -> None:
    reader = PaymentReader(PLAIN, key=KEY, currency="EUR")
    assert reader.read(body("2024-01-01T00:00Z", code, 5), arrived=0).minor == 500


@pytest.mark.parametrize("code", ["JPY", "392", "36"])
def test_without_rates_another_currency_is_refused(code: str) -> None:
    reader = PaymentReader(PLAIN, key=KEY, currency="EUR")
    with pytest.raises(
        BadPayment, match=r"Expected a payment in EUR, .* got one in another - at `\$.currency`"
    ):
        reader.read(body("2024-01-01T00:00Z", code, 5), arrived=0)
    with pytest.raises(BadPayment, match="ISO 4217"):
        reader.read(body("2024-01-01T00:00Z", "XXX", 5), arrived=0)


# --- definitions ----------------------------------------------------------------------------------
def test_rates_need_a_column_of_currencies() -> None:
    with pytest.raises(ConfigurationError, match="currency="):
        Schema(id="id", time="at", amount="amount", rates=RATES)


@pytest.mark.parametrize("scale", ["keys", "numeric", "nominal", "ignored", "required"])
def test_the_name_of_what_was_paid_is_taken(scale: str) -> None:
    more: dict[str, Any] = {scale: ["original_amount"]}
    with pytest.raises(ConfigurationError, match="original_amount"):
        Schema(id="id", time="at", amount="amount", currency="currency", rates=RATES, **more)
