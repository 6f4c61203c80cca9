"""Credit transfers as payments: what was written is read, and what is unfit is one sentence."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect.messages import TRANSFER_SCHEMA, TRANSFERS, pacs008, pain001
from collect.sources import through
from shroff import Project, Schema
from shroff.collect import Iso20022, message_rows, read, xml_walk
from shroff.collect.addresses import remote_table
from shroff.collect.money import EXPONENT, NUMERIC
from shroff.collect.remote import Findings
from shroff.errors import BadFile, ConfigurationError
from shroff.location import Location
from shroff.pipeline import collect_table

ROW = {
    "id": "E1",
    "amount": "136.69",
    "currency": "EUR",
    "debtor": "DK5000400440116243",
    "bank": "DABADKKK",
    "text": "Invoice 7",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of SHROFF_HOME for each test."""
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))


def raw(tmp_path: Path, text: str | bytes, schema: Schema = TRANSFER_SCHEMA) -> pl.DataFrame:
    """The raw table of a file with this text."""
    file = tmp_path / "log.xml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, schema=schema)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """The sentence that such a file is refused with, which repeats nothing of it."""
    with pytest.raises(BadFile) as refused:
        raw(tmp_path, text)
    sentence = str(refused.value)
    assert sentence.startswith(f"{tmp_path / 'log.xml'}: ")
    assert sentence.endswith(".")
    for payload in (ROW["debtor"], ROW["amount"], ROW["text"], ROW["id"]):
        assert payload not in sentence
    return sentence.partition("log.xml: ")[2]


# --- what is read ---------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 13)])
def test_a_transfer_between_banks_is_a_payment_in_every_version(
    tmp_path: Path, version: str
) -> None:
    table = raw(tmp_path, pacs008([ROW, ROW | {"id": "E2"}], version=version))
    assert table["id"].to_list() == ["E1", "E2"]
    assert table.row(0, named=True) == {
        **ROW,
        "amount": table["amount"][0],
        "at": "2024-05-04T10:00:00Z",
        "is_fraud": None,
    }
    assert str(table["amount"][0]) == "136.6900"


@pytest.mark.parametrize("version", [f"{number:02}" for number in range(3, 13)])
def test_what_a_customer_sends_is_read_with_prefixes_and_ends_with_its_group(
    tmp_path: Path, version: str
) -> None:
    rows = [ROW, ROW | {"id": "E2", "debtor": "DE89370400440532013000"}]
    table = raw(tmp_path, pain001(rows, version=version))
    assert table["debtor"].to_list() == [row["debtor"] for row in rows]
    assert table["id"].to_list() == ["E1", "E2"]


def test_the_clean_table_has_minor_units_and_tokens(tmp_path: Path) -> None:
    (tmp_path / "log.xml").write_text(pacs008([ROW]))
    clean = through(str(tmp_path / "log.xml"), TRANSFER_SCHEMA)
    assert clean["amount"].to_list() == [13669]
    assert ROW["debtor"] not in clean["debtor"].to_list()
    assert not list((tmp_path / "home").rglob("*.parquet"))


def test_a_folder_is_read_in_order_of_names_and_an_envelope_may_hold_several(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    both = pacs008([ROW | {"id": "b"}]) + pain001([ROW | {"id": "c"}], at="2024-05-05T10:00:00Z")
    (folder / "2.XML").write_text(f"<Envelope><AppHdr><To>x</To></AppHdr>{both}</Envelope>")
    (folder / "1.xml").write_text(pacs008([ROW | {"id": "a"}]))
    (folder / "note.txt").write_text("no message")
    table = read(f"iso20022:{folder}", schema=TRANSFER_SCHEMA)
    assert table["id"].to_list() == ["a", "b", "c"]
    assert table["at"].to_list()[1:] == ["2024-05-04T10:00:00Z", "2024-05-05T10:00:00Z"]


def test_lines_of_a_text_are_joined_and_of_two_paths_the_first_that_is_there_counts(
    tmp_path: Path,
) -> None:
    text = pacs008([ROW]).replace("</Ustrd>", "</Ustrd><Ustrd>line 2</Ustrd>")
    other = text.replace(f"<IBAN>{ROW['debtor']}</IBAN>", "<Othr><Id>A-1</Id></Othr>")
    assert raw(tmp_path, text)["text"].to_list() == ["Invoice 7 line 2"]
    assert raw(tmp_path, other)["debtor"].to_list() == ["A-1"]


_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf"]),
    min_size=1,
    max_size=30,
).filter(lambda text: all(ord(one) not in (0xFFFE, 0xFFFF) for one in text))


@st.composite
def rows(draw: st.DrawFn) -> dict[str, str]:
    """A payment as texts, its amount with the decimals of its currency."""
    code = draw(st.sampled_from(sorted(NUMERIC)))
    minor, exponent = draw(st.integers(0, 10**15)), EXPONENT[code]
    whole, rest = divmod(minor, 10**exponent)
    amount = f"{whole}.{rest:0{exponent}}" if exponent else str(whole)
    return ROW | {"id": draw(_TEXT), "text": draw(_TEXT), "amount": amount, "currency": code}


@given(st.lists(rows(), min_size=1, max_size=5), st.sampled_from([pacs008, pain001]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_that_was_written_is_the_row_that_is_read(
    tmp_path: Path, written: list[dict[str, str]], write: Any
) -> None:
    table = raw(tmp_path, write(written))
    for row, found in zip(written, table.iter_rows(named=True), strict=True):
        assert found["amount"] == pl.Series([row["amount"]]).cast(pl.Decimal(38, 4))[0]
        assert {name: found[name] for name in ROW if name != "amount"} == {
            name: text for name, text in row.items() if name != "amount"
        }


def test_chunks_are_small_whatever_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_rows, "CHUNK_ROWS", 7)
    table = raw(tmp_path, pacs008([ROW | {"id": f"E{number}"} for number in range(2_000)]))
    assert table["id"].to_list() == [f"E{number}" for number in range(2_000)]


# --- what is left out -----------------------------------------------------------------------------
STATEMENT = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr>'
    "<CreDtTm>2020-01-01T00:00:00Z</CreDtTm></GrpHdr><CdtTrfTxInf><PmtId><EndToEndId>not a payment"
    "</EndToEndId></PmtId></CdtTrfTxInf></BkToCstmrStmt></Document>"
)


def findings(where: str, schema: Schema = TRANSFER_SCHEMA) -> Findings:
    *_, last = remote_table(Location.of(where), schema).chunks(None, key=None, after=None)
    return last.findings


def test_other_messages_of_a_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "1.xml").write_text(f"<Day>{STATEMENT}{pacs008([ROW])}{STATEMENT}</Day>")
    (tmp_path / "2.xml").write_text(STATEMENT.replace("Document", "Other"))
    (tmp_path / "3.xml").write_text(pain001([ROW | {"id": "E2"}]))
    where = f"iso20022:{tmp_path}"
    assert read(where, schema=TRANSFER_SCHEMA)["id"].to_list() == ["E1", "E2"]
    wanted = f"{where}: expected a message pacs.008 or pain.001, got"
    left_out = {f"{wanted} `camt.053.001.08`": 2, f"{wanted} a file without a message": 1}
    assert findings(where).left_out == left_out
    project = Project(schema=TRANSFER_SCHEMA, features=[])
    assert collect_table(project, where, key=b"k" * 32).dropped == left_out


def test_kinds_that_a_hostile_file_makes_up_are_counted_together(tmp_path: Path) -> None:
    others = "".join(f"<Document><a{at}/></Document>" for at in range(200))
    (tmp_path / "log.xml").write_text(f"<Day>{pacs008([ROW])}{others}</Day>")
    left_out = findings(str(tmp_path / "log.xml")).left_out
    assert (len(left_out), sum(left_out.values())) == (51, 200)


def test_a_path_that_no_payment_has_is_named_with_one_that_payments_have(tmp_path: Path) -> None:
    columns = dict(TRANSFERS.columns) | {
        "bank": "CdtTrfTxInf/CdtrAgt/FinInstnId/BICF",
        "debtor": ["CdtTrfTxInf/DbtrAcct/Id/IBAN", "CdtTrfTxInf/DbtrAcct/Id/Othr/Id"],
        "text": ["CdtTrfTxInf/RmtInf/Ustrd", "PmtInf/CdtTrfTxInf/RmtInf/Ustr"],
    }
    schema = msgspec.structs.replace(TRANSFER_SCHEMA, messages=[Iso20022(columns)])
    (tmp_path / "log.xml").write_text(pacs008([ROW, ROW | {"id": "E2"}]))
    found = findings(str(tmp_path / "log.xml"), schema)
    assert set(found.notices) == {
        "`CdtTrfTxInf/CdtrAgt/FinInstnId/BICF` (column `bank`) is in 0 of 2 payments: did you "
        "mean `CdtTrfTxInf/CdtrAgt/FinInstnId/BICFI`?",
        "`CdtTrfTxInf/DbtrAcct/Id/Othr/Id` (column `debtor`) is in 0 of 2 payments.",
    }, "of a kind of message that was not there nothing is said"
    assert not findings(str(tmp_path / "log.xml")).left_out


# --- what is refused ------------------------------------------------------------------------------
UNFIT: dict[str, tuple[str | bytes, str]] = {
    "a required element is missing": (
        pacs008([ROW, ROW]).replace(f"<IBAN>{ROW['debtor']}</IBAN>", "", 1),
        "message 1, payment 1: expected `CdtTrfTxInf/DbtrAcct/Id/IBAN or "
        "CdtTrfTxInf/DbtrAcct/Id/Othr/Id or PmtInf/DbtrAcct/Id/IBAN` (column `debtor`), found "
        "none.",
    ),
    "too many decimals": (
        pacs008([ROW, ROW | {"amount": "1.505"}]),
        "message 1, payment 2: expected at most 2 decimals in `CdtTrfTxInf/IntrBkSttlmAmt or "
        "PmtInf/CdtTrfTxInf/Amt/InstdAmt`, as EUR has, got more.",
    ),
    "no amount": (pacs008([ROW | {"amount": "-1"}]), "expected an amount of at most 18 digits"),
    "an unknown currency": (
        pacs008([ROW | {"currency": "EUX"}]),
        "expected a currency of ISO 4217 in",
    ),
    "two of one element": (
        pacs008([ROW]).replace("</IBAN>", "</IBAN><IBAN>X</IBAN>"),
        "expected one `CdtTrfTxInf/DbtrAcct/Id/IBAN` in a payment, got several.",
    ),
    "another message": (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10"><FIToFIPmtStsRpt/>'
        "</Document>",
        "expected a message pacs.008 or pain.001, got `pacs.002.001.10`.",
    ),
    "another message without a namespace": (
        "<Document><FIToFIPmtStsRpt/></Document>",
        "expected a message pacs.008 or pain.001, got `FIToFIPmtStsRpt`.",
    ),
    "only other messages": (
        "<E><Document><FIToFIPmtStsRpt/></Document><Document><BkToCstmrStmt/></Document></E>",
        "got none among 2, of which the first is `FIToFIPmtStsRpt`.",
    ),
    "a message that says it is another": (
        pacs008([ROW]).replace("pacs.008.001.08", "pacs.009.001.08"),
        "message 1: expected `FIToFICstmrCdtTrf` in pacs.008, got it in `pacs.009.001.08`.",
    ),
    "no message": (
        "<html/>",
        "expected a message pacs.008 or pain.001, got a file without a message.",
    ),
    "a document type": (
        '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + pacs008([ROW]),
        "message 1: expected XML without a document type and entities, which no message has",
    ),
    "an entity": (
        pacs008([ROW | {"text": "X"}]).replace(">X<", ">&file;<"),
        "message 1, payment 1: expected well-formed XML, got undefined entity in line 1.",
    ),
    "deep nesting": (
        pacs008([ROW]).replace("<GrpHdr>", "<GrpHdr>" + "<a>" * 10_000),
        "expected elements at most 64 deep, got deeper ones.",
    ),
    "many names": (
        "<r>" + "".join(f"<a{number}/>" for number in range(6_000)),
        "expected at most 5,000 different names of 1,000,000 characters together, got more.",
    ),
    "another encoding": (
        b'<?xml version="1.0" encoding="nonsense"?><Document/>',
        "message 1: expected XML in UTF-8, got another encoding.",
    ),
    "no XML": (b"\x00\xff\x00PK", "expected well-formed XML, got "),
    "nothing": (b"", "expected well-formed XML, got a file that is cut off in line 1."),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    text, sentence = UNFIT[case]
    assert sentence in refusal(tmp_path, text)


def test_a_file_cut_off_at_any_byte_is_refused_by_name(tmp_path: Path) -> None:
    whole = pacs008([ROW, ROW | {"id": "E2"}]).encode()
    for end in range(len(whole)):
        assert "got a file that is cut off in line 1." in refusal(tmp_path, whole[:end])


@given(st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_other_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(pain001([ROW]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadFile):
        raw(tmp_path, bytes(whole))


@pytest.mark.parametrize(
    ("start", "filling", "sentence"),
    [
        (pacs008([ROW]).partition("Invoice")[0], b"x", "texts of at most 1,000,000 characters"),
        ("<Document ", b"a", "tags and comments of at most 1,000,000 bytes"),
        ("<Document><!--", b"c", "tags and comments of at most 1,000,000 bytes"),
        (
            pacs008([ROW]).partition("<Ustrd>")[0],
            b"<Ustrd>" + 1_000 * b"x" + b"</Ustrd>",
            "at most 1,000,000 characters in the mapped elements",
        ),
    ],
)
def test_a_hostile_file_of_100_mb_takes_no_more_memory_than_a_small_one(
    tmp_path: Path, start: str, filling: bytes, sentence: str
) -> None:
    file = tmp_path / "log.xml"
    with file.open("wb") as target:
        target.write(start.encode())
        for _ in range(100):
            target.write(filling * (1_000_000 // len(filling)))
    tracemalloc.start()
    try:
        with pytest.raises(BadFile, match=sentence):
            read(file, schema=TRANSFER_SCHEMA)
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()


def test_long_names_are_not_held_by_the_thousand(tmp_path: Path) -> None:
    file = tmp_path / "log.xml"
    file.write_text(
        pacs008([ROW]).partition("<CdtTrfTxInf>")[0]
        + "".join(f"<{'a' * 50_000}{at}/>" for at in range(100))
    )
    with pytest.raises(BadFile, match="names of 1,000,000 characters together"):
        read(file, schema=TRANSFER_SCHEMA)


def test_limits_are_far_above_what_banks_send() -> None:
    assert xml_walk.MAX_DEPTH >= 2 * 20  # the deepest element of pacs.008 is some 20 deep
    assert xml_walk.MAX_TEXT_CHARS > 100 * 9_000  # ISO 20022's longest text has 9,000 characters


def test_nothing_of_a_file_that_is_refused_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_rows, "CHUNK_ROWS", 1)
    # each chunk of the file ends a part
    many = pacs008([ROW | {"id": f"E{number}"} for number in range(2_000)])
    (tmp_path / "log.xml").write_text(many[:-50])
    with pytest.raises(BadFile, match=r"message 1, payment 2,000: expected well-formed XML"):
        through(str(tmp_path / "log.xml"), TRANSFER_SCHEMA)
    assert not list((tmp_path / "home").rglob("*.parquet"))


# --- what is declared -----------------------------------------------------------------------------
def test_a_schema_without_a_mapping_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "log.xml").write_text(pacs008([ROW]))
    schema = msgspec.structs.replace(TRANSFER_SCHEMA, messages=())
    with pytest.raises(ConfigurationError, match=r"Schema\(messages=\[Iso20022"):
        through(str(tmp_path / "log.xml"), schema)
    with pytest.raises(BadFile, match="expected a file of messages or a folder of them"):
        read(f"iso20022:{tmp_path / 'none'}", schema=TRANSFER_SCHEMA)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"id": "GrpHdr/MsgId"}, "Iso20022: expected a field for the time, column `at`"),
        ({"id": "GrpHd/MsgId"}, "did you mean `GrpHdr`"),
        ({"id": "GrpHdr//MsgId"}, "expected a path from GrpHdr, PmtInf"),
        ({"id": []}, "expected a path"),
    ],
)
def test_a_mistaken_mapping_is_refused_where_it_is_declared(columns: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        msgspec.structs.replace(TRANSFER_SCHEMA, messages=[Iso20022(columns)])
    with pytest.raises(ConfigurationError, match="name its column with currency="):
        Schema(id="id", time="at", amount="amount", messages=[TRANSFERS])
    with pytest.raises(ConfigurationError, match="at most one Iso20022"):
        msgspec.structs.replace(TRANSFER_SCHEMA, messages=[TRANSFERS, TRANSFERS])


def test_a_schema_with_a_mapping_is_the_same_after_json() -> None:
    text = msgspec.json.encode(TRANSFER_SCHEMA)
    again = msgspec.json.decode(text, type=Schema)
    assert msgspec.json.encode(again) == text
    assert isinstance(again.messages[0], Iso20022)


def test_a_location_of_messages_says_where_they_are() -> None:
    assert Location.of("Log.XML").scheme == "iso20022"
    assert str(Location.of("iso20022:/day 1/é").messages) == "/day 1/é"
    assert Location.of("log.csv").messages is None
