"""Card numbers told from other numbers: a column of them, and a single one."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable
from functools import partial
from time import process_time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect import PaymentReader, Schema, clean
from shroff.collect.card_columns import long_numbers, looks_like_card_numbers
from shroff.collect.cards import holds_card_number, is_card_number
from shroff.errors import BadFile, BadPayment

# numbers that the schemes and their processors publish for tests
PUBLISHED = [
    "4111111111111111",
    "4222222222222",
    "4917610000000000003",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "36227206271667",
    "6011111111111117",
    "3530111333300000",
    "6205500000000000004",
    "6759649826438453",
    "2200000000000053",
    "6082011111111113",
]
SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    numeric=["points"],
    nominal=["mcc"],
    personal=["name"],
    keys=["card_id"],
)
GOOD = {"id": "p1", "at": "2024-05-04T10:00:00Z", "amount": 5.0, "currency": "EUR", "card_id": "c1"}


def _luhn(digits: str) -> str:
    """The digit that makes a number valid (ISO/IEC 7812-1, annex B), the slow way."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def _cards(count: int, length: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [_luhn("".join(draw.choices("0123456789", k=length - 1))) for _ in range(count)]


def _apart(number: str, *, mark: str, size: int) -> str:
    return mark.join(number[at : at + size] for at in range(0, len(number), size))


def _in_script(number: str, *, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) for digit in number)


@pytest.mark.parametrize("length", range(13, 20))
@pytest.mark.parametrize("mark", ["", " ", "-"])
def test_card_numbers_of_every_length_and_print_are_found(length: int, mark: str) -> None:
    printed = [
        mark.join(number[at : at + 4] for at in range(0, length, 4))
        for number in _cards(30, length)
    ]
    assert looks_like_card_numbers(pl.Series(printed))


def test_a_few_card_numbers_among_other_texts_are_found() -> None:
    assert looks_like_card_numbers(pl.Series(_cards(25, 16) + ["paid at the till"] * 5_000))


@pytest.mark.parametrize("length", [12, 20])
def test_numbers_of_another_length_are_none(length: int) -> None:
    assert not looks_like_card_numbers(pl.Series(_cards(50, length)))


def test_random_numbers_are_none() -> None:
    draw = random.Random(1)
    assert not looks_like_card_numbers(
        pl.Series([str(draw.randrange(10**15, 10**16)) for _ in range(500)])
    )


def test_a_number_that_comes_often_is_one_number() -> None:
    assert not looks_like_card_numbers(pl.Series(_cards(1, 15) * 40 + ["x"] * 100))


@pytest.mark.parametrize(
    "values", [[], [None, None], ["", "abc"], ["20.30.30.40", "120.30.130.40"]]
)
def test_other_texts_are_none(values: list[str | None]) -> None:
    assert not looks_like_card_numbers(pl.Series(values, dtype=pl.String))


@pytest.mark.parametrize("number", PUBLISHED)
@pytest.mark.parametrize("mark", ["", " ", "-", "  "])
def test_a_single_card_number_is_known(number: str, mark: str) -> None:
    assert holds_card_number(mark.join(number[at : at + 4] for at in range(0, len(number), 4)))
    assert holds_card_number(f" {number} ")


@given(st.sampled_from(PUBLISHED), st.integers(0, 12), st.integers(1, 9))
def test_a_digit_that_was_mistyped_makes_it_none(number: str, place: int, more: int) -> None:
    digit = (int(number[place]) + more) % 10
    assert not holds_card_number(f"{number[:place]}{digit}{number[place + 1 :]}")


@given(st.text(max_size=30) | st.text(alphabet="0123456789 -", max_size=30))
def test_what_holds_one_has_the_digits_and_the_sum_of_one(text: str) -> None:
    digits = "".join(str(unicodedata.digit(one)) for one in text if one.isdigit())
    if holds_card_number(text):
        assert any(
            _luhn(digits[at : at + size - 1]) == digits[at : at + size]
            for size in range(13, 20)
            for at in range(len(digits) - size + 1)
        )


BETWEEN = {
    "a no-break space": "\u00a0",
    "a narrow no-break space": "\u202f",
    "an ideographic space": "\u3000",
    "a figure dash": "\u2012",
    "an en dash": "\u2013",
    "a non-breaking hyphen": "\u2011",
    "a minus sign": "\u2212",
    "a dot": ".",
    "a middle dot": "\u00b7",
    "a tab": "\t",
    "a line feed": "\n",
    "a slash": "/",
    "an underscore": "_",
    "a zero-width space": "\u200b",
    "a zero-width joiner": "\u200d",
    "a byte order mark": "\ufeff",
    "a soft hyphen": "\u00ad",
    "a direction": "\u202e",
    "a variation selector": "\ufe0f",
    "a filler": "\u3164",
    "a braille blank": "\u2800",
}
SCRIPTS = {
    "full-width": "０",
    "Arabic-Indic": "٠",
    "Persian": "۰",
    "Devanagari": "०",
    "mathematical": "𝟎",
}
DISGUISES: dict[str, Callable[[str], str]] = {
    **{f"{name} by fours": partial(_apart, mark=mark, size=4) for name, mark in BETWEEN.items()},
    **{f"{name} by ones": partial(_apart, mark=mark, size=1) for name, mark in BETWEEN.items()},
    **{name: partial(_in_script, zero=zero) for name, zero in SCRIPTS.items()},
    "several marks": lambda number: f"{number[:4]}/{number[4:8]}.{number[8:]}",
    "in brackets": lambda number: f"\u200b({number})",
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_card_number_is_known_whatever_stands_between_its_digits(disguise: str) -> None:
    made = [DISGUISES[disguise](number) for number in PUBLISHED]
    assert all(map(holds_card_number, made))
    assert all(holds_card_number(f"paid with {number}, twice") for number in made)
    assert looks_like_card_numbers(pl.Series(made + ["x"] * 5))
    # the first groups of a longer one may be another one
    mistyped = [str(int(number) + 1) for number in PUBLISHED if len(number) < 17]
    assert not any(map(holds_card_number, map(DISGUISES[disguise], mistyped)))


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_disguised_card_number_is_refused_live(disguise: str, escaped: bool) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    for field in ("id", "card_id", "mcc"):
        for number in PUBLISHED:
            body = json.dumps(
                GOOD | {field: DISGUISES[disguise](number)}, ensure_ascii=escaped
            ).encode()
            with pytest.raises(BadPayment, match=rf"card number .* at `\$.{field}`"):
                reader.read(body, arrived=0)


@pytest.mark.parametrize(
    "text",
    [
        "55.67612345678901",  # a latitude
        "55.6761234,12.5683456",
        "62.105.123.123:50211",
        "30/01/2024 12:34:56",
        "30-01-2024 12:34:56",
        "+4915112345678",
        "4.111.111.111.111,11",
        "4é111111111111111",
    ],
)
def test_what_has_as_many_digits_and_is_another_thing_is_none(text: str) -> None:
    # whatever its last digits are: one of ten makes the sum of a card number
    assert not any(holds_card_number(text[:-1] + digit) for digit in "0123456789")
    assert not looks_like_card_numbers(pl.Series([text[:-1] + digit for digit in "0123456789"]))


def test_few_honest_numbers_are_taken_for_one() -> None:
    draw = random.Random(5)
    taken = sum(holds_card_number(str(draw.randrange(10**15, 10**16))) for _ in range(20_000))
    assert taken < 20_000 / 25
    moments = range(1_700_000_000_000, 1_700_000_020_000)
    assert not any(holds_card_number(str(moment)) for moment in moments), "milliseconds since 1970"


@pytest.mark.parametrize("field", ["id", "card_id", "mcc"])
@pytest.mark.parametrize(
    "sent", ["4111111111111111", "4111 1111 1111 1111", 4111111111111111, 4111111111111111.0]
)
def test_a_live_card_number_is_refused_where_anybody_could_read_it(
    field: str, sent: object
) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    with pytest.raises(BadPayment, match=rf"card number .* at `\$.{field}`") as refused:
        reader.read(json.dumps(GOOD | {field: sent}).encode(), arrived=0)
    assert "4111" not in str(refused.value)
    kept = reader.read(json.dumps(GOOD | {"name": sent}).encode(), arrived=0)
    assert "4111" not in str(kept)


def test_a_column_of_long_numbers_is_known_by_its_values() -> None:
    draw = random.Random(3)
    numbers = [str(draw.randrange(10**15, 10**16)) for _ in range(2_000)]
    cards = [number for number in _cards(4_000, 16) if number[0] in "45"]
    table = pl.DataFrame(
        {
            "numbers": numbers,
            "printed": [f"{number[:8]}-{number[8:]}" for number in numbers],
            "some cards": numbers[:-200] + cards[:200],
            "few": numbers[:19] + ["x"] * 1_981,
            "texts": [f"c{number}" for number in numbers],
            "amount": range(2_000),
        }
    )
    assert long_numbers(table, table.columns) == ("numbers", "printed", "texts")


def test_a_column_of_long_numbers_may_have_any() -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32, numbers=["card_id"])
    body = json.dumps(GOOD | {"card_id": "4111111111111111"}).encode()
    assert reader.read(body, arrived=0).values["card_id"] == "4111111111111111"
    with pytest.raises(BadPayment):
        reader.read(json.dumps(GOOD | {"mcc": "4111111111111111"}).encode(), arrived=0)


AROUND = st.text("ab .,:;/()-\n", max_size=8)


@given(
    card=st.sampled_from(PUBLISHED),
    before=AROUND,
    after=AROUND,
    parts=st.booleans(),
    number=st.integers(0, 99),
)
def test_a_card_number_is_found_in_a_text(
    card: str, before: str, after: str, parts: bool, number: int
) -> None:
    printed = " ".join(card[at : at + 4] for at in range(0, len(card), 4)) if parts else card
    assert holds_card_number(f"{before}{printed}{after}")
    assert holds_card_number(f"{number} {printed}"), "behind another number"
    assert not holds_card_number(f"1{card}2{card}"), "within a longer number"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "order 4111 1111 1111 1111 paid",
        "order4111111111111111",
        "c4111111111111111",
        "card: 3782-822463-10005.",
        "4111\u00a01111\u20111111\u00a01111 paid",
        "c=４１１１１１１１１１１１１１１１",
    ],
)
@pytest.mark.parametrize("field", ["id", "card_id", "mcc"])
def test_a_card_number_among_words_is_refused_live(field: str, text: str) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    for escaped in (True, False):
        body = json.dumps(GOOD | {field: text}, ensure_ascii=escaped).encode()
        with pytest.raises(BadPayment, match=rf"card number .* at `\$.{field}`") as refused:
            reader.read(body, arrived=0)
        assert "4111" not in str(refused.value)
    assert reader.read(json.dumps(GOOD | {"name": text}).encode(), arrived=0)


@pytest.mark.parametrize(
    "text",
    [
        "4111a111-1111-4111-8111-111111111111",
        "c0ffee4111111111111111c0ffee4111",
        "507f4111111111111111ab99",
        "call +4111111111111 twice",
        "0.4111111111111111 of it",
        "0049 151 12345678, 49 151 12345678",
        "1700000000000000 and 20240101123456789",
        "DE89370400440532013000",
        "at 2024-01-01 12:34:56.789012",
        "5123 60 78 9012 3456",
    ],
)
def test_what_stands_among_words_and_is_another_thing_is_none(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize("number", PUBLISHED)
def test_a_card_number_as_a_number_is_refused_live(number: str) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    for sent in (
        number,
        f"{number}.0",
        f"-{number}",
        f"{number[0]}.{number[1:]}e{len(number) - 1}",
    ):
        body = json.dumps(GOOD | {"points": 0}).replace('"points": 0', f'"points": {sent}')
        with pytest.raises(BadPayment, match=r"card number .* at `\$.points`"):
            reader.read(body.encode(), arrived=0)
    kept = PaymentReader(SCHEMA, key=b"k" * 32, numbers=["points"])
    assert kept.read(body.encode(), arrived=0).values["points"] == float(number)


@pytest.mark.parametrize(
    "number", [0.5, 1e12, 1_700_000_000_000, 4_000_000_000_000, 4111111111111112, 4e300, -7e15]
)
def test_other_numbers_are_none(number: float) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    read = reader.read(json.dumps(GOOD | {"points": number}).encode(), arrived=0)
    assert read.values["points"] == number
    assert type(read.values["points"]) is float


@given(st.floats(allow_nan=False) | st.integers(10**12, 10**19).map(float))
def test_a_number_is_one_where_its_digits_are(number: float) -> None:
    digits = str(int(abs(number))) if number % 1 == 0 else ""
    if abs(number) < 2**53:
        assert is_card_number(number) == (len(digits) > 12 and holds_card_number(digits))


def _log(rows: int, **columns: object) -> pl.DataFrame:
    return pl.DataFrame(
        {name: [value] * rows for name, value in (GOOD | {"points": 1, "mcc": "x"}).items()}
        | {"id": [f"p{at}" for at in range(rows)], "name": [None] * rows}
    ).with_columns(**columns)  # type: ignore[arg-type]  # expressions


def test_rows_of_a_log_with_a_card_number_are_dropped_and_counted() -> None:
    here = pl.int_range(pl.len()) == 7
    for column in (
        pl.when(here).then(pl.lit("pay 4111 1111 1111 1111")).otherwise("mcc").alias("mcc"),
        pl.when(here).then(4111111111111111).otherwise(pl.col("points")).alias("points"),
        pl.when(here).then(pl.lit("5555555555554444")).otherwise("points").alias("points"),
    ):
        raw = _log(200).with_columns(column)
        cleaned = clean(raw, SCHEMA, key=b"k" * 32)
        (reason,) = cleaned.dropped
        assert reason.startswith(
            f"{column.meta.output_name()}: expected no card number in the open"
        )
        assert (len(cleaned.frame), cleaned.first[reason]) == (199, 8)


def test_a_log_whose_column_holds_card_numbers_is_refused() -> None:
    cards = [number for number in _cards(900, 16) if number[0] in "45"]
    words = pl.Series("mcc", [f"pay {number}" for number in cards])
    for column in (words, pl.Series("points", cards), pl.Series("points", map(int, cards))):
        with pytest.raises(BadFile, match=f"values of column `{column.name}` look like card"):
            clean(_log(len(cards)).with_columns(column), SCHEMA, key=b"k" * 32)


def test_a_log_of_other_long_numbers_loses_no_row_and_is_read_so_live() -> None:
    draw = random.Random(9)
    numbers = [draw.randrange(10**15, 10**16) for _ in range(1_000)]
    for column in (
        pl.Series("mcc", [f"ORD-{number}" for number in numbers]),
        pl.Series("mcc", [f"{str(number)[:4]} {number}" for number in numbers]),
        pl.Series("points", map(str, numbers)),
        pl.Series("points", numbers),
    ):
        cleaned = clean(_log(1_000).with_columns(column), SCHEMA, key=b"k" * 32)
        assert len(cleaned.frame) == 1_000
        assert long_numbers(cleaned.frame, ["mcc", "points"]) == (column.name,)
    few = _log(20).with_columns(pl.Series("mcc", map(str, numbers[:20])))
    assert len(clean(few, SCHEMA, key=b"k" * 32, max_bad=0.2).frame) >= 17


WORST = (
    "4" * 1_000,
    "4 " * 500,
    "8 " * 500,
    "4   " * 250,
    "4 1-" * 250,
    " " * 1_000,
    "4" + " " * 999,
    "4111 " * 200,
    "٤ " * 500,
    "a4 8 " * 200,
    "0000 0000 0000 4" * 60,
)


@pytest.mark.parametrize("text", WORST, ids=lambda text: text[:6])
def test_no_text_takes_long(text: str) -> None:
    began = process_time()
    for _ in range(10):
        holds_card_number(text)
    assert process_time() - began < 0.2


def test_the_time_grows_with_the_text() -> None:
    def took(text: str) -> float:
        began = process_time()
        holds_card_number(text)
        return process_time() - began

    for text in WORST:
        short, long = (min(took(text * times) for _ in range(3)) for times in (20, 80))
        assert long < 8 * short + 0.01


@pytest.mark.parametrize("field", ["id", "card_id", "mcc"])
@pytest.mark.parametrize("filling", ["4", "4 ", "8-", "4111 ", "٤ "])
def test_a_payment_of_a_megabyte_is_refused_for_its_length_before_it_is_searched(
    field: str, filling: str
) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    body = json.dumps(GOOD | {field: filling * (2**19 // len(filling))}).encode()
    began = process_time()
    with pytest.raises(BadPayment, match="a text of more than 1,000 characters"):
        reader.read(body, arrived=0)
    assert process_time() - began < 0.2
