"""Each array type of the learning rooms is named in one place."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "shroff"
ROOMS = ("detect", "evaluate", "experiment", "expression", "package")


def test_array_types_are_named_in_one_module() -> None:
    alias = re.compile(r"^\w+(: TypeAlias)? = (npt\.)?NDArray\[", re.MULTILINE)
    modules = [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
    assert [path.name for path in modules if alias.search(path.read_text(encoding="utf-8"))] == ["arrays.py"]
