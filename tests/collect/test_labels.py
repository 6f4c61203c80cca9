"""Tables of labels: read by the schema, and put beside the payments they are of."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from shroff import Schema
from shroff.collect.labels import HISTORY, read_labels, unranked, with_labels, with_one_label
from shroff.errors import BadFile, ConfigurationError

SCHEMA = Schema(
    id="id",
    time="t",
    amount="a",
    label="fraud",
    labelled_at="at",
    label_sources=["chargeback", "analyst"],
)
MOMENT = pl.Datetime("us", "UTC")


def day(number: int) -> datetime:
    return datetime(2024, 1, number, tzinfo=UTC)


def table(**columns: object) -> pl.DataFrame:
    usual = {
        "id": ["p", "q", "r"],
        "t": [day(1)] * 3,
        "a": [1] * 3,
        "fraud": [False, False, None],
        "at": [None] * 3,
    }
    return pl.DataFrame(
        usual | columns, schema_overrides={"fraud": pl.Boolean, "at": MOMENT, "t": MOMENT}
    )


def said(*rows: tuple[str, bool, datetime, str]) -> pl.DataFrame:
    columns: dict[str, type[pl.DataType] | pl.DataType] = {
        "id": pl.String,
        "fraud": pl.Boolean,
        "at": MOMENT,
        "source": pl.String,
    }
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_what_stands_in_the_end_is_the_label() -> None:
    labels = said(
        ("p", False, day(4), "shop"),
        ("p", True, day(2), "chargeback"),
        ("p", False, day(3), "analyst"),
        ("nobody", True, day(2), "analyst"),
    )
    found = with_labels(table(), labels, SCHEMA)
    assert found.select("id", "fraud", "at").row(0) == ("p", True, day(2))
    assert [one["rank"] for one in found[HISTORY][0]] == [0, 1, 2]


def test_a_payment_of_whom_nobody_spoke_keeps_its_label() -> None:
    found = with_labels(table(), said(("p", True, day(2), "analyst")), SCHEMA)
    assert found["fraud"].to_list() == [True, False, None]
    assert found["at"].to_list() == [day(2), None, None]
    known = with_labels(
        table(at=[None, day(5), None]), said(("p", True, day(2), "analyst")), SCHEMA
    )
    assert known["at"].to_list() == [day(2), day(5), None]
    assert [None if one is None else len(one) for one in known[HISTORY]] == [1, 1, None]


def test_one_label_is_a_history_of_one() -> None:
    found = with_one_label(table(at=[day(3), None, None]), SCHEMA)
    assert [None if one is None else len(one) for one in found[HISTORY]] == [1, None, None]


def test_a_table_of_labels_is_read_by_the_schema() -> None:
    raw = pl.DataFrame(
        {
            "id": ["p"],
            "fraud": ["1"],
            "at": ["2024-01-02T00:00:00Z"],
            "source": [" analyst "],
            "x": [1],
        }
    )
    assert read_labels(raw, SCHEMA).row(0) == ("p", True, day(2), "analyst")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"at": "noon"}, "column `at`: expected an ISO 8601 .* in each row, got .* in row 1"),
        ({"at": "2100-01-01T00:00:00Z"}, "got a time that is not from 1970 to 2099 in row 1"),
        ({"fraud": ""}, "column `fraud`: expected 0 or 1 .* in each row, got none in row 1"),
        ({"fraud": "maybe"}, "column `fraud`: expected 0 or 1 .* in each row, got text in row 1"),
        ({"id": "x" * 201}, "got a text of more than 200 characters in row 1"),
        (
            {"fraud": None, "frauds": "1"},
            "expected a column `fraud`, found none: did you mean `frauds`",
        ),
        ({"sources": "analyst"}, "a column `source` that .* found none: did you mean `sources`"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    changes: dict[str, str | None], sentence: str
) -> None:
    row = {"id": "p", "fraud": "1", "at": "2024-01-02T00:00:00Z"} | changes
    raw = pl.DataFrame({name: [value] for name, value in row.items() if value is not None})
    with pytest.raises(BadFile, match=sentence):
        read_labels(raw, SCHEMA, source="labels.csv")


def test_labels_of_sources_that_are_not_ranked_are_counted() -> None:
    assert unranked(said(), SCHEMA) == 0
    raw = {"id": ["p"] * 3, "fraud": ["1"] * 3, "at": ["2024-01-02T00:00:00Z"] * 3}
    read = read_labels(pl.DataFrame({**raw, "source": ["analyst", "analist", None]}), SCHEMA)
    assert unranked(read, SCHEMA) == 2
    plain = Schema(id="id", time="t", amount="a", label="fraud", labelled_at="at")
    assert unranked(read_labels(pl.DataFrame(raw), plain), plain) == 0


def test_a_schema_without_arrivals_of_labels_has_no_history() -> None:
    with pytest.raises(ConfigurationError, match="labelled_at"):
        with_labels(table(), said(), Schema(id="id", time="t", amount="a", label="fraud"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"label_sources": "analyst"}, "expected a list of sources"),
        ({"label_sources": ["analyst", "analyst"]}, "each source of labels by its name, once"),
        (
            {"label_sources": ["analyst"], "label": None, "labelled_at": None},
            "name their column with label=",
        ),
    ],
)
def test_sources_that_make_no_ranks_are_refused(changes: dict[str, object], sentence: str) -> None:
    usual = {"id": "id", "time": "t", "amount": "a", "label": "fraud", "labelled_at": "at"}
    with pytest.raises(ConfigurationError, match=sentence):
        Schema(**(usual | changes))  # type: ignore[arg-type]  # wrong on purpose
