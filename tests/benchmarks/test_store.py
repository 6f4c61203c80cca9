"""The benchmark of the store runs, and its two joins agree where every row had arrived."""

from __future__ import annotations

import pytest
from benchmarks.store import Feast, at_a_point, measure, plain, tables
from polars.testing import assert_frame_equal


def test_it_prints_a_line_for_each_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    measure(2_000, 1, Feast())
    lines = capsys.readouterr().out.splitlines()
    assert [line[14:66].strip() for line in lines[:3]] == [
        "join, rows arrive at once",
        "join, rows arrive an hour late",
        "join, rows arrive up to a week late",
    ]
    assert [line[14:29] for line in lines[6:]] == [
        "Feast: not aske",
        "a training data",
        "peak memory    ",
    ]


def test_both_joins_agree_where_nothing_is_late() -> None:
    payments, known = tables(5_000, "at once")
    assert_frame_equal(at_a_point(payments, known).drop("status"), plain(payments, known))
