"""CSV dialects: what was written is read, by whatever writer; what has two meanings is refused with
its row.
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shroff.collect import csv_dialect, csv_walk, read, read_joined
from shroff.collect.csv_dialect import compiled, records, understand
from shroff.collect.csv_walk import DIALECTS, Dialect
from shroff.errors import BadFile, ConfigurationError

HEADER = ["id", "shop", "note", "mcc"]
AWKWARD = st.text(st.sampled_from("aB1 \"\\,\n\r'N;é"), max_size=12)
ROWS = st.lists(st.tuples(AWKWARD, AWKWARD, AWKWARD), max_size=12)
SLOW = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _rows(texts: list[tuple[str, str, str]]) -> list[list[str]]:
    return [[f"p{row}", *values] for row, values in enumerate(texts, start=1)]


def _rfc4180(rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEADER, *rows])
    return out.getvalue()


def _spark(rows: list[list[str]]) -> str:
    """As Spark 4 writes it: quoted where needed, with backslashes before quotes and backslashes
    only there.
    """

    def text(value: str) -> str:
        if not any(one in value for one in '",\n\r') and value:
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "".join(",".join(map(text, row)) + "\n" for row in [HEADER, *rows])


def _mysql(rows: list[list[str]]) -> str:
    """As MySQL's INTO OUTFILE writes it with commas and no quotes."""

    def text(value: str) -> str:
        for one in "\\,\n\r":
            value = value.replace(one, f"\\{one}")
        return value.replace('"', '\\"')

    return "".join(",".join(map(text, row)) + "\n" for row in [HEADER, *rows])


WRITERS = {"rfc4180": _rfc4180, "spark": _spark, "mysql": _mysql}


def _file(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def _read(path: Path, dialect: Dialect | None = None) -> list[list[str]]:
    return [
        ["" if value is None else value for value in row]
        for row in read(path, dialect=dialect).rows()
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
@SLOW
@given(ROWS)
def test_what_was_written_in_a_declared_dialect_is_read(
    tmp_path: Path, dialect: Dialect, name: str, texts: list[tuple[str, str, str]]
) -> None:
    path = _file(tmp_path, WRITERS[dialect](_rows(texts)), name)
    assert _read(path, dialect) == _rows(texts)


@pytest.mark.parametrize("dialect", DIALECTS)
@SLOW
@given(ROWS)
def test_a_dialect_is_found_or_the_file_is_refused(
    tmp_path: Path, dialect: Dialect, texts: list[tuple[str, str, str]]
) -> None:
    path = _file(tmp_path, WRITERS[dialect](_rows(texts)))
    try:
        found = _read(path)
    except BadFile as refused:
        assert ": row " in str(refused)  # noqa: PT017  # a refusal with the row is as good an outcome
    else:
        assert found == _rows(texts)


@SLOW
@given(ROWS)
def test_what_pythons_writer_wrote_without_backslashes_is_always_read(
    tmp_path: Path, texts: list[tuple[str, str, str]]
) -> None:
    rows = [[value.replace("\\", "/") for value in row] for row in _rows(texts)]
    try:
        assert _read(_file(tmp_path, _rfc4180(rows))) == rows
    except BadFile as refused:
        assert "several lines that look like rows" in str(refused)  # noqa: PT017


@SLOW
@given(ROWS)
def test_columns_divided_by_semicolons_are_read_as_those_divided_by_commas(
    tmp_path: Path, texts: list[tuple[str, str, str]]
) -> None:
    rows = [[value.replace("\\", "/") for value in row] for row in _rows(texts)]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";").writerows([HEADER, *rows])
    try:
        assert _read(_file(tmp_path, out.getvalue())) == rows
    except BadFile as refused:
        assert "several lines that look like rows" in str(refused)  # noqa: PT017


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('aN",\n\r\\'), max_size=40), st.sampled_from(DIALECTS))
def test_compiled_and_plain_walks_agree(text: str, dialect: Dialect) -> None:
    data, steps = text.encode(), csv_walk.steps_of(dialect)
    plain = [0] * len(csv_walk.Walked._fields)
    csv_walk.walk(data, csv_walk.classes_of(), steps, plain)
    fast = np.zeros(len(plain), np.int64)
    compiled(csv_walk.walk)(
        np.frombuffer(data, np.uint8),
        np.frombuffer(csv_walk.classes_of(), np.uint8),
        np.array(steps),
        fast,
    )
    assert fast.tolist() == plain


@pytest.mark.parametrize(
    ("text", "shops"),
    [
        (
            'p1,"TV 42\\" Set",1\np2,B,1\np3,"TV 55\\" Set",1\np4,C,1\n',
            ['TV 42" Set', "B", 'TV 55" Set', "C"],
        ),
        ('p1,"Joe \\"The, Shop\\"",1\np2,B,1\n', ['Joe "The, Shop"', "B"]),
        ('p1,"C:\\\\dir, \\"x\\"",1\np2,C:\\dir\\,1\n', ['C:\\dir, "x"', "C:\\dir\\"]),
        ("p1,Joe\\, Shop,1\np2,two\\\nlines,1\np3,\\N,1\n", ["Joe, Shop", "two\nlines", ""]),
        (
            'p1,TV 42" Outlet,1\np2,B,1\np3,TV 55" Outlet,1\n',
            ['TV 42" Outlet', "B", 'TV 55" Outlet'],
        ),
        ('p1,Joe "The" Shop,1\n', ['Joe "The" Shop']),
        ("p1,C:\\dir\\,1\np2,\\\\server\\x,1\n", ["C:\\dir\\", "\\\\server\\x"]),
        ('p1,"C:\\dir\\",1\n', ["C:\\dir\\"]),
        (
            'p1,"Joe ""The"", Shop",1\np2,"two\r\nlines",1\np3,"",1\n',
            ['Joe "The", Shop', "two\r\nlines", ""],
        ),
        ("p1,'',1\np2,'a,1\n", ["''", "'a"]),
    ],
    ids=[
        "spark",
        "comma",
        "backslashes",
        "mysql",
        "inches",
        "open",
        "path",
        "quoted path",
        "rfc",
        "apostrophes",
    ],
)
def test_each_writers_quotes_are_read_as_meant(tmp_path: Path, text: str, shops: list[str]) -> None:
    for content in (
        text,
        text.replace("\n", "\r\n") if "two" not in text else text,
        text.rstrip("\n"),
        text + "\n\n,,\n",
    ):
        for name in ("log.csv", "log.csv.gz"):
            assert [
                row[1] for row in _read(_file(tmp_path, f"id,shop,mcc\n{content}", name))
            ] == shops
        assert [row[1] for row in records(f"\ufeffid,shop,mcc\n{content}".encode())][1:][
            : len(shops)
        ] == shops


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'p1,A,1\np2,"a\\\\b",1\n',
            "row 2: expected one meaning of its backslashes, got two: as in RFC 4180 or as in "
            "Spark's export; declare how it was written, rfc4180, spark or mysql, with "
            "Schema(csv_dialect=…).",
        ),
        (
            "p1,A,1\np2,a\\\\b,1\n",
            "row 2: expected one meaning of its backslashes, got two: as in RFC 4180 or as in "
            "MySQL's export; declare how it was written, rfc4180, spark or mysql, with "
            "Schema(csv_dialect=…).",
        ),
        (
            'p1,"A,1\np2,B",1\n',
            "row 1: expected 3 values, got 2 in a file with quotes out of place.",
        ),
        (
            'p1,"Joe" Shop,1\n',
            "row 1: expected quotes that are closed, and doubled inside a text, got others.",
        ),
        (
            'p1,A,1\np2,"a\\"b""c",1\n',
            "row 2: expected quotes that are closed, and doubled inside a text, got others.",
        ),
        ('p1,5" x 3, 4",1\n', "row 1: expected 3 values, got 4."),
        (
            'p1,Joe "The\nShop",1\n',
            "row 1: expected 3 values, got 2 in a file with quotes out of place.",
        ),
        (
            "p1,A,1\rp2,B,1\n",
            "row 1: expected lines that end in a line feed, got a carriage return without one.",
        ),
        (
            "p1,A,1\np2,B,1\r",
            "row 2: expected lines that end in a line feed, got a carriage return without one.",
        ),
        (
            'p1,A,1\np2,"B,1\n',
            "row 2: expected quotes that are closed, and doubled inside a text, got others.",
        ),
    ],
)
def test_what_has_no_or_two_meanings_is_refused_with_its_row(
    tmp_path: Path, text: str, sentence: str
) -> None:
    path = _file(tmp_path, f"id,shop,mcc\n{text}")
    if '"A,1' in text:
        # three columns are too few to tell lines of a text from rows
        assert len(read(path)) == 1
        return
    with pytest.raises(BadFile) as refused:
        read(path)
    assert str(refused.value) == f"{path}: {sentence}"


def test_a_text_whose_lines_look_like_rows_needs_a_declared_dialect(tmp_path: Path) -> None:
    path = _file(tmp_path, 'id,at,shop,mcc\np1,1,A,1\np2,1,"A,1\np3,1,B",1\np4,1,C,1\n')
    with pytest.raises(
        BadFile, match=r"row 2: expected a quoted text that ends in its line, got several lines"
    ):
        read(path)
    assert read(path, dialect="rfc4180")["shop"].to_list() == ["A", "A,1\np3,1,B", "C"]


def test_an_unknown_dialect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one of rfc4180, spark, mysql"):
        read(_file(tmp_path, "a\n1\n"), dialect="excel")  # type: ignore[arg-type]  # that is the point


def test_a_large_file_is_walked_over_compiled(tmp_path: Path) -> None:
    row = 'p,"TV 42\\" Outlet, B",x,1\n'
    path = _file(tmp_path, "id,shop,note,mcc\n" + row * 20_000)
    assert path.stat().st_size > csv_dialect._PLAIN_LOOP_BYTES
    table = read(path)
    assert len(table) == understand(path.read_bytes()).rows == 20_000
    assert table["shop"].unique().to_list() == ['TV 42" Outlet, B']


def test_two_tables_are_joined_in_the_declared_dialect(tmp_path: Path) -> None:
    facts = _file(tmp_path, 'id,shop\np1,"a\\\\b"\n', "facts.csv")
    statistics = _file(tmp_path, "id,n\np1,1\n", "statistics.csv")
    with pytest.raises(BadFile, match=r"facts\.csv: row 1: expected one meaning"):
        read_joined(facts, statistics, on="id")
    assert read_joined(facts, statistics, on="id", dialect="spark")["shop"].item() == "a\\b"
    assert read_joined(facts, statistics, on="id", dialect="rfc4180")["shop"].item() == "a\\\\b"
