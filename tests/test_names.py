"""A class has a name of its own in the whole package, and what shares one has a reason."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "shroff"

SHARED = {
    "Column": "what a group of the store has, and what the online engine keeps of one beside its "
    "times",
    "Entry": "what a ledger has, and what a catalog has",
    "Events": "the events of a table that the kernel sweeps, and what records those of a payment",
    "ExpectedCosts": "what each action was expected to cost, as it is decided and as a client "
    "gets it",
    "Finding": "what a check of the doctor found of a detector, and monitoring of a model in use",
    "Partition": "some of a topic's messages in Kafka, some of a table's keys in the batch engine: "
    "the word of both",
    "Place": "where a table is, and where a key's log is; neither leaves its room",
    "Predictions": "what a protocol calls its answer; two protocols do",
    "Reason": "why a payment was not approved, as it is decided and as a client gets it",
    "Split": "what is trained and tested on, what a dataset is asked for, and how pandas writes a "
    "table",
    "Trace": "the way of a request as OpenTelemetry calls it, and of a window over its events",
}
"""Names of several classes, and why each is the right word in its room."""


@cache
def classes() -> dict[str, list[str]]:
    """Where each name is defined; names that begin with `_` stay in their module."""
    found = defaultdict[str, list[str]](list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    return found


def test_only_names_with_a_reason_are_shared() -> None:
    shared = {name: files for name, files in classes().items() if len(files) > 1}
    assert {name: files for name, files in shared.items() if name not in SHARED} == {}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_reason_goes_with_the_last_pair(name: str) -> None:
    assert len(classes()[name]) > 1, (
        f"`{name}` is the name of one class by now: take it from SHARED"
    )
