"""No text is matched in more than linear time: a few kilobytes must not stop a process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages
from time import process_time
from typing import Any

import pytest

import shroff
from shroff.collect import PaymentReader, Schema
from shroff.errors import BadPayment

LENGTH = 100_000
PIECES = [*"10aZe .,-+/:_('", "\\", '"', "1.", "1,", "1 ", "a.", '\\"']
WORST = [piece * (LENGTH // len(piece)) + end for piece in PIECES for end in ("", "x", "!", "\0")]
SECONDS = 1.0
"""Of the processor: what is linear takes a hundredth of it, what is quadratic minutes."""

SEARCHED = {"UNFIT", "_TOKEN", "UNFIT_NAME", "_SECURITY_OPTION", "_CONTROL"}
"""Patterns that are looked for anywhere in a text of somebody else; all others are held against the
whole of one.
"""


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled pattern of the package, by where it stands."""
    seen = set()
    for module in walk_packages(shroff.__path__, "shroff."):
        if "templates" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            for found in value.values() if isinstance(value, dict) else [value]:
                if isinstance(found, re.Pattern) and found not in seen:
                    seen.add(found)
                    yield f"{module.name}.{name}", found


def took(work: Any) -> float:
    began = process_time()
    work()
    return process_time() - began


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(*one, id=one[0]) for one in patterns()])
def test_a_pattern_takes_linear_time(name: str, pattern: re.Pattern[Any]) -> None:
    ways = [pattern.fullmatch, pattern.match]
    if name.rpartition(".")[2] in SEARCHED:
        ways.append(pattern.search)
    for text in WORST:
        worst = text.encode() if isinstance(pattern.pattern, bytes) else text
        for way in ways:
            assert took(lambda: way(worst)) < SECONDS, repr(text[:3])  # noqa: B023  # called now


SCHEMA = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    nominal=["mcc"],
    keys=["card_id"],
    numeric=["score"],
    personal=["email"],
    number_format="1,234.56",
)
PAYMENT = {
    "id": "p1",
    "at": "2024-05-04T10:00:00Z",
    "amount": 1.5,
    "currency": "EUR",
    "mcc": "5411",
    "card_id": "c",
}


@pytest.mark.parametrize("field", [*PAYMENT, "score", "email"])
def test_a_payment_with_a_long_value_is_judged_at_once(field: str) -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    times = ["2024-05-04T10:00:00." + "1" * LENGTH, "2024-05-04T10:00:00." + "1" * LENGTH + "x"]
    for text in [*WORST, *times]:
        body = json.dumps(PAYMENT | {field: text}).encode()
        with suppress(BadPayment):
            assert took(lambda: reader.read(body, arrived=0)) < SECONDS, repr(text[:3])  # noqa: B023  # called now


def test_a_long_name_of_a_field_is_judged_at_once() -> None:
    reader = PaymentReader(SCHEMA, key=b"k" * 32)
    for name in ("x" * LENGTH, "amoun" + "t" * LENGTH, "am" * LENGTH):
        body = json.dumps(PAYMENT | {name: 1}).encode()
        began = process_time()
        with pytest.raises(BadPayment, match="unknown field"):
            reader.read(body, arrived=0)
        assert process_time() - began < SECONDS
