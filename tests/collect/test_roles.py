"""Guesses of what columns are: right on logs of several makers, told by role, never by a value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect.roles import ROLES, guess
from shroff.errors import DataError, UnknownColumn
from shroff.simulate import simulate

START = datetime(2024, 1, 1)


def log(rows: int = 400, **columns: object) -> pl.DataFrame:
    """A small log with an id, a time and an amount, and these columns."""
    made = {
        "payment_id": [f"p{number}" for number in range(rows)],
        "created": [f"{START + timedelta(minutes=number)}Z" for number in range(rows)],
        "amount": [f"{number % 97}.50" for number in range(rows)],
    }
    return pl.DataFrame({**made, **columns})


def roles(table: pl.DataFrame) -> dict[str, str]:
    return {one.column: one.role for one in guess(table).guesses}


def test_the_simulators_log() -> None:
    found = guess(simulate(4_000, days=20, seed=1))
    assert {one.column: one.role for one in found.guesses} == {
        "transaction_id": "id",
        "created_at": "time",
        "amount": "amount",
        "currency": "currency",
        "card_id": "keys",
        "account_id": "keys",
        "merchant_id": "keys",
        "host_id": "keys",
        "mcc": "nominal",
        "request_country": "nominal",
        "account_country": "nominal",
        "cardholder_name": "personal",
        "account_name": "personal",
        "email": "personal",
        "phone": "personal",
        "result": "result",
        "result_at": "result_at",
        "is_fraud": "label",
        "labelled_at": "labelled_at",
        "fraud_pattern": "ignored",
    }
    assert found.entities[:3] == ("card_id", "account_id", "merchant_id")


def test_a_log_of_mobile_money() -> None:
    rows = 400
    table = pl.DataFrame(
        {
            "": range(rows),
            "txn": [f"T{number}" for number in range(rows)],
            "step": [str(START + timedelta(minutes=number)) for number in range(rows)],
            "type": [("PAYMENT", "CASH_OUT")[number % 2] for number in range(rows)],
            "amount": [1.0 + number % 7 for number in range(rows)],
            "nameOrig": [f"C{number % 40}" for number in range(rows)],
            "oldbalanceOrg": [number * 37 % 101 + 0.5 for number in range(rows)],
            "isFraud": [int(number % 50 == 0) for number in range(rows)],
            "isFlaggedFraud": [int(number % 100 == 0) for number in range(rows)],
            "nothing": [None] * rows,
            "always": ["x"] * rows,
        }
    )
    found = guess(table)
    assert found.timezone == "UTC"
    assert found.entities == ("nameOrig",)
    assert roles(table) == {
        "": "ignored",
        "txn": "id",
        "step": "time",
        "type": "nominal",
        "amount": "amount",
        "nameOrig": "personal",
        "oldbalanceOrg": "numeric",
        "isFraud": "label",
        "isFlaggedFraud": "ignored",
        "nothing": "ignored",
        "always": "ignored",
    }


def test_card_numbers_are_personal_whatever_their_name() -> None:
    cards = ["4111111111111111", "5500000000000004", "340000000000009", "6011000000000004"]
    table = log(cc=[cards[number % 4] for number in range(400)])
    assert roles(table)["cc"] == "personal"
    assert guess(table).entities == ("cc",)


def test_typed_columns_and_counted_times() -> None:
    rows = 300
    moments = [START.replace(tzinfo=UTC) + timedelta(hours=number) for number in range(rows)]
    table = pl.DataFrame(
        {
            "id": range(1_000, 1_000 + rows),
            "at": moments,
            "value": [Decimal("1.25")] * rows,
            "fraud": [number % 9 == 0 for number in range(rows)],
        }
    )
    assert roles(table) == {"id": "id", "at": "time", "value": "amount", "fraud": "label"}
    counted = table.with_columns(pl.col("at").dt.epoch("ms"))
    found = guess(counted)
    assert found.epoch == "ms"
    assert {one.column: one.role for one in found.guesses}["at"] == "time"


def test_a_few_broken_rows_hide_no_role() -> None:
    table = log(ccy=["EUR", "DKK"] * 200).with_row_index("row")
    broken = table.with_columns(
        pl.when(pl.col("row") == 7).then(pl.lit("XXL")).otherwise("ccy").alias("ccy"),
        pl.when(pl.col("row") != 8).then("created").alias("created"),
        pl.when(pl.col("row") == 9).then(pl.lit("p1")).otherwise("payment_id").alias("payment_id"),
    ).drop("row")
    found = guess(broken)
    assert (found.of("id"), found.of("time")) == (["payment_id"], ["created"])
    assert (found.of("currency"), found.mixed) == (["ccy"], True), "amounts must not be mixed"


@pytest.mark.parametrize("bad", ["0", "N/A", "12.5", "soon", None])
def test_a_few_bad_times_do_not_hide_the_time_of_payments(bad: str | None) -> None:
    """One `0` among counted times made them an input, and the gateway's the time of payments."""
    rows, start = range(400), 1_700_000_000_000
    table = log().with_columns(
        pl.Series("created", [bad if n in (7, 9) else str(start + n * 1_000) for n in rows]),
        pl.Series("gateway_time", [str(start + n * 1_000 + n % 7) for n in rows]),
        pl.Series("transaction_number", [str(start + n * 31 % 400) for n in rows]),
    )
    found = guess(
        table.select(reversed(table.columns)).select(
            "payment_id", "created", pl.all().exclude("payment_id", "created")
        )
    )
    said = {one.column: one for one in found.guesses}
    assert (said["created"].role, found.epoch) == ("time", "ms")
    assert said["created"].why == "counted times; 2 of 400 cannot be read"
    assert said["gateway_time"].role == "ignored", "a further time is no input"
    written = table.with_columns(
        pl.when(pl.int_range(400).is_in([7, 9]))
        .then(pl.lit(bad))
        .otherwise(log()["created"])
        .alias("created")
    )
    (time,) = [one for one in guess(written).guesses if one.role == "time"]
    assert time == ("created", "time", "times, and its name; 2 of 400 cannot be read")
    many = table.with_columns(
        pl.when(pl.int_range(400) < 5).then(pl.lit("0")).otherwise("created").alias("created")
    )
    assert guess(many).of("time") == ["gateway_time"]
    named = {one.column: one.why for one in guess(table, {"time": "created"}).guesses}
    assert named["created"] == "as you said; 2 of 400 cannot be read"


def test_numeric_codes_of_currencies_are_told_by_the_name_of_the_column() -> None:
    found = guess(log(Währung=[978, 208] * 200, code=[978, 208] * 200))
    assert (found.of("currency"), found.mixed) == (["Währung"], True)


def test_amounts_with_a_decimal_comma() -> None:
    table = log().with_columns(pl.lit("1.234,56").alias("amount"))
    assert guess(table).number_format == "1.234,56"


@pytest.mark.parametrize(
    ("without", "wanted"), [("payment_id", "--id"), ("created", "--time"), ("amount", "--amount")]
)
def test_a_log_that_lacks_what_every_payment_has_is_refused(without: str, wanted: str) -> None:
    with pytest.raises(DataError, match=rf"^expected a column of .* or name one with {wanted}\.$"):
        guess(log(label=[0, 1] * 200).drop(without))


def test_a_column_that_was_named_is_taken() -> None:
    table = log(other=[f"o{number}" for number in range(400)])
    assert guess(table, {"id": "other", "label": None}).of("id") == ["other"]
    with pytest.raises(UnknownColumn, match="--label: unknown column `othr`"):
        guess(table, {"label": "othr"})
    with pytest.raises(DataError, match="expected rows to guess from, got none"):
        guess(table.clear())


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COLUMNS = st.lists(
    st.lists(st.none() | TEXTS, min_size=30, max_size=30)
    | st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=30, max_size=30)
    | st.lists(st.none() | st.floats(), min_size=30, max_size=30)
    | st.lists(st.none() | st.datetimes(), min_size=30, max_size=30),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(COLUMNS, st.lists(TEXTS.filter(bool), min_size=4, max_size=4, unique=True))
def test_every_column_gets_one_role_and_no_reason_holds_a_value(
    columns: list[list[object]], names: list[str]
) -> None:
    made = dict(zip(names, columns, strict=False))
    table = log(30).with_columns(
        pl.Series(f"{name}_", values, strict=False) for name, values in made.items()
    )
    found = guess(table)
    assert [one.column for one in found.guesses] == table.columns
    assert {one.role for one in found.guesses} <= set(ROLES)
    assert all(one.why.isascii() and "\n" not in one.why for one in found.guesses)


def test_a_time_that_is_named_after_the_authorisation() -> None:
    table = log().rename({"created": "authorised_ts"})
    settled = table.with_columns(pl.col("authorised_ts").alias("settled_at"))
    assert guess(settled).of("time") == ["authorised_ts"]
    both = table.with_columns(pl.col("authorised_ts").alias("created"))
    assert guess(both).of("time") == ["created"], "the payment's own time first"


def test_digits_with_leading_zeros_are_names() -> None:
    rows = range(400)
    table = log(
        tds_status=["YAN"[n % 3] for n in rows],
        auth_response=[("00", "05", "51", "54")[n % 4] for n in rows],
        bin=[f"0{n % 9}" for n in rows],
        score=[str(n % 9) for n in rows],
    )
    found = roles(table)
    assert (found["auth_response"], found["tds_status"]) == ("result", "nominal")
    assert (found["bin"], found["score"]) == ("nominal", "numeric")


def test_who_pays_comes_before_who_is_paid() -> None:
    rows = range(400)
    shops = log(merchant_no=[f"m{n % 40}" for n in rows], device=[f"d{n % 90}" for n in rows])
    assert guess(shops).entities == ("merchant_no", "device")
    payers = shops.with_columns(pl.Series("customer_id", [f"c{n % 80}" for n in rows]))
    assert guess(payers).entities == ("customer_id", "merchant_no", "device")
    cards = payers.with_columns(pl.Series("pan_token", [f"t{n % 90}" for n in rows]))
    assert guess(cards).entities == ("pan_token", "merchant_no", "device", "customer_id")
    for name in ("cc_num", "Kort-nr", "acct", "Konto"):
        named = payers.rename({"customer_id": name})
        assert guess(named).entities == (name, "merchant_no", "device"), name


def test_names_and_numbers_of_other_languages() -> None:
    rows = range(400)
    table = log().rename({"amount": "Betrag (EUR)", "created": "Buchungsdatum"})
    table = table.with_columns(
        pl.Series("Betrag (EUR)", [f"1.{n:03},50" for n in rows]),
        pl.Series("Betrug", [("ja", "nein")[n % 9 > 0] for n in rows]),
        pl.Series("Händler", [f"Bäckerei {n % 220}" for n in rows]),
        pl.Series("Карта", [f"к{n % 250}" for n in rows]),
    )
    found = guess(table)
    assert (found.of("amount"), found.number_format) == (["Betrag (EUR)"], "1.234,56")
    assert found.of("time") == ["Buchungsdatum"]
    assert found.of("ignored") == ["Betrug"], "a label in words that nobody reads is no input"
    flags = table.with_columns(pl.col("Betrug").replace_strict({"ja": 1, "nein": 0}))
    assert guess(flags).of("label") == ["Betrug"]


def test_a_marketplace_that_names_its_columns_in_danish() -> None:
    """An age in days was the key, the subject and the card; the outcome was learned from."""
    rows = range(400)
    table = log().with_columns(
        pl.Series("Ordre nr.", [None if n == 7 else f"MP-{n - (n == 9)}" for n in rows]),
        pl.Series("Køber", [f"k{n % 90}" for n in rows]),
        pl.Series("Sælger", [f"Café {n % 40}" for n in rows]),
        pl.Series("Konto alder (dage)", [n % 250 for n in rows]),
        pl.Series("Udfald", [("betalt", "afvist")[n % 9 == 0] for n in rows]),
    )
    found = guess(table.drop("payment_id"))
    assert found.of("id") == ["Ordre nr."]
    assert found.of("numeric") == ["Konto alder (dage)"]
    assert found.of("result") == ["Udfald"]
    assert found.entities == ("Køber", "Sælger")
    german = log().with_columns(
        pl.Series("Konto-Alter", [n % 250 for n in rows]),
        pl.Series("Kunden-Nr.", [n % 90 for n in rows]),
    )
    assert guess(german).entities == ("Kunden-Nr.",)


def test_what_describes_a_host_or_an_address_is_no_person() -> None:
    few = [("DE", "FR", None)[number % 3] for number in range(400)]
    many = [f"10.0.{number % 90}.7" for number in range(400)]
    found = roles(log(IP_Land=few, ip=many, email_domain=few, phone_type=few, first_name=few))
    assert [found[name] for name in ("IP_Land", "email_domain", "phone_type")] == ["nominal"] * 3
    assert [found[name] for name in ("ip", "first_name")] == ["personal"] * 2
    data = [f"+43 660 {number % 90:07d}" for number in range(400)]
    found = roles(log(home_country_phone=data, land_line_phone=data, contact_type_email=data))
    assert list(found.values()).count("personal") == 3


def test_outcomes_are_told_by_their_words_whatever_their_column_is_called() -> None:
    answers = [("Approved", "declined", "Accepté")[number % 3] for number in range(400)]
    others = [("ok", "declined", "failed")[number % 3] for number in range(400)]
    found = roles(log(Antwort=answers, three_ds=others))
    assert (found["Antwort"], found["three_ds"]) == ("result", "nominal")
    assert roles(log(status=others, Antwort=answers))["status"] == "result"


def test_dates_of_a_country_are_told_as_what_they_are() -> None:
    table = log().with_columns(
        pl.Series(
            "created", [f"{n % 28 + 1:02}.04.2024 10:{n % 60:02}:{n // 60:02}" for n in range(400)]
        )
    )
    with pytest.raises(DataError, match=r"Dates such as `05\.04\.2024`, as `created` has them"):
        guess(table)


def test_the_arrival_of_a_chargeback_is_that_of_the_label_and_never_of_the_payment() -> None:
    rows = range(400)
    disputed = [f"{START + timedelta(days=9)}Z" if n % 40 == 0 else None for n in rows]
    flags = pl.Series("CB?", [str(int(n % 40 == 0)) for n in rows])
    table = log().with_columns(flags, pl.Series("CB arrived", disputed))
    assert roles(table)["CB arrived"] == "ignored", "39 of 40 payments would have no arrival"
    said = {one.column: one.role for one in guess(table, {"label": "CB?"}).guesses}
    assert said["CB arrived"] == "labelled_at"
    for name in ("received_at", "RCVD_TS"):
        received = log().with_columns(pl.col("created").alias(name))
        assert roles(received)[name] == "arrived_at"
    counted = log(
        created=[1_700_000_000_000 + n * 60_000 for n in rows],
        fraud=[n % 40 == 0 for n in rows],
        fraud_ts=[1_702_000_000_000 + n * 60_000 if n % 40 == 0 else None for n in rows],
    )
    assert roles(counted)["fraud_ts"] == "labelled_at"


def test_codes_are_names_and_quantities_numbers_whoever_they_are_of() -> None:
    rows = range(2_400)
    found = roles(
        log(
            2_400,
            BIN=[400_000 + n % 31 for n in rows],
            mcc=[3_000 + n % 700 for n in rows],
            issuer_bin=[40_000 + n % 1_200 for n in rows],
            customer_age_days=[n % 900 for n in rows],
            client_os=[("ios", "android", "web")[n % 3] for n in rows],
            client_id=[f"c{n % 90}" for n in rows],
        )
    )
    assert [found[name] for name in ("BIN", "mcc", "client_os")] == ["nominal"] * 3
    assert [found[name] for name in ("issuer_bin", "client_id")] == ["keys"] * 2
    assert found["customer_age_days"] == "numeric"


def test_nested_columns_are_named_where_a_payment_has_no_id() -> None:
    table = pl.DataFrame({"order": [{"no": f"a{n}", "gross": 9.5} for n in range(9)]})
    table = table.with_columns(at=pl.lit("2024-05-04T10:00Z"))
    with pytest.raises(DataError, match=r"`order` has fields within: flatten it"):
        guess(table)
    beside = log(items=[[1, 2]] * 400)
    assert "flatten" in next(one.why for one in guess(beside).guesses if one.column == "items")


def test_a_column_that_would_be_the_id_but_for_a_repeated_row_is_named() -> None:
    table = log().rename({"payment_id": "Vorgang"})
    with pytest.raises(DataError, match="nearly each row: if it names payments, say --id Vorgang;"):
        guess(pl.concat([table, table.tail(1)]))
