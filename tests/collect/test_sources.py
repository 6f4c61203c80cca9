"""Files: what can be read is read, anything else is one sentence that gives no value away."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from stat import S_IFSOCK

import polars as pl
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shroff import Schema
from shroff.collect import clean, read, read_joined, write_clean, write_parquet
from shroff.collect.csv_text import separator_of
from shroff.collect.sources import scan, written_whole
from shroff.errors import BadFile

GOOD = [("1", "SECRET"), ("3", "y")]


def _file(folder: Path, content: bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(BadFile) as refused:
        read(path)
    sentence = str(refused.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert "SECRET" not in sentence
    return sentence.removeprefix(f"{path}: ")


# --- CSV ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,SECRET\n3,y\n",
        b"a,b\n1,SECRET\n3,y",
        b"\xef\xbb\xbfa,b\n1,SECRET\n3,y\n",
        b"a,b\r\n1,SECRET\r\n3,y\r\n",
        b"a,b\r\n1,SECRET\n3,y\r\n",
        b'"a","b"\n"1","SECRET"\n3,"y"\n',
        b"\na,b\n1,SECRET\n\n3,y\n\n\n",
        b"a,b\n1,SECRET\n,\n3,y\n",
        b"a;b\n1;SECRET\n\n;\n3;y\n",
        b'\xef\xbb\xbf"a";"b"\r\n"1";"SECRET"\r\n3;y\r\n',
        b"a\tb\n1\tSECRET\n3\ty\n",
        b"a|b\n1|SECRET\n3|y\n",
        gzip.compress(b"a,b\n1,SECRET\n3,y\n"),
        gzip.compress(b"a,b\n1,SECRET\n") + gzip.compress(b"3,y\n"),
    ],
    ids=[
        "plain",
        "no last line feed",
        "mark",
        "crlf",
        "both",
        "quoted",
        "blank",
        "commas",
        "semicolons",
        "semicolons and quotes",
        "tabs",
        "bars",
        "gzip",
        "two gzips",
    ],
)
@pytest.mark.parametrize("name", ["log.csv", "LOG.CSV", "log.csv.gz", "log[1]*.csv", "lög, a.csv"])
def test_csv_is_read_as_text(tmp_path: Path, content: bytes, name: str) -> None:
    frame = read(_file(tmp_path, content, name))
    assert frame.columns == ["a", "b"]
    assert frame.rows() == GOOD


def test_texts_keep_what_is_in_them(tmp_path: Path) -> None:
    content = 'a,b\n"two\nlines","a ""b"", c"\n 007 ,ø\u00a0\n1\x002,\n'.encode()
    assert read(_file(tmp_path, content)).rows() == [
        ("two\nlines", 'a "b", c'),
        (" 007 ", "ø\u00a0"),
        ("1\x002", None),
    ]


def test_commas_in_texts_divide_no_columns_that_semicolons_do(tmp_path: Path) -> None:
    content = b'id;"amount, net";shop\n1;"1.234,56";A, B\n2;7,5;"C; ""D"""\n3;8,0;E "F"\n'
    found = read(_file(tmp_path, content))
    assert found.columns == ["id", "amount, net", "shop"]
    assert found.rows() == [
        ("1", "1.234,56", "A, B"),
        ("2", "7,5", 'C; "D"'),
        ("3", "8,0", 'E "F"'),
    ]


def test_the_first_row_says_by_which_of_two_a_header_is_divided(tmp_path: Path) -> None:
    """Names that hold commas without quotes, and amounts with decimal commas."""
    file = tmp_path / "log.csv"
    file.write_text("Betrag, EUR;Datum, Zeit;Id\n1,50;05.04.2024;7\n")
    assert read(file).columns == ["Betrag, EUR", "Datum, Zeit", "Id"]
    file.write_text("Id;Name (Bank, Land, Ort)\n7;x\n")
    assert read(file).columns == ["Id", "Name (Bank, Land, Ort)"]
    for text in ("Id;Betrag, EUR\n7;1,50\n", "Id;Betrag, EUR\n"):
        file.write_text(text)
        with pytest.raises(BadFile, match="divided alike by `,` and by `;`: put the names"):
            read(file)
    file.write_text('Id;"Betrag, EUR"\n7;1,50\n')
    assert read(file).columns == ["Id", "Betrag, EUR"]
    # a row that another separator leaves open
    file.write_text('id,amount,who\n7,5,"a ""b"" | c"\n')
    assert read(file)["who"].item() == 'a "b" | c'


def test_semicolons_in_a_name_divide_no_columns_that_commas_do(tmp_path: Path) -> None:
    found = read(_file(tmp_path, b'id,"paid; refused; pending; other"\n1,paid\n'))
    assert found.columns == ["id", "paid; refused; pending; other"]
    assert found.rows() == [("1", "paid")]


@pytest.mark.parametrize(
    ("header", "separator"),
    [("a,b", ","), ('"a, net";b;c', ";"), ("a\tb", "\t"), ("a|b|c;d", "|"), ("a", ","), ("", ","),
     ('"a', ","), ('id, "a; b; c"', ","), ('id|"a;b;c"', "|"), ('"A ""B""";b;c', ";")],
)  # fmt: skip
def test_columns_are_divided_by_what_divides_the_header(header: str, separator: str) -> None:
    assert separator_of(header) == separator


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    assert read(_file(tmp_path, b"a,b\n")).shape == (0, 2)
    assert read(_file(tmp_path, b"a,b")).columns == ["a", "b"]


def test_a_short_row_lacks_its_last_values(tmp_path: Path) -> None:
    assert read(_file(tmp_path, b"a,b\n1\n3,4\n")).rows() == [("1", None), ("3", "4")]


def test_an_unnamed_column_is_no_obstacle(tmp_path: Path) -> None:
    assert read(_file(tmp_path, b",a,b\n0,1,SECRET\n1,3,y\n")).select("a", "b").rows() == GOOD


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "expected a header line, got an empty file."),
        (b"\n\n", "expected a header line, got an empty file."),
        (b"a,b\n1,2\n1,2,SECRET\n", "row 2: expected 2 values, got 3."),
        (b'a,b\n"x\ny",2\n1,2,SECRET\n', "row 2: expected 2 values, got 3."),
        (b"a,b\n\n1,2,\n", "row 1: expected 2 values, got 3."),
        (b"a,b\n1,2\n\xffSECRET,2\n", "row 2: expected text in UTF-8, got other bytes."),
        (
            b'a,b\n1,2\n"SECRET,2\n3,4\n',
            "row 2: expected quotes that are closed, and doubled inside a text, got others.",
        ),
        (
            b'a,b\n"SECRET"y,2\n',
            "row 1: expected quotes that are closed, and doubled inside a text, got others.",
        ),
        (b"a,b,a\n1,2,3\n", "expected each column once, got 2 columns `a` in the header."),
        (b"a;b\n1,SECRET\n1;2;SECRET\n", "row 2: expected 2 values, got 3."),
        (b"a;b\n1;2\n\xffSECRET;2\n", "row 2: expected text in UTF-8, got other bytes."),
        (
            b"a,b\r1,SECRET\r",
            "expected a header line with closed quotes and a line feed at its end.",
        ),
        (
            b'"a,b\n1,SECRET\n',
            "expected a header line with closed quotes and a line feed at its end.",
        ),
        (
            b'a,"b,SECRET\n1,2,3\n',
            "expected a header line with closed quotes and a line feed at its end.",
        ),
        (
            b'a;"b"SECRET\n1;2\n',
            "expected a header line with closed quotes and a line feed at its end.",
        ),
        (
            b'"a\nSECRET",b\n',
            "expected a header line of column names, got something else in the first line.",
        ),
        (
            b"SECRET" * 50 + b",b\n",
            "expected a header line of column names, got something else in the first line.",
        ),
        (
            "a,b\n1,SECRET\n".encode("utf-16"),
            "expected a header line in UTF-8, got other bytes: a binary file?",
        ),
        (
            "a,b\n1,SECRET\n".encode("utf-16-le"),
            "expected text in UTF-8, got NUL bytes in the header: UTF-16 or a binary file?",
        ),
        (
            "å,b\n1,SECRET\n".encode("latin-1"),
            "expected a header line in UTF-8, got other bytes: a binary file?",
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rSECRET",
            "expected a header line in UTF-8, got other bytes: a binary file?",
        ),
    ],
)
def test_a_bad_csv_file_is_told_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    assert _refused(_file(tmp_path, content)) == sentence
    assert _refused(_file(tmp_path, gzip.compress(content), "log.csv.gz")) == sentence


def test_a_bad_row_far_down_is_named(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,2\n" * 100_000 + b'"12" SECRET,2\n' + b"3,4\n" * 50_000
    assert _refused(_file(tmp_path, content)).startswith(
        "row 100,001: expected quotes that are closed"
    )


@pytest.mark.parametrize("cut", [3, 12, -9, -1])
def test_a_gzip_file_that_is_cut_off_is_told(tmp_path: Path, cut: int) -> None:
    content = gzip.compress(b"a,b\n" + b"1,SECRET\n" * 1_000)[:cut]
    sentence = "expected a whole gzip file, got one that is damaged or cut off."
    assert _refused(_file(tmp_path, content, "log.csv.gz")) == sentence


def test_a_gzip_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"a,b\n1,SECRET\n", mtime=0))
    content[-6] ^= 1
    sentence = "expected a whole gzip file, got one that is damaged or cut off."
    assert _refused(_file(tmp_path, bytes(content), "log.csv.gz")) == sentence


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.binary(max_size=80)
    | st.text(st.sampled_from('ab1,"\n\r\x00é;'), max_size=40).map(str.encode)
)
def test_any_bytes_are_a_table_or_one_sentence(tmp_path: Path, content: bytes) -> None:
    for name in ("log.csv", "log.csv.gz"):
        try:
            frame = read(_file(tmp_path, content, name))
        except BadFile as refused:
            assert "\n" not in str(refused)  # noqa: PT017  # a table is as good an outcome
        else:
            assert set(frame.dtypes) <= {pl.String()}


# --- Parquet --------------------------------------------------------------------------------------
TABLE = pl.DataFrame({"a": range(500), "b": [f"SECRET{row}" for row in range(500)]})


def _parquet() -> bytes:
    buffer = io.BytesIO()
    TABLE.write_parquet(buffer)
    return buffer.getvalue()


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    assert read(_file(tmp_path, _parquet(), "log.parquet")).equals(TABLE)
    # a folder that looks like a partition adds no column
    (tmp_path / "year=2024").mkdir()
    assert read(_file(tmp_path / "year=2024", _parquet(), "log[1].PARQUET")).columns == ["a", "b"]


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"a,b\n1,SECRET\n", _parquet()[:200], _parquet()[:-30]]
)
def test_what_is_no_parquet_file_is_told(tmp_path: Path, content: bytes) -> None:
    sentence = _refused(_file(tmp_path, content, "log.parquet"))
    assert (
        sentence == "expected a Parquet file, got one that is damaged, cut off or of another kind."
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [("at", ": column with name 'at' has more than one occurrence"), ("4111111111111111", "")],
)
def test_two_columns_of_one_name_are_told(tmp_path: Path, name: str, said: str) -> None:
    file = tmp_path / "log.parquet"
    table = pyarrow.table([pyarrow.array([1]), pyarrow.array([2])], names=[name, name])
    pyarrow.parquet.write_table(table, file)
    sentence = f"{file}: expected each column once, got a name twice{said}."
    for reading in (read, scan):
        with pytest.raises(BadFile, match=f"^{re.escape(sentence)}$"):
            reading(file)


def test_a_damaged_parquet_file_is_read_or_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, draw = _parquet(), random.Random(3)
    told: list[str] = []
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 3])):
            # the footer, where one byte misleads the reader most
            damaged[len(damaged) - 1 - draw.randrange(600)] = draw.randrange(256)
        try:
            read(_file(tmp_path, bytes(damaged), "log.parquet"))
        except BadFile as refused:
            told.append(str(refused))
    assert len(told) > 20
    kind = re.compile(r".*: expected a Parquet file, got one that is .* kind\.")
    assert [one for one in told if not kind.fullmatch(one)] == []
    capfd.readouterr()


# --- neither --------------------------------------------------------------------------------------
def test_other_files_are_told(tmp_path: Path) -> None:
    wanted = "expected a .csv, .csv.gz, .parquet or .xml file"
    assert _refused(tmp_path / "none.csv") == f"{wanted}, found no such file."
    assert _refused(_file(tmp_path, b"", "log.xlsx")) == f"{wanted}, got `.xlsx`."
    assert _refused(_file(tmp_path, b"", "log")) == f"{wanted}, got `no suffix`."
    (tmp_path / "folder.csv").mkdir()
    several = "of several files make one log (docs/raw-logs.md shows how)"
    assert _refused(tmp_path / "folder.csv") == f"{wanted}, got a folder or a device: {several}."
    assert _refused(tmp_path / "may-*.csv") == f"{wanted}, found no such file: {several}."
    assert _refused(tmp_path / ("x" * 300 + ".csv")).startswith(wanted)


def test_a_file_that_may_not_be_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("log.csv", "log.parquet"):
        path = _file(tmp_path, b"a\n1\n", name)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", forbidden)
            assert _refused(path) == (
                "expected a .csv, .csv.gz, .parquet or .xml file that can be opened, got: "
                "Permission denied."
            )


# --- two tables -----------------------------------------------------------------------------------
def _two(folder: Path, facts: str, statistics: str) -> tuple[Path, Path]:
    return _file(folder, facts.encode(), "facts.csv"), _file(
        folder, statistics.encode(), "statistics.csv"
    )


def test_a_join_keeps_both_ids_and_marks_the_second_tables_columns(tmp_path: Path) -> None:
    facts, statistics = _two(
        tmp_path, "id,at,eur\np2,1,5\np1,2,6\n", "at,id,count\n8,p1,1\n9,p2,0\n7,p3,4\n"
    )
    joined = read_joined(facts, statistics, on="id")
    assert joined.columns == ["id", "at", "eur", "at (2)", "id (2)", "count"]
    assert joined.rows() == [("p2", "1", "5", "9", "p2", "0"), ("p1", "2", "6", "8", "p1", "1")]


def test_payments_without_statistics_are_left_out_only_while_they_are_few(tmp_path: Path) -> None:
    rows = "".join(f"p{row}\n" for row in range(100))
    facts, statistics = _two(tmp_path, f"id\n{rows}alone\n", f"id,n\n{rows}")
    assert len(read_joined(facts, statistics, on="id")) == 100
    with pytest.raises(BadFile) as refused:
        read_joined(facts, statistics, on="id", max_bad=0.001)
    assert str(refused.value) == (
        f"{statistics}: expected statistics for each payment of {facts}, found none for 1 of 101 "
        "(first in row 101), more than the 0.1 % allowed (--max-bad; in Python, max_bad)."
    )
    kept = read_joined(facts, statistics, on="id", how="left", max_bad=0.0)
    assert kept.row(100) == ("alone", None, None)


def test_numbers_in_one_file_match_texts_in_the_other(tmp_path: Path) -> None:
    facts = _file(tmp_path, b"id,eur\n7,1\n8,2\n", "facts.csv")
    for ids in (
        pl.Series([7, 8]),
        pl.Series([7.0, 8.0]),
        pl.Series(["7", "8"], dtype=pl.Categorical),
    ):
        write_parquet(pl.DataFrame({"id": ids, "n": [1, 2]}), tmp_path / "statistics.parquet")
        joined = read_joined(facts, tmp_path / "statistics.parquet", on="id")
        assert joined.rows() == [("7", "1", "7", 1), ("8", "2", "8", 2)]


@pytest.mark.parametrize(
    ("facts", "statistics", "sentence"),
    [
        (
            "id\np1\n",
            "ids\np1\n",
            "statistics.csv: expected the payment id in a column `id`, found none: did you mean "
            "`ids`?",
        ),
        (
            "key\np1\n",
            "id\np1\n",
            "facts.csv: expected the payment id in a column `id`, found none.",
        ),
        (
            "id\np1\n",
            "id,n\np0,1\np1,2\np1,3\n",
            "statistics.csv: expected one row of statistics per payment, got several for the `id` "
            "of row 2.",
        ),
        (
            "id,n,n (2)\np1,1,1\n",
            "id,n\np1,2\n",
            "facts.csv: expected no column whose name ends in ` (2)`: those are the statistics'.",
        ),
    ],
)
def test_tables_that_do_not_join_are_told(
    tmp_path: Path, facts: str, statistics: str, sentence: str
) -> None:
    with pytest.raises(BadFile) as refused:
        read_joined(*_two(tmp_path, facts, statistics), on="id")
    assert str(refused.value) == f"{tmp_path}/{sentence}"


def test_empty_ids_match_nothing(tmp_path: Path) -> None:
    facts, statistics = _two(tmp_path, "id,eur\n,1\np1,2\n", "id,n\n,1\n,2\np1,3\n")
    assert read_joined(facts, statistics, on="id", max_bad=0.5).rows() == [("p1", "2", "p1", "3")]


def test_a_card_number_is_no_name_of_a_column(tmp_path: Path) -> None:
    sentence = _refused(_file(tmp_path, b"p1,4111111111111111\np2,5500000000000004\n"))
    assert sentence.startswith("expected a header line of column names, got a card number")


# --- writing --------------------------------------------------------------------------------------
def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_parquet(TABLE, tmp_path / "deep" / "log.parquet")
    write_parquet(TABLE, tmp_path / "deep" / "log.parquet")
    assert read(tmp_path / "deep" / "log.parquet").equals(TABLE)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["log.parquet"]


def test_a_clean_table_is_not_cleaned_again(tmp_path: Path) -> None:
    write_clean(TABLE, tmp_path / "clean.parquet")
    assert "got a clean one, whose amounts are minor units" in _refused(tmp_path / "clean.parquet")
    assert pl.read_parquet(tmp_path / "clean.parquet").equals(TABLE), "to others it is a table"


def test_json_is_refused_with_the_page_that_converts_it(tmp_path: Path) -> None:
    assert "docs/raw-logs.md" in _refused(_file(tmp_path, b"{}", "log.ndjson"))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = _file(tmp_path, b"old")

    def fail() -> None:
        with written_whole(target) as file:
            file.write(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    _file(tmp_path, b"", "file")
    with pytest.raises(BadFile, match=r"file/log\.parquet: cannot be written: "):
        write_parquet(TABLE, tmp_path / "file" / "log.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (partial(Path.symlink_to, target="/dev/full"), "a symbolic link"),
        (partial(Path.symlink_to, target="aside"), "a symbolic link"),
        (partial(os.mknod, mode=S_IFSOCK | 0o600), "a socket"),
    ],
    ids=["folder", "pipe", "link to a device", "link to nothing", "socket"],
)
def test_only_a_regular_file_is_replaced(
    tmp_path: Path, make: Callable[[Path], object], kind: str
) -> None:
    target = tmp_path / "log.parquet"
    make(target)
    before = target.lstat()
    with pytest.raises(BadFile) as refused:
        write_parquet(TABLE, target)
    assert str(refused.value) == f"{target}: expected a regular file, got {kind}."
    assert os.path.samestat(before, target.lstat())
    assert [path.name for path in tmp_path.iterdir()] == ["log.parquet"]


def test_a_device_stays_one() -> None:
    with pytest.raises(BadFile, match=r"^\.: expected the name of a file, got a folder\.$"):
        write_parquet(TABLE, ".")
    with pytest.raises(BadFile, match=r"^/dev/full: expected a regular file, got a device\.$"):
        write_parquet(TABLE, "/dev/full")
    assert Path("/dev/full").is_char_device()


def test_a_zone_that_is_an_offset_is_read_as_pandas_writes_it(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    at = arrow.array([1_700_000_000_000_000], arrow.timestamp("us", tz="+05:30"))
    file = tmp_path / "log.parquet"
    parquet.write_table(arrow.table({"id": ["a"], "at": at, "amount": [1.0]}), file)
    schema = Schema(id="id", time="at", amount="amount")
    cleaned = clean(read(file), schema, key=b"k" * 32)
    assert cleaned.frame["at"].dt.epoch("us").to_list() == [1_700_000_000_000_000]
