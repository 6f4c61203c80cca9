"""A dominant key is found, and its value is shown only if it is a word for a missing one."""

from __future__ import annotations

import polars as pl
import pytest

from shroff import Entity, FeatureGroup, Schema
from shroff.experiment.keys import check_keys
from shroff.features.plan import Plan

SCHEMA = Schema(id="id", time="at", amount="amount", keys=["device", "host"])
DEVICE, PAIR = Entity("device", "device"), Entity("device_and_host", ["device", "host"])


def found(devices: list[str | None], *entities: Entity) -> list[str]:
    frame = pl.DataFrame(
        {"device": devices, "host": ["h1"] * len(devices)}, schema_overrides={"device": pl.String}
    )
    findings = check_keys(
        frame, Plan([FeatureGroup("g", [entity.count("1d") for entity in entities])], SCHEMA)
    )
    assert {(one.check, one.severity) for one in findings} <= {("dominant_key", "warning")}
    return [one.sentence for one in findings]


def devices(many: int, value: str | None) -> list[str | None]:
    return [value if at < many else f"d{at}" for at in range(1_000)]


@pytest.mark.parametrize("value", ["SECRET", "4c1a"])
def test_a_key_with_many_payments_is_found_and_its_value_not_told(value: str) -> None:
    (sentence,) = found(devices(340, value), DEVICE)
    assert (
        "each device (`device`) to have at most 5% of the payments, got one value (see row 1 of "
        "the clean table) with 34.0%" in sentence
    )
    assert value not in sentence


@pytest.mark.parametrize("value", ["N/A", "None", "(null)", "unknown", "Missing"])
def test_a_word_for_nothing_is_told(value: str) -> None:
    (sentence,) = found(devices(51, value), DEVICE)
    assert (
        f"got `{value}` with 5.1%: if it stands for a missing value, declare it with "
        "Schema(nulls=[…])" in sentence
    )


def test_several_columns_are_one_key() -> None:
    one, two = found(devices(60, "x"), DEVICE, PAIR)
    assert "each device and host (`device` and `host`)" in two
    assert "each device (`device`)" in one


def test_a_gap_a_share_of_5_percent_and_a_small_log_are_no_finding() -> None:
    assert found(devices(900, None), DEVICE) == []
    assert found(devices(50, "x"), DEVICE) == []
    assert found([None] * 1_000, DEVICE) == []
    assert found(devices(60, "x")[:199], DEVICE) == []
