"""The catalogue of reason codes: complete, stable, and written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from shroff import FeatureGroup, Schema, calendar, sql
from shroff.decide.codes import CATALOGUE, SUBJECTS, Direction, code, of_column, subjects
from shroff.features.aggregates import RECIPES

DOCS = Path(__file__).parents[2] / "docs" / "reasons.md"
SCHEMA = Schema(id="id", time="t", amount="amount", nominal=["mcc"], numeric=["items"])


def test_every_code_is_documented_as_the_code_says_it() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| (.+) \|$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert dict(rows) == dict(CATALOGUE)
    assert len(rows) == len(CATALOGUE)


def test_every_aggregate_has_a_code() -> None:
    known = {subject.code for subject in SUBJECTS}
    assert {function.upper() for function in RECIPES} <= known
    assert len(known) == len(SUBJECTS)


@pytest.mark.parametrize("direction", get_args(Direction))
def test_every_reason_has_a_code_of_the_catalogue(direction: Direction) -> None:
    for subject in SUBJECTS:
        assert code(subject, direction) in CATALOGUE


def test_columns_and_row_features() -> None:
    group = FeatureGroup(
        "g",
        [
            sql("big", "amount > 5"),
            sql("each", "amount / items"),
            sql("either", "CASE WHEN amount > 5 THEN 'a' ELSE 'b' END"),
            *(calendar(part) for part in ("hour", "weekday", "night")),
        ],
    )
    found = {name: subject.code for name, subject in subjects([group], SCHEMA).items()}
    assert found == {
        "big": "CONDITION",
        "each": "EXPRESSION",
        "either": "TEXT",
        "hour": "HOUR",
        "weekday": "PART",
        "night": "MOMENT",
    }
    assert [of_column(name, SCHEMA).code for name in ("amount", "mcc", "items")] == [
        "AMOUNT",
        "NAME",
        "NUMBER",
    ]
