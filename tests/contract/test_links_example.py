"""The example of docs/links.md, as it is copied, in every engine."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contract.engines import ENGINES, Engine, engine_of
from shroff import FeatureGroup, Schema

DOCS = (Path(__file__).parents[2] / "docs" / "links.md").read_text(encoding="utf-8")
SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    label="fraud",
    labelled_at="labelled_at",
    keys=["card_id", "host_id", "email", "account_id"],
)


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-05-04T{text}:00+00:00").astimezone(UTC)


def test_the_example_gives_what_the_page_says(engine: Engine) -> None:
    code, *_ = re.findall(r"```python\n(.+?)```", DOCS, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    group: FeatureGroup = names["links"]
    rows = [
        line.strip("| ").split(" | ")
        for line in DOCS.splitlines()
        if re.match(r"\| [a-d] \|", line)
    ]
    ids, times, cards, hosts, *expected = zip(*rows, strict=True)
    frame = pl.DataFrame(
        {
            "id": ids,
            "at": list(map(moment, times)),
            "amount": [100] * 4,
            "card_id": cards,
            "host_id": hosts,
            "email": ["e1", "e1", None, "e1"],
            "account_id": ["a1", "a2", "a2", "a3"],
            "fraud": [True, None, None, None],
            "labelled_at": [moment("10:00"), None, None, None],
        },
        schema_overrides={
            "at": pl.Datetime("us", "UTC"),
            "labelled_at": pl.Datetime("us", "UTC"),
            "fraud": pl.Boolean,
        },
    )
    found = engine([group], frame, SCHEMA)
    for name, values in zip(group.definitions[:3], expected, strict=True):
        assert found[name.name].to_list() == list(map(float, values))
    assert found["card_linked_by_email_distinct_account_id_30d"].to_list() == [0.0, 1.0, 1.0, 2.0]
