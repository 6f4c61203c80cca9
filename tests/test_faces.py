"""The rooms of learning: each says its contract, and exports what the README and the docs use."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("detect", "evaluate", "experiment", "expression", "package")

each_room = pytest.mark.parametrize("room", ROOMS)


@each_room
def test_every_exported_name_is_there_once(room: str) -> None:
    face = import_module(f"shroff.{room}")
    assert len(set(face.__all__)) == len(face.__all__)
    assert all(getattr(face, name) is not None for name in face.__all__)


@each_room
def test_the_docstring_is_the_room_s_contract(room: str) -> None:
    text = import_module(f"shroff.{room}").__doc__ or ""
    assert text.startswith(f"{room.title()}: ")
    assert "Reads" in text
    assert "Promises" in text


@each_room
def test_docs_and_examples_import_from_the_room_itself(room: str) -> None:
    shown = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]
    deeper = re.compile(rf"from shroff\.{room}\.\w+ import")
    assert [path.name for path in shown if deeper.search(path.read_text(encoding="utf-8"))] == []


@each_room
def test_every_ignored_rule_has_its_reason(room: str) -> None:
    reason = re.compile(r"# (?:type: ignore\[[a-z, -]+\]|noqa: [A-Z0-9]+)  # \w")
    for path in (ROOT / "src" / "shroff" / room).rglob("*.py"):
        marked = re.findall(r".*# (?:type: ignore|noqa).*", path.read_text(encoding="utf-8"))
        assert [line for line in marked if not reason.search(line)] == [], path.name
