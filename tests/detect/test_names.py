"""Each class of the learning rooms has a name of its own, and each array type is named in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "shroff"
ROOMS = ("detect", "evaluate", "experiment", "expression", "package")

# public nouns of the field that another room's internals use as well
SHARED = {"Metrics", "Run", "Split"}


def classes() -> Iterator[tuple[str, str]]:
    """The room and the name of every class."""
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield room, node.name


def test_no_class_shares_its_name() -> None:
    found = list(classes())
    names = [name for _, name in found]
    assert {name for room, name in found if room in ROOMS and names.count(name) > 1} == SHARED


def test_array_types_are_named_in_one_module() -> None:
    alias = re.compile(r"^\w+(: TypeAlias)? = (npt\.)?NDArray\[", re.MULTILINE)
    modules = [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
    assert [path.name for path in modules if alias.search(path.read_text(encoding="utf-8"))] == ["arrays.py"]
