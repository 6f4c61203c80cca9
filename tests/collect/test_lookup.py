"""Reference tables and look-ups: a file, a table and one live payment say the same; what does not
fit is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import ReferenceTable, Schema, lookup
from shroff.collect import PaymentReader, clean
from shroff.collect.payment import as_sent
from shroff.errors import BadFile, BadPayment, ConfigurationError, UnknownColumn

KEY = b"k" * 32
MCC = """mcc, mcc_risk, family, since, until
5411, 0.1, food, ,
7995.0, 3, , 2024-01-01, 2024-06-30T22:00Z
7995, 2.5, gambling, 2024-07-01T00:00:00+02:00,
6011, , cash, 2024-01-01, 2024-02-01
"""
AT = [
    "2023-12-31T23:59:59Z",
    "2024-01-01T00:00Z",
    "2024-06-30T21:59:59.999999Z",
    "2024-06-30T22:00Z",
    "2026-01-01T00:00Z",
]


def written(folder: Path, text: str, name: str = "mcc.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


@pytest.fixture
def risks(tmp_path: Path) -> ReferenceTable:
    return ReferenceTable.read(written(tmp_path, MCC), key="mcc", numeric=["mcc_risk"])


def schema_of(*tables: ReferenceTable, lookups: Any, **more: Any) -> Schema:
    return Schema(
        id="id", time="at", amount="amount", nominal=["mcc"], tables=tables, lookups=lookups, **more
    )


BOTH = [lookup("mcc_risk", on="mcc"), lookup("family", on="mcc", default="other")]


def test_a_file_is_a_table(risks: ReferenceTable) -> None:
    assert (risks.name, risks.key, risks.numeric, risks.rows) == ("mcc", "mcc", ("mcc_risk",), 4)
    assert risks.columns == {
        "mcc": ("5411", "6011", "7995", "7995"),
        "mcc_risk": (0.1, None, 3.0, 2.5),
        "family": ("food", "cash", None, "gambling"),
    }
    assert msgspec.json.decode(msgspec.json.encode(risks), type=ReferenceTable) == risks


def test_parquet_says_the_same(risks: ReferenceTable, tmp_path: Path) -> None:
    day = pl.Series("since", [None, "2024-01-01", None, "2024-01-01"]).str.to_date()
    frame = pl.DataFrame(
        {"mcc": [5411, 7995, 1, 6011], "mcc_risk": [0.1, 3.0, None, None]}
    ).with_columns(day)
    frame.write_parquet(tmp_path / "mcc.parquet")
    table = ReferenceTable.read(tmp_path / "mcc.parquet", key="mcc", numeric=["mcc_risk"])
    rows: list[dict[str, Any]] = [
        {"mcc": "1", "mcc_risk": None},
        {"mcc": 5411.0, "mcc_risk": "0.10"},
        {"mcc": "6011", "mcc_risk": "NULL", "since": "2024-01-01"},
        {"mcc": "7995", "mcc_risk": 3, "since": "2024-01-01T00:00:00Z"},
    ]
    again = ReferenceTable.of("mcc", reversed(rows), key="mcc", numeric=["mcc_risk"])
    assert (table, table.mark) == (again, again.mark)
    assert table.mark != risks.mark


@settings(max_examples=200)
@given(
    sent=st.lists(
        st.tuples(
            st.sampled_from(
                ["5411", "5411.0", 5411, "7995", 7995.0, "6011", "1", "", "NULL", None]
            ),
            st.sampled_from(AT),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_live_payment_is_looked_up_as_a_table_is(sent: list[tuple[Any, str]]) -> None:
    rows: list[dict[str, Any]] = [
        {"mcc": "5411", "mcc_risk": 0.1, "family": "food"},
        {"mcc": "7995", "mcc_risk": 3, "since": "2024-01-01", "until": "2024-06-30T22:00Z"},
        {"mcc": "7995", "mcc_risk": 2.5, "family": "gambling", "since": "2024-06-30T22:00Z"},
        {"mcc": "6011", "family": "cash", "since": "2024-01-01", "until": "2024-02-01"},
    ]
    schema = schema_of(
        ReferenceTable.of("mcc", rows, key="mcc", numeric=["mcc_risk"]), lookups=BOTH
    )
    reader = PaymentReader(schema, key=KEY)
    live = [
        reader.read(
            json.dumps({"id": f"p{number}", "at": at, "amount": 1.0, "mcc": mcc}).encode(),
            arrived=0,
        ).values
        for number, (mcc, at) in enumerate(sent)
    ]
    raw = pl.DataFrame(
        {
            "id": [f"p{number}" for number in range(len(sent))],
            "at": [at for _, at in sent],
            "amount": ["1"] * len(sent),
            "mcc": [None if mcc is None else str(mcc) for mcc, _ in sent],
        }
    )
    frame = clean(raw, schema, key=KEY, max_bad=0.0).frame.sort(
        pl.col("id").str.slice(1).cast(pl.Int64)
    )
    for name in ("mcc_risk", "family"):
        assert frame[name].to_list() == [values[name] for values in live]
    assert frame.select("mcc_risk", "family").dtypes == [pl.Float64, pl.String]


def test_the_row_of_the_moment_is_found(risks: ReferenceTable) -> None:
    frame = pl.DataFrame({"id": list("abcde"), "at": AT, "amount": [1.0] * 5, "mcc": ["7995"] * 5})
    cleaned = clean(frame, schema_of(risks, lookups=BOTH), key=KEY).frame
    assert cleaned["mcc_risk"].to_list() == [None, 3.0, 3.0, 2.5, 2.5]
    # without a row the default holds; a row that says nothing says null
    assert cleaned["family"].to_list() == ["other", None, None, "gambling", "gambling"]


@pytest.mark.parametrize(
    ("at", "found"), [("2024-01-31T23:59:59.999999Z", "cash"), ("2024-02-01T00:00Z", "other")]
)
def test_a_row_is_not_valid_any_more_at_its_end(risks: ReferenceTable, at: str, found: str) -> None:
    schema = schema_of(risks, lookups=BOTH)
    frame = pl.DataFrame({"id": ["p"], "at": [at], "amount": [1.0], "mcc": ["6011"]})
    body = json.dumps({"id": "p", "at": at, "amount": 1.0, "mcc": "6011"}).encode()
    assert clean(frame, schema, key=KEY).frame["family"].item() == found
    assert PaymentReader(schema, key=KEY).read(body, arrived=0).values["family"] == found


def test_what_was_looked_up_can_be_looked_for(risks: ReferenceTable) -> None:
    zones = ReferenceTable.of("zones", [{"family": "food", "zone": "low"}], key="family")
    chained = schema_of(
        risks,
        zones,
        lookups=[lookup("family", on="mcc"), lookup("zone", on="family", name="mcc_zone")],
    )
    frame = pl.DataFrame({"id": ["a"], "at": [AT[1]], "amount": [1.0], "mcc": ["5411"]})
    cleaned = clean(frame, chained, key=KEY).frame
    assert cleaned.columns == list(chained.scales)
    assert cleaned.select("family", "mcc_zone").row(0) == ("food", "low")


def test_a_payment_is_sent_without_what_is_looked_up(risks: ReferenceTable) -> None:
    schema = schema_of(risks, lookups=BOTH)
    reader = PaymentReader(schema, key=KEY)
    body = b'{"id": "p", "at": "2024-03-01T00:00Z", "amount": 5.0, "mcc": 7995}'
    payment = reader.read(body, arrived=0)
    assert (payment.values["mcc_risk"], payment.tables) == (3.0, (risks.mark,))
    reader.complete(payment)
    assert as_sent(payment, schema) == reader.parse(body, arrived=0)
    with pytest.raises(BadPayment, match="`mcc_risk` is not the sender's to say"):
        reader.read(body.replace(b'"mcc"', b'"mcc_risk"'), arrived=0)
    raw = pl.DataFrame(
        {"id": ["p"], "at": [AT[1]], "amount": [1.0], "mcc": ["5411"], "mcc_risk": ["9"]}
    )
    with pytest.raises(BadFile, match=r"column `mcc_risk` is looked up .* rename it"):
        clean(raw, schema, key=KEY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a column `mcc`, found none"),
        ("mcc,mcc_risk\n", "1 to 500,000 rows, got 0"),
        ("mmc,mcc_risk\n1,2\n", "did you mean `mmc`"),
        ("mcc:mcc_risk\n1:2\n", "expected a column `mcc`, found none"),
        ("mcc,mcc_risk\n1,2\n1,3\n", "expected one at a time, got two without `since`"),
        ("mcc,risk\n1,2\n", "expected a column `mcc_risk`, found none: did you mean `risk`"),
        ("mcc,mcc_risk,mcc\n1,2,3\n", "each column once, got `mcc` twice"),
        ("mcc,mcc_risk\n1,2,3\n", "line 2: expected 2 cells, got more"),
        (
            "mcc,mcc_risk\n1,2\n2,a lot\n",
            "row 2: expected a number such as 0.5 in `mcc_risk`, got another value",
        ),
        ("mcc,mcc_risk\n1,2\n2,inf\n", "row 2: expected a number"),
        (
            "mcc,mcc_risk\n1,2\n,2\n",
            "row 2: expected a text of at most 1,000 characters in `mcc`, got none",
        ),
        ("mcc,mcc_risk\nNULL,2\n", "row 1: expected a text .* got none"),
        (f"mcc,mcc_risk\n{'x' * 1001},2\n", "line 2: expected cells of at most 1,000 characters"),
        ("mcc,mcc_risk,since\n1,2,yesterday\n", "row 1: expected a date such as 2024-01-31"),
        ("mcc,mcc_risk,since\n1,2,2024-01-01T00:00\n", "row 1: .* with its zone"),
        (
            "mcc,mcc_risk,since,until\n1,2,2024-01-02,2024-01-02\n",
            "row 1: expected `until` after `since`",
        ),
        (
            "mcc,mcc_risk\n1,2\n1.0,3\n",
            "the rows of `1` in the table `mcc`: expected one at a time",
        ),
        (
            "mcc,mcc_risk,since,until\n7,1,2024-01-01,2024-03-01\n7,2,2024-02-01,\n",
            "the rows of `7` in the table `mcc`: expected one at a time, got two .* from "
            "2024-02-01T00:00:00Z on",
        ),
        ("mcc,mcc_risk\n4111111111111111,2\n5500000000000004,2\n", "look like card numbers"),
        ("mcc,mcc_risk\n1,4111111111111111\n2,3\n", "column `mcc_risk` look like card numbers"),
        ("mcc,mcc_risk,a\n1,2,x\n2,2,pay 4111 1111 1111 1111\n", "`a` look like card numbers"),
        ("mcc,mcc_risk,4111111111111111\n1,2,3\n", "of a reference table without a card number"),
        ('mcc,mcc_risk\n1,2\n"2,3\n', "its quotes are not closed"),
        ('mcc,mcc_risk\n1,2\n"2"2,3\n', "its quotes are not closed"),
    ],
)
def test_an_unusable_file_is_refused_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadFile, match=words) as refused:
        ReferenceTable.read(written(tmp_path, text), key="mcc", numeric=["mcc_risk"])
    assert str(refused.value).startswith(str(tmp_path / "mcc.csv"))
    assert "a lot" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        ReferenceTable.read(tmp_path / "none.csv", key="mcc")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadFile, match="expected a Parquet file of a reference table"):
        ReferenceTable.read(tmp_path / "bad.parquet", key="mcc")
    for kind in (pl.Date(), pl.Datetime("us", "UTC"), pl.Datetime("ms")):
        far = pl.Series([None, 2**31 - 1 if kind == pl.Date else 2**62]).cast(kind)
        pl.DataFrame({"mcc": ["1", "2"], "since": far}).write_parquet(tmp_path / "far.parquet")
        with pytest.raises(BadFile, match="column `since`: expected years from 1 to 9999"):
            ReferenceTable.read(tmp_path / "far.parquet", key="mcc")
    with pytest.raises(BadFile, match="give it one with name="):
        ReferenceTable.read(written(tmp_path, "mcc,risk\n1,2\n", "a table.csv"), key="mcc")


@pytest.mark.parametrize(
    ("lookups", "error", "words"),
    [
        (
            [lookup("mcc_rsk", on="mcc")],
            UnknownColumn,
            "no reference table has a column `mcc_rsk`: did you mean `mcc_risk`",
        ),
        (
            [lookup("mcc_risk", on="mmc")],
            UnknownColumn,
            "has no column of names `mmc`: did you mean `mcc`",
        ),
        ([lookup("mcc_risk", on="amount")], UnknownColumn, "no column of names `amount`"),
        ([lookup("mcc_risk", on="email")], UnknownColumn, "no column of names `email`"),
        (
            [lookup("mcc_risk", on="mcc", table="mc")],
            UnknownColumn,
            "no table `mc`: did you mean `mcc`",
        ),
        (
            [lookup("mcc_risk", on="mcc", name="amount")],
            ConfigurationError,
            "`amount` is looked up in the table `mcc`",
        ),
        ([lookup("mcc_risk", on="mcc")] * 2, ConfigurationError, "`name=` of its own"),
        (
            [lookup("mcc_risk", on="mcc", default="high")],
            ConfigurationError,
            "a default that is a number",
        ),
        ([lookup("family", on="mcc", default=1.0)], ConfigurationError, "a default that is a text"),
        ([lookup("family", on="mcc", name='a"b')], ConfigurationError, "quotation mark"),
    ],
)
def test_a_lookup_that_does_not_fit_is_refused(
    risks: ReferenceTable, lookups: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        schema_of(risks, lookups=lookups, personal=["email"])


def test_tables_of_one_name_or_column_are_told_apart(risks: ReferenceTable) -> None:
    other = ReferenceTable.of("countries", [{"country": "DK", "family": "north"}], key="country")
    with pytest.raises(ConfigurationError, match="two tables are called `mcc`"):
        schema_of(risks, risks, lookups=[])
    with pytest.raises(
        ConfigurationError, match="the tables `mcc` and `countries` have such a column"
    ):
        schema_of(risks, other, lookups=[lookup("family", on="mcc")])
    schema = schema_of(risks, other, lookups=[lookup("family", on="mcc", table="mcc")])
    assert schema.looked_up == {"family": "nominal"}
    with pytest.raises(
        UnknownColumn, match=r"there is no reference table; declare it in Schema\(tables="
    ):
        schema_of(lookups=[lookup("family", on="mcc")])


def test_a_default_is_a_value() -> None:
    for default in ("", "NULL", float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="a text or a finite number"):
            lookup("family", on="mcc", default=default)
