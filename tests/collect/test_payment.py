"""One payment and a table of them: equal values, the same ones refused, and a sentence for each
refusal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import inf, isfinite, isinf, isnan, nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.collect import Payment, PaymentReader, Schema, clean
from shroff.collect.nulls import NULLS
from shroff.collect.payment import payments
from shroff.collect.rates import Rate, Rates
from shroff.errors import BadPayment

KEY = b"k" * 32

# --- parity ---------------------------------------------------------------------------------------
# a minute's time on days when some clock is put on or back, and on days when none is
DAYS = [
    "2024-03-31",
    "2024-10-27",
    "2024-03-10",
    "2024-11-03",
    "2024-04-07",
    "2024-10-06",
    "2024-02-29",
    "2023-06-15",
]
ODD_DAYS = [
    "2023-02-29",
    "2024-13-01",
    "1969-12-31",
    "1970-01-01",
    "2099-12-31",
    "2100-01-01",
    "0000-01-01",
    "9999-12-31",
]
ZONES = [
    None,
    "UTC",
    "Europe/Copenhagen",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]
TIMES = st.builds(
    "{}{}{:02}:{:02}{}{}{}".format,
    st.sampled_from(DAYS) | st.sampled_from([*DAYS, *ODD_DAYS]),
    st.sampled_from("TTTTTT x"),
    st.integers(0, 4) | st.integers(0, 24),
    st.sampled_from([0, 15, 30, 59, 60]),
    st.sampled_from([":00", ":28", ":59", ":60", "", ":7"]),
    st.sampled_from(["", "", ".5", ",25", ".6508575", ".999999999", ".0000001", "."]),
    st.sampled_from(
        ["Z", "Z", "", "", "+02:00", "-0330", "+14", "-23:59", "+24:00", "z", "+01:00:30", " Z"]
    ),
)
# no whole numbers of 13 to 19 digits: by accident they look like card numbers
FLOATS = st.floats().filter(lambda value: not 1e12 <= abs(value) < 1e20)
TEXTS = (
    st.sampled_from(
        [
            "DK",
            "dk",
            " DK",
            "",
            " ",
            "\t",
            "\u00a0",
            "undefined",
            "32",
            "32.0",
            "0",
            "é",
            "a\x00b",
            "x" * 300,
        ]
    )
    | st.sampled_from(
        ["NULL", "nan", r"\N", "None", " NULL", "NULL ", "True", "FALSE", "true", "²", "1²", "--"]
    )
    | st.from_regex(r"[-+]?[0-9]{1,3}(\.0{0,2}[0-9]?)?(e[+-]?[0-9]{1,2})?", fullmatch=True)
    | FLOATS.filter(isfinite).map(repr)
)
WHOLE = st.integers(-(10**6), 10**12 - 1)
REALS = (
    st.sampled_from([0.0, -0.0, 32.0, 32.5, 1e-7, 1e22, 123456.789, 0.1 + 0.2, nan, inf, -inf])
    | FLOATS
)
AMOUNTS = (
    st.builds(
        lambda minor, exponent: minor / 10**exponent, st.integers(-100, 10**16), st.integers(0, 4)
    )
    | st.sampled_from(
        [
            0.1 + 0.2,
            0.125,
            0.0005,
            1e13,
            9_999_999_999_999.99,
            1e14,
            1e14 + 1,
            1e15,
            5e-324,
            -0.0,
            nan,
            inf,
        ]
    )
    | st.floats(0, 1e14)
)
CODES = st.sampled_from(
    [
        "EUR",
        "978",
        "JPY",
        "KWD",
        "CLF",
        "036",
        "36",
        "8",
        "eur",
        "XXX",
        "",
        " ",
        "EU",
        "0978",
        "９７８",
    ]
) | st.sampled_from([" Eur ", "usd\t", "840.0", "36.00", " 392.0", "NULL", " NaN ", "1e+22"])
IDS = st.sampled_from(
    [
        "p\u202e1",
        "\u3164",
        "\u00a0",
        "\u00a0\u2003\u2800",
        "\u3164\u200b",
        "\ufe0f",
        "\u3164p1",
        "\ufeffp1",
        "p\u200b1",
        "\u2066p1",
        "p\x851",
        "p\u00a01",
        "",
        " ",
        "x" * 201,
        "tab\tbed",
        "nul\0",
        "\x7f",
        "ø" * 200,
    ]
)

RATES = st.sampled_from(
    [
        Rates.constant("EUR", {"JPY": "0.00625", "KWD": "3.0303", "AUD": "0.61"}),
        Rates(
            "JPY",
            [
                Rate("EUR", "160"),
                Rate("EUR", "161.5", "2024-03-31T01:00:00Z", "2024-10-27"),
                Rate("KWD", "500"),
            ],
        ),
        Rates(
            "CLF",
            [
                Rate("EUR", "0.0261", "2024-01-01"),
                Rate("KWD", "0.08", until="2024-02-29T02:15:00Z"),
            ],
        ),
    ]
)

COLUMNS: dict[str, list[tuple[pl.DataType, st.SearchStrategy[Any]]]] = {
    "at": [(pl.String(), TIMES)],
    "amount": [
        (pl.Float64(), AMOUNTS),
        (pl.Int64(), st.integers(-2, 10**15)),
        (pl.String(), AMOUNTS),
    ],
    "currency": [(pl.String(), CODES), (pl.Int64(), st.sampled_from([978, 36, 8, 392, 7, -36]))],
    "nominal": [
        (pl.String(), TEXTS),
        (pl.Int64(), WHOLE),
        (pl.Float64(), REALS),
        (pl.Boolean(), st.booleans()),
    ],
    "key": [
        (pl.String(), TEXTS),
        (pl.Int64(), WHOLE),
        (pl.Float64(), REALS),
        (pl.Boolean(), st.booleans()),
    ],
    "person": [(pl.String(), TEXTS), (pl.Int64(), WHOLE), (pl.Float64(), REALS)],
    "numeric": [
        (pl.Float64(), REALS),
        (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
        (pl.String(), REALS),
    ],
}


@dataclass(frozen=True)
class Case:
    """The same payments as a raw table and as JSON texts, row by row."""

    schema: Schema
    table: pl.DataFrame
    bodies: list[bytes]


def _json(value: object) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        # JSON has neither: a missing value and a number out of range are what comes closest
        if isnan(value):
            return "null"
        if isinf(value):
            return "1e999" if value > 0 else "-1e999"
    return json.dumps(value)


def _cell(value: object, dtype: pl.DataType) -> object:
    return repr(value) if isinstance(value, float) and dtype == pl.String() else value


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.integers(1, 8))
    currency = draw(st.sampled_from(["currency", None]))
    optional = ["nominal", "key", "person", "numeric"]
    schema = Schema(
        id="id",
        time="at",
        amount="amount",
        currency=currency,
        default_currency=draw(st.sampled_from(["EUR", "JPY", "KWD", "CLF"])),
        rates=draw(st.none() | RATES) if currency else None,
        nominal=["nominal", *draw(st.sampled_from([[], ["currency"]]))],
        numeric=["numeric"],
        personal=["person"],
        keys=["key"],
        required=draw(st.lists(st.sampled_from(optional), max_size=2, unique=True)),
        timezone=draw(st.sampled_from(ZONES)),
        nulls=draw(st.just(NULLS) | st.sampled_from([(), ("-1", "32", "0", "None", "true")])),
    )
    values: dict[str, list[object]] = {"id": [f"p{row}" for row in range(rows)]}
    types: dict[str, pl.DataType] = {"id": pl.String()}
    if draw(st.booleans()):
        values["id"] = [draw(st.just(name) | IDS) for name in values["id"]]
    for name, kinds in COLUMNS.items():
        if name in schema.scales:
            types[name], column = draw(st.sampled_from(kinds))
            values[name] = draw(st.lists(column | st.none(), min_size=rows, max_size=rows))
    table = pl.DataFrame(
        {
            name: pl.Series([_cell(v, types[name]) for v in column], dtype=types[name])
            for name, column in values.items()
        }
    )
    absent = draw(st.booleans())
    bodies = []
    for row in range(rows):
        cells = {
            name: column[row]
            for name, column in values.items()
            if not absent or column[row] is not None
        }
        bodies.append(
            "{" + ", ".join(f'"{name}": {_json(value)}' for name, value in cells.items()) + "}"
        )
    return Case(schema, table, [body.encode() for body in bodies])


def _typed(payment: Payment) -> dict[str, object]:
    fields = {
        "minor": payment.minor,
        "units": payment.units,
        "time": payment.time,
        **payment.values,
    }
    return {name: (type(value), value) for name, value in fields.items()}


@settings(max_examples=120)
@given(cases())
def test_a_table_and_its_payments_have_the_same_values(case: Case) -> None:
    reader = PaymentReader(case.schema, key=KEY)
    one_by_one: dict[str, object] = {}
    for body in case.bodies:
        try:
            payment = reader.read(body, arrived=0)
        except BadPayment:
            continue
        one_by_one.setdefault(payment.id, _typed(payment))
    cleaned = clean(case.table, case.schema, key=KEY, max_bad=1.0)
    assert {
        payment.id: _typed(payment) for payment in payments(cleaned.frame, case.schema)
    } == one_by_one
    assert cleaned.rows == len(cleaned.frame) + sum(cleaned.dropped.values())


@settings(max_examples=60)
@given(
    st.lists(AMOUNTS.filter(lambda amount: not isnan(amount)), min_size=1, max_size=20),
    st.sampled_from(["JPY", "EUR", "KWD", "CLF"]),
)
def test_an_amount_that_is_read_is_written_as_it_came(
    amounts: Sequence[float], currency: str
) -> None:
    schema = Schema(id="id", time="at", amount="amount", default_currency=currency)
    table = pl.DataFrame(
        {
            "id": [str(row) for row in range(len(amounts))],
            "at": "2024-05-04T10:00Z",
            "amount": amounts,
        }
    )
    for payment in payments(clean(table, schema, key=KEY, max_bad=1.0).frame, schema):
        given_amount = amounts[int(payment.id)]
        assert payment.values["amount"] == pytest.approx(given_amount, rel=1e-15, abs=1e-9)
        assert payment.units == payment.minor * 10 ** (
            4 - {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}[currency]
        )


def test_payments_of_a_table_come_in_its_order_with_their_arrival() -> None:
    schema = Schema(
        id="id",
        time="at",
        amount="amount",
        arrived_at="seen",
        label="fraud",
        nominal=["mcc"],
        keys=["card"],
    )
    table = pl.DataFrame(
        {
            "id": ["late", "early"],
            "at": ["2024-05-04T10:00:00Z", "2024-05-04T10:00:01Z"],
            "seen": ["2024-05-04T11:00:00Z", "2024-05-04T10:00:02Z"],
            "amount": ["1.50", "2"],
            "fraud": ["1", None],
            "mcc": ["32", None],
            "card": [None, "c1"],
        }
    )
    early, late = payments(clean(table, schema, key=KEY).frame, schema)
    at = int(datetime.fromisoformat("2024-05-04T10:00:00Z").timestamp()) * 1_000_000
    assert late == Payment(
        id="late",
        time=at,
        arrived=at + 3_600_000_000,
        minor=150,
        units=15_000,
        values={"at": at, "amount": 1.5, "mcc": "32", "card": None},
    )
    assert (early.id, early.arrived) == ("early", at + 2_000_000)
    assert early.values == {"at": at + 1_000_000, "amount": 2.0, "mcc": None, "card": "c1"}


REFUND = "a negative number (a refund is no payment: leave it out)"

# --- sentences ------------------------------------------------------------------------------------
SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    label="fraud",
    result="result",
    arrived_at="seen",
    nominal=["mcc"],
    numeric=["age"],
    personal=["name"],
    ignored=["note"],
    keys=["card_id"],
    required=["card_id", "fraud"],
)
READER = PaymentReader(SCHEMA, key=KEY)
GOOD = {
    "id": "p1",
    "at": "2024-05-04T10:00:00Z",
    "amount": 136.69,
    "currency": "EUR",
    "card_id": "c1",
}


LATER = "is not known yet when a payment is judged: send it later, as an event of its own."


def _refused(body: bytes) -> str:
    with pytest.raises(BadPayment) as refused:
        READER.read(body, arrived=0)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "SECRET" not in sentence
    return sentence


def _with(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def _without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


def test_what_is_required_only_of_a_table_is_not_required_of_a_payment() -> None:
    assert READER.read(_with(), arrived=7).arrived == 7
    assert READER.fields == ("id", "at", "amount", "currency", "mcc", "age", "name", "card_id")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ammount": 1}, "unknown field `ammount`: did you mean `amount`?"),
        (
            {"amount": "SECRET"},
            "Expected `float`, got `str` - at `$.amount`: send a JSON number such as 1234.56, "
            "without quotes.",
        ),
        ({"amount": None}, "Expected `float`, got `null` - at `$.amount`"),
        (
            {"amount": -1},
            f"Expected a number from 0 to 100,000,000,000,000, got {REFUND} - at `$.amount`",
        ),
        (
            {"amount": 1e15},
            "Expected a number from 0 to 100,000,000,000,000, got a larger number - at `$.amount`",
        ),
        (
            {"amount": 0.125},
            "Expected an amount no finer than its currency's smallest unit and of at most 15 "
            "digits, got another number - at `$.amount`",
        ),
        ({"currency": "SECRET"}, "Expected an ISO 4217 currency code, got text - at `$.currency`"),
        (
            {"currency": 999_999},
            "Expected an ISO 4217 currency code, got a number - at `$.currency`",
        ),
        ({"currency": " "}, "Expected a value, got none - at `$.currency`"),
        ({"card_id": ""}, "Expected a value, got none - at `$.card_id`"),
        ({"card_id": None}, "Expected `bool | int | float | str`, got `null` - at `$.card_id`"),
        (
            {"card_id": ["SECRET"]},
            "Expected `bool | int | float | str`, got `array` - at `$.card_id`",
        ),
        (
            {"name": {"SECRET": 1}},
            "Expected `int | float | str | null`, got `object` - at `$.name`",
        ),
        ({"id": ""}, "Expected a value, got none - at `$.id`"),
        (
            {"id": "SECRET" * 50},
            "Expected an id of 1 to 200 printable characters, got a text of more than 200 "
            "characters - at `$.id`",
        ),
        (
            {"id": "SECRET\0"},
            "Expected an id of 1 to 200 printable characters, got text with U+0000 - at `$.id`",
        ),
        (
            {"id": "SECRET\u202e"},
            "Expected an id of 1 to 200 printable characters, got text with U+202E RIGHT-TO-LEFT "
            "OVERRIDE - at `$.id`",
        ),
        (
            {"id": "\u3164\u00a0"},
            "Expected an id of 1 to 200 printable characters, got text of characters that nobody "
            "sees - at `$.id`",
        ),
        (
            {"id": 10**400},
            "Expected an id of 1 to 200 printable characters, got a larger number - at `$.id`",
        ),
        ({"id": True}, "Expected `int | float | str`, got `bool` - at `$.id`"),
        (
            {"card_id": "SECRET" * 167},
            "Expected a text of at most 1,000 characters or a finite number, "
            "got a text of more than 1,000 characters - at `$.card_id`",
        ),
        (
            {"mcc": 10**1_000},
            "Expected a text of at most 1,000 characters or a finite number, "
            "got a text of more than 1,000 characters - at `$.mcc`",
        ),
        ({"at": True}, "Expected `int | float | str`, got `bool` - at `$.at`"),
        ({"result": "SECRET"}, f"field `result` {LATER}"),
        ({"fraud": True}, f"field `fraud` {LATER}"),
        (
            {"seen": "SECRET"},
            "field `seen` is not the sender's to say: a payment arrives when the system gets it.",
        ),
        (
            {"zzz": "SECRET"},
            "unknown field `zzz`; a payment has `id`, `at`, `amount`, `currency`, `mcc`, `age`, "
            "`name`, `card_id`.",
        ),
        (
            {"4111 SECRET": 1},
            "unknown field; a payment has `id`, `at`, `amount`, `currency`, `mcc`, `age`, `name`, "
            "`card_id`.",
        ),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence(changes: dict[str, object], sentence: str) -> None:
    assert _refused(_with(**changes)) == sentence


@pytest.mark.parametrize(
    ("at", "got"),
    [
        ("SECRET", "text"),
        ("", "none"),
        ("2024-05-04", "a date without a time"),
        ("2024-05-04T10:00:00", "a time without a zone"),
        ("2024-02-30T10:00:00Z", "a day that is in no calendar"),
        ("2150-01-01T00:00:00Z", "a time that is not from 1970 to 2099"),
        (1714816800, "a number of seconds since 1970 (declare Schema(epoch='s'))"),
        (1714816800123.0, "a number of milliseconds since 1970 (declare Schema(epoch='ms'))"),
        (10**400, "a larger number"),
        (1e300, "a larger number"),
        (
            "45416.4166667",
            "a number of days, as spreadsheets count them (write it as 2024-05-04T10:00:00+02:00)",
        ),
        ("1714816800", "a number of seconds since 1970 (declare Schema(epoch='s'))"),
    ],
)
def test_a_wrong_time_is_told_by_its_kind(at: str | float, got: str) -> None:
    wanted = (
        "an ISO 8601 date and time from 1970 to 2099 that names its zone (`…Z`, `…+01:00`), "
        "or a schema that"
    )
    sentence = _refused(_with(at=at))
    assert sentence.startswith(f"Expected {wanted} declares it")
    assert sentence.endswith(f", got {got} - at `$.at`")


def test_a_missing_field_is_named() -> None:
    fields = "`id`, `at`, `amount`, `currency`, `mcc`, `age`, `name`, `card_id`"
    for name in GOOD:
        assert _refused(_without(name)) == f"missing field `{name}`; a payment has {fields}."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "Expected one JSON object, got text that is none: Input data was truncated."),
        (b"SECRET", "Expected one JSON object, got text that is none: invalid character (byte 0)."),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"id": "\xffSECRET"}', "Expected one JSON object in UTF-8, got other bytes."),
        (b'{"age": 1e999}', "Expected a finite number, got a larger one - at `$.age`"),
        (
            b'{"mcc": ' + b"9" * 5_000 + b"}",
            "Expected a finite number, got a larger one - at `$.mcc`",
        ),
        (b'{"age": NaN}', "NaN is not JSON: send null where there is no value."),
        (
            b'{"note": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
            "Expected one JSON object, got one that is nested too deeply.",
        ),
    ],
    ids=range(9),
)
def test_what_is_no_payment_is_told_in_one_sentence(body: bytes, sentence: str) -> None:
    assert _refused(body) == sentence


FIELDS = st.fixed_dictionaries(
    {
        "id": st.just("p1"),
        "at": st.sampled_from(["2024-05-04T10:00:00Z", "2024-05-04T10:00:00.5+02:00"]),
        "amount": st.just(5.0),
        "currency": st.just("EUR"),
        "card_id": st.sampled_from(["c1", "fe80::1", ":", "é"]),
    },
    optional={
        "mcc": st.sampled_from(["5411", None]),
        "age": st.sampled_from([36, None]),
        "name": st.sampled_from(["Ada", '\\":', None]),
        "note": st.sampled_from([None, ":", {"a": {"b": ":"}}, [{}]]),
    },
)


@given(FIELDS, st.data())
def test_no_field_counts_that_came_twice(fields: dict[str, Any], data: st.DataObject) -> None:
    escaped = data.draw(st.sampled_from(["", ":", "a:"]), "escaped characters")

    def text(value: Any) -> str:
        return "".join(rf"\u{ord(one):04x}" if one in escaped else one for one in json.dumps(value))

    pairs = [
        text(name) + " :" + (text(value) if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]
    assert READER.read(_object(pairs), arrived=0).id == "p1"
    name = data.draw(st.sampled_from([*fields]), "name")
    twice = [*pairs, f"{text(name)}: {json.dumps(fields[name])}"]
    sentence = _refused(_object(data.draw(st.permutations(twice))))
    assert sentence == f"expected each key once in an object, got `{name}` twice: send it once."


def _object(pairs: Sequence[str]) -> bytes:
    return ("{" + ", ".join(pairs) + "}").encode()


def test_a_payment_may_stand_behind_a_byte_order_mark() -> None:
    assert READER.read(b"\xef\xbb\xbf" + _with(), arrived=0) == READER.read(_with(), arrived=0)
    assert "text that is none" in _refused(b"\xef\xbb\xbf" * 2 + _with())


def test_ignored_fields_are_accepted_and_dropped() -> None:
    payment = READER.read(_with(note={"any": ["thing"]}), arrived=0)
    assert "note" not in payment.values


def test_personal_values_leave_no_trace() -> None:
    payment = READER.read(_with(name="Ada Lovelace"), arrived=0)
    assert (
        payment.values["name"] == READER.read(_with(name="Ada Lovelace"), arrived=0).values["name"]
    )
    assert (
        payment.values["name"]
        != PaymentReader(SCHEMA, key=b"x" * 32)
        .read(_with(name="Ada Lovelace"), arrived=0)
        .values["name"]
    )
    assert "Ada" not in repr(payment)


@settings(max_examples=150)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*GOOD, "x", "note", "fraud"]), inner, max_size=6)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_refused_and_nothing_breaks(body: bytes) -> None:
    # what is no payment is refused in one sentence; any other error fails the test
    with suppress(BadPayment):
        assert READER.read(body, arrived=0).id


def test_numbers_since_1970_are_read_where_their_unit_is_declared() -> None:
    reader = PaymentReader(Schema(id="id", time="at", amount="eur", epoch="ms"), key=KEY)
    for at in ("1714816800123", "1714816800123.0", '"1714816800123"', '"2024-05-04T10:00:00.123Z"'):
        assert (
            reader.read(f'{{"id": "p", "at": {at}, "eur": 1}}'.encode(), arrived=0).time
            == 1714816800123000
        )
    with pytest.raises(BadPayment, match="got a number of seconds since 1970"):
        reader.read(b'{"id": "p", "at": 1714816800, "eur": 1}', arrived=0)


def test_a_time_that_comes_twice_is_the_earlier_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = PaymentReader(
        Schema(id="id", time="at", amount="eur", timezone="Europe/Copenhagen"), key=KEY
    )

    def time_of(at: str) -> int:
        return reader.read(f'{{"id": "p", "at": "{at}", "eur": 1}}'.encode(), arrived=0).time

    assert (
        time_of("2024-10-27 02:30:00")
        == time_of("2024-10-27T02:30:00+02:00")
        == time_of("2024-10-27 02:30")
    )
    assert reader.twice == 2
    (line,) = caplog.messages
    assert line.startswith(
        "`at`: a time of the hour that comes twice in Europe/Copenhagen is read as the earlier"
    )
    with pytest.raises(
        BadPayment, match=r"got a time that the clocks skip in Europe/Copenhagen - at `\$\.at`"
    ):
        time_of("2024-03-31 02:30:00")
