"""The example payment: accepted by the reader of every schema, and each time another payment."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from shroff import Schema
from shroff.collect import PaymentReader
from shroff.detect.preparation import Nominal, Numeric, Preparation
from shroff.serve.example import example_payment

NAMES: dict[str, Any] = {"id": "id", "time": "at", "amount": "eur"}
PREPARATION = Preparation(
    (Numeric("items", 2.3456),), (Nominal("code", ("undefined", "978x", "JPY", "EUR")),)
)


@pytest.mark.parametrize(
    "schema",
    [
        Schema(**NAMES),
        Schema(**NAMES, default_currency="KWD"),
        Schema(**NAMES, currency="code", nominal=["code"]),
        Schema(**NAMES, currency="money", timezone="Europe/Copenhagen"),
        Schema(**NAMES, arrived_at="seen", label="fraud", labelled_at="told", result="done"),
        Schema(
            **NAMES,
            personal=["<b>", "e-mail"],
            ignored=["note"],
            numeric=["items"],
            required=["items", "<b>"],
        ),
        Schema(**NAMES, nominal=["mcc"], keys=["card_id", "é"], required=["card_id", "mcc"]),
    ],
)
def test_every_schema_accepts_its_example(schema: Schema) -> None:
    example = example_payment(schema, PREPARATION)
    read = PaymentReader(schema, key=b"k" * 32).read(msgspec.json.encode(example), arrived=0)
    assert read.id == example["id"]
    assert None not in read.values.values()


def test_it_is_typical_of_the_training_data() -> None:
    schema = Schema(
        **NAMES, currency="code", nominal=["code", "country"], numeric=["items", "other"]
    )
    example = example_payment(schema, PREPARATION)
    assert (example["code"], example["eur"]) == ("JPY", 137.0), (
        "the most frequent currency, in its decimals"
    )
    assert (example["items"], example["other"], example["country"]) == (2.35, 1.0, "DK")


def test_another_second_is_another_payment() -> None:
    first, second = (
        example_payment(Schema(**NAMES), PREPARATION, clock=partial(int, at))
        for at in (0, 1_000_000)
    )
    assert first["id"] != second["id"]
    assert first["at"] == "1970-01-01T00:00:00Z"
