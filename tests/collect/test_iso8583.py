"""Card messages as payments: what was written is read, and what is unfit is one sentence."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import iso8583
import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iso8583.specs import default

from collect.messages import CARD_SCHEMA, CARDS, card_elements, card_message, log_of
from collect.sources import through
from shroff import Schema
from shroff.collect import Iso8583, read
from shroff.collect.addresses import remote_table
from shroff.collect.mappings import Bitmap
from shroff.collect.money import EXPONENT, NUMERIC
from shroff.errors import BadFile, ConfigurationError
from shroff.location import Location

CARD = "4111111111111111"
FIT = card_message(card_elements())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of SHROFF_HOME for each test."""
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))


def where(tmp_path: Path, log: bytes, since: str = "?since=2024-01-01") -> str:
    """The location of a file with these bytes."""
    (tmp_path / "cards.bin").write_bytes(log)
    return f"iso8583:{tmp_path / 'cards.bin'}{since}"


def with_mapping(**changes: Any) -> Schema:
    """The schema, its mapping changed."""
    return msgspec.structs.replace(
        CARD_SCHEMA, messages=[msgspec.structs.replace(CARDS, **changes)]
    )


def refusal(tmp_path: Path, log: bytes, schema: Schema = CARD_SCHEMA, **words: str) -> str:
    """The sentence that such a file is refused with, which repeats nothing of it."""
    with pytest.raises(BadFile) as refused:
        read(where(tmp_path, log, **words), schema=schema)
    sentence = str(refused.value)
    assert re.match(rf"(iso8583:)?{re.escape(f'{tmp_path}')}/cards\.bin(\?since=\S+)?: ", sentence)
    assert sentence.endswith(".")
    for payload in (CARD, "13669", "TERM0001", "MERCHANT"):
        assert payload not in sentence
    return re.split(r"cards\.bin(?:\?since=\S+)?: ", sentence)[1]


# --- what is read ---------------------------------------------------------------------------------
@pytest.mark.parametrize("bitmap", ["binary", "ascii"])
def test_a_message_is_a_payment(tmp_path: Path, bitmap: Bitmap) -> None:
    log = log_of([card_message(card_elements(), bitmap=bitmap)])
    assert read(where(tmp_path, log), schema=with_mapping(bitmap=bitmap)).to_dicts() == [
        {
            "id": "000000000001-TERM0001",
            "at": "2024-05-04T10:00:00Z",
            "amount": pl.Series(["136.69"]).cast(pl.Decimal(38, 4))[0],
            "currency": "978",
            "card_id": CARD,
            "mcc": "5411",
            "merchant_id": "MERCHANT0000001",
        }
    ]


def test_the_clean_table_has_minor_units_and_no_card_number_is_stored(tmp_path: Path) -> None:
    log = log_of([card_message(card_elements()), card_message(card_elements(e37="0" * 11 + "2"))])
    clean = through(where(tmp_path, log), CARD_SCHEMA)
    assert clean["amount"].to_list() == [13669, 13669]
    assert clean["currency"].to_list() == ["EUR", "EUR"]
    assert clean["card_id"].n_unique() == 1
    clean.write_parquet(tmp_path / "clean.parquet", compression="uncompressed")
    assert CARD.encode() not in (tmp_path / "clean.parquet").read_bytes()
    assert not list((tmp_path / "home").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("prefix", "length"),
    [
        ("2 bytes", len(FIT).to_bytes(2)),
        ("4 bytes", len(FIT).to_bytes(4)),
        ("4 digits", f"{len(FIT):04}".encode()),
        ("none", b""),
    ],
)
def test_a_message_comes_behind_its_length_or_alone(
    tmp_path: Path, prefix: str, length: bytes
) -> None:
    log = (length + FIT) * (1 if prefix == "none" else 3)
    table = read(where(tmp_path, log), schema=with_mapping(prefix=prefix))
    assert len(table) == (1 if prefix == "none" else 3)


def test_a_folder_has_a_message_in_each_file(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        elements = card_elements(e37=f"{number:012}")
        (tmp_path / f"{number}.msg").write_bytes(card_message(elements))
    table = read(f"iso8583:{tmp_path}?since=2024-01-01", schema=with_mapping(prefix="none"))
    assert [one[11] for one in table["id"]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("columns", "elements", "since", "time"),
    [
        ({"at": "7"}, {"e7": "0103080910"}, "2024-12-30", "2025-01-03T08:09:10Z"),
        ({"at": "7"}, {"e7": "1231235959"}, "2024-12-30", "2024-12-31T23:59:59Z"),
        ({"at": "7"}, {"e7": "0229000000"}, "2023-12-30", "2024-02-29T00:00:00Z"),
        ({"at": "13+12"}, {"e12": "080910", "e13": "0103"}, "2024-12-30", "2025-01-03T08:09:10"),
    ],
)
def test_a_time_is_the_first_since_the_day_of_the_file(
    tmp_path: Path, columns: dict[str, str], elements: dict[str, str], since: str, time: str
) -> None:
    log = log_of([card_message(card_elements(**elements))])
    schema = with_mapping(columns=dict(CARDS.columns) | columns)
    assert read(where(tmp_path, log, f"?since={since}"), schema=schema)["at"].to_list() == [time]


@pytest.mark.parametrize(("size", "digits"), [(12, "240103080910"), (14, "20240103080910")])
def test_the_versions_of_1993_and_2003_write_the_year(
    tmp_path: Path, size: int, digits: str
) -> None:
    columns = dict(CARDS.columns) | {"at": "12"}
    schema = with_mapping(columns=columns, elements={"12": {"max_len": size}})
    short = card_message(card_elements(e12="000000"))
    log = log_of([short.replace(b"0000005411", f"{digits}5411".encode())])
    found = read(where(tmp_path, log, ""), schema=schema)
    assert found["at"].to_list() == ["2024-01-03T08:09:10"]


def test_a_dialect_may_have_a_header_and_packed_digits(tmp_path: Path) -> None:
    dialect: dict[str, dict[str, Any]] = {
        "h": {"data_enc": "b", "max_len": 5},
        "2": {
            "data_enc": "b",
            "len_enc": "bcd",
            "len_type": 1,
            "len_count": "nibbles",
            "left_pad": "0",
        },
        "4": {"data_enc": "b", "max_len": 6},
        "42": {"data_enc": "cp500"},
    }
    spec = {number: known | dialect.get(number, {}) for number, known in default.items()}
    message, _ = iso8583.encode({"h": "6000000000", "t": "0100"} | card_elements(), spec)
    schema = with_mapping(elements=dialect)
    table = read(where(tmp_path, log_of([bytes(message)])), schema=schema)
    assert table.select("card_id", "merchant_id").row(0) == (CARD, "MERCHANT0000001")
    assert str(table["amount"][0]) == "136.6900"


@st.composite
def payments(draw: st.DrawFn) -> dict[str, str]:
    """Data elements whose amount is in any currency."""
    digits, time = st.text("0123456789", min_size=4, max_size=4), st.datetimes()
    return card_elements(
        e2=draw(st.text("0123456789", min_size=12, max_size=19)),
        e4=f"{draw(st.integers(0, 10**12 - 1)):012}",
        e7=draw(time).strftime("%m%d%H%M%S"),
        e18=draw(digits),
        e49=draw(st.sampled_from(sorted(NUMERIC.values()))),
        e42=draw(st.text("ABC xyz", min_size=1, max_size=15).filter(str.strip)).ljust(15),
    )


@given(st.lists(payments(), min_size=1, max_size=5), st.sampled_from(["binary", "ascii"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_that_was_written_is_the_row_that_is_read(
    tmp_path: Path, written: list[dict[str, str]], bitmap: Bitmap
) -> None:
    log = log_of([card_message(one, bitmap=bitmap) for one in written])
    # of a leap year every day is one of the next
    location = where(tmp_path, log, "?since=2024-01-01")
    table = read(location, schema=with_mapping(bitmap=bitmap))
    for row, found in zip(written, table.iter_rows(named=True), strict=True):
        assert found["amount"] * 10 ** EXPONENT[row["49"]] == int(row["4"])
        assert re.sub("[^0-9]", "", found["at"][5:]) == row["7"]
        assert (found["card_id"], found["mcc"]) == (row["2"], row["18"])
        assert found["merchant_id"] == row["42"].strip()


# --- what is left out -----------------------------------------------------------------------------
def test_messages_of_other_types_are_left_out_and_counted_whatever_is_in_them(
    tmp_path: Path,
) -> None:
    other = card_message({"7": "0504100000", "11": "000001", "70": "301"}, kind="0800")
    broken = card_message(card_elements(), kind="0110")[:-3]
    log = log_of([other, FIT, broken, other])
    mapping = dict(CARDS.columns) | {"place": "43"}
    schema = with_mapping(columns=mapping)
    location = where(tmp_path, log)
    *_, last = remote_table(Location.of(location), schema).chunks(None, key=None, after=None)
    assert len(last.rows) == 1
    wanted = f"{location}: expected a message of type 0100 or 0200 or 1100 or 1200"
    assert last.findings.left_out == {
        f"{wanted} (Iso8583(types=…)), got `0800`": 2,
        f"{wanted} (Iso8583(types=…)), got `0110`": 1,
    }
    assert last.findings.notices == [
        "data element 43 (column `place`) is in 0 of 1 messages.",
    ]


# --- what is refused ------------------------------------------------------------------------------
UNFIT = {
    "a message that is cut off": (
        log_of([FIT, FIT])[:-1],
        f"message 2: expected {len(FIT)} bytes, as its length says, got a file that is cut off "
        f"after {len(FIT) - 1}.",
    ),
    "half a length": (log_of([FIT]) + b"\0", "message 2: expected 2 bytes of its length, got a"),
    "an element beyond the data": (
        log_of([FIT[:4] + bytes([*FIT[4:11], FIT[11] | 1]) + FIT[12:]]),
        "message 1: expected a message in the declared dialect, got an unfit data element 64 "
        "(Field data is 0 bytes, expecting 8).",
    ),
    "bytes behind the last element": (
        log_of([FIT + b"4111111111111111"]),
        "got an unfit data element 49 (Extra data after last field).",
    ),
    "a missing element": (
        log_of([card_message({k: v for k, v in card_elements().items() if k != "41"})]),
        "message 1: expected data elements 37 and 41 (column `id`), found none.",
    ),
    "no amount": (
        log_of([card_message(card_elements(e4="00000001366X"))]),
        "expected an amount of at most 18 digits in data element 4, got none.",
    ),
    "an unknown currency": (
        log_of([card_message(card_elements(e49="000"))]),
        "expected a currency of ISO 4217 in data element 49, got another text.",
    ),
    "no time": (
        log_of([card_message(card_elements(e7="1332100000"))]),
        "expected a time in data element 7, got none.",
    ),
    "only another type": (
        log_of([card_message(card_elements(), kind="0800")]),
        "expected a message of type 0100 or 0200 or 1100 or 1200 (Iso8583(types=…)), got `0800`.",
    ),
    "no message": (
        b"\0\0",
        "message 1: expected a message in the declared dialect, got an unfit type",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    log, sentence = UNFIT[case]
    assert sentence in refusal(tmp_path, log)


def test_a_time_without_a_year_needs_the_day_of_the_file(tmp_path: Path) -> None:
    assert "data element 7 names no year: expected the first day" in refusal(
        tmp_path, log_of([FIT]), since=""
    )
    with pytest.raises(ConfigurationError, match="expected the first day of the messages"):
        read(where(tmp_path, log_of([FIT]), "?since=May"), schema=CARD_SCHEMA)


@pytest.mark.parametrize("bitmap", ["binary", "ascii"])
def test_a_file_or_a_message_cut_off_at_any_byte_is_refused_by_name(
    tmp_path: Path, bitmap: Bitmap
) -> None:
    message = card_message(card_elements(), bitmap=bitmap)
    log, schema = log_of([message, message]), with_mapping(bitmap=bitmap)
    for end in range(1, len(log)):
        if end != len(log) // 2:
            assert "cut off" in refusal(tmp_path, log[:end], schema)
    for end in range(len(message)):
        assert "unfit" in refusal(tmp_path, log_of([message[:end]]), schema)


@given(st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_other_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    log = bytearray(log_of([FIT]))
    for _ in range(data.draw(st.integers(1, 4))):
        log[data.draw(st.integers(0, len(log) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadFile):
        read(where(tmp_path, bytes(log)), schema=CARD_SCHEMA)


@pytest.mark.parametrize(("prefix", "head"), [("4 bytes", b"\x7f\xff\xff\xff"), ("none", b"0100")])
def test_a_hostile_length_takes_no_memory(tmp_path: Path, prefix: str, head: bytes) -> None:
    location = where(tmp_path, head)
    with (tmp_path / "cards.bin").open("r+b") as file:
        file.truncate(3_000_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match="expected at most 65,535 bytes"):
            read(location, schema=with_mapping(prefix=prefix))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# --- what is declared -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"card_id": "2", "clear": "2"}, "column `clear` holds card numbers: declare it personal"),
        ({"id": "2+37"}, "column `id` holds card numbers: declare it personal"),
        ({"track": "35"}, "data element 35 must not be kept (PCI DSS"),
        ({"pin": "52"}, "data element 52 must not be kept (PCI DSS"),
        ({"x": "129"}, "expected a data element from 2 to 128"),
        ({"x": "1"}, "expected a data element from 2 to 128"),
        ({"x": "0041"}, "expected a data element from 2 to 128"),
        ({"x": "37+"}, "expected a data element from 2 to 128"),
    ],
)
def test_what_must_not_be_kept_is_refused_where_it_is_declared(
    columns: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        with_mapping(columns=dict(CARDS.columns) | columns)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bitmap": "hex"}, "expected one of binary, ascii"),
        ({"prefix": "8"}, "expected one of 2 bytes, 4 bytes, 4 digits, none"),
        ({"types": "0100"}, "expected a list of types"),
        ({"types": ["100"]}, "expected a list of types"),
        ({"elements": {"129": {}}}, "expected h, t, p, 1 or an element from 2 to 128"),
        ({"elements": {"2": {"maxlen": 2}}}, "no property `maxlen`: did you mean `max_len`?"),
        ({"elements": {"2": {"data_enc": "bcd"}}}, "expected `data_enc` to be `b`, an encoding"),
        ({"elements": {"2": {"len_enc": "zip"}}}, "expected `len_enc` to be `b`, an encoding"),
        ({"elements": {"2": {"max_len": "2"}}}, "expected `max_len` to be a whole number"),
    ],
)
def test_a_dialect_that_the_parser_does_not_know_is_refused_where_it_is_declared(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        with_mapping(**changes)


def test_a_schema_with_a_mapping_is_the_same_after_json() -> None:
    schema = with_mapping(elements={"2": {"max_len": 16}})
    text = msgspec.json.encode(schema)
    again = msgspec.json.decode(text, type=Schema)
    assert msgspec.json.encode(again) == text
    assert isinstance(again.messages[0], Iso8583)
