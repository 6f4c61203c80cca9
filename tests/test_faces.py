"""The public face: each room says its contract, and the docs import only what rooms export."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import shroff

ROOT = Path(__file__).parents[1]
ROOMS = [
    module.name
    for module in iter_modules(shroff.__path__)
    if module.ispkg and module.name != "templates"
]
MAIN = {"cli": "app"}
"""Rooms that nobody imports from, and what runs them."""
DEEP = re.compile(
    r"^\s*(?:>>> |\.\.\. )?(?:from|import) (shroff(?:\.\w+)*)(?: import \(?([\w, ]+))?",
    re.MULTILINE,
)
SHOWN = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

each_room = pytest.mark.parametrize("room", ROOMS)
each_page = pytest.mark.parametrize("page", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(text: str) -> str:
    """The fenced and the indented code of a page."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    .*$", text, re.MULTILINE)
    return "\n".join([*fenced, *indented])


@each_room
def test_every_exported_name_is_there_once(room: str) -> None:
    face = import_module(f"shroff.{room}")
    if room in MAIN:
        assert hasattr(face, MAIN[room])
        return
    assert len(set(face.__all__)) == len(face.__all__)
    assert all(getattr(face, name) is not None for name in face.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = face.nonsense


@each_room
def test_the_docstring_is_the_room_s_contract(room: str) -> None:
    text = import_module(f"shroff.{room}").__doc__ or ""
    assert text.startswith(f"{room.title()}: ")
    assert "Reads" in text
    assert "Promises" in text


@each_page
def test_code_in_the_docs_imports_only_what_is_exported(page: Path) -> None:
    for module, names in DEEP.findall(blocks(page.read_text(encoding="utf-8"))):
        assert module.count(".") <= 1, (
            f"`{module}` is a module inside a room: export what the page needs"
        )
        face = import_module(module)
        for name in filter(None, re.split(r"[, ]+", names)):
            assert name in face.__all__, f"`{name}` is not in `__all__` of {module}"


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.name
)
def test_examples_import_only_what_is_exported(example: Path) -> None:
    for module, _ in DEEP.findall(example.read_text(encoding="utf-8")):
        assert module.count(".") <= 1, f"`{module}` is a module inside a room"


def test_a_deeper_import_in_a_page_is_found() -> None:
    page = (
        "Text.\n\n```python\n>>> from shroff.features.plan import Plan\n```\n\n    import "
        "shroff.collect.nulls\n"
    )
    assert [module for module, _ in DEEP.findall(blocks(page))] == [
        "shroff.features.plan",
        "shroff.collect.nulls",
    ]


@each_room
def test_every_ignored_rule_has_its_reason(room: str) -> None:
    reason = re.compile(r"# (?:type: ignore\[[a-z, -]+\]|noqa: [A-Z0-9]+)  # \S")
    for path in (ROOT / "src" / "shroff" / room).rglob("*.py"):
        marked = re.findall(r".*# (?:type: ignore|noqa).*", path.read_text(encoding="utf-8"))
        assert [line for line in marked if not reason.search(line)] == [], path.name
