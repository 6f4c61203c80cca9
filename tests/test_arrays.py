"""Each type of array is named in one place."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "shroff"
KERNELS = PACKAGE / "features" / "engines" / "batch" / "grouping.py"
"""Compiled loops have types of their own, by width."""


def test_array_types_are_named_in_one_module() -> None:
    alias = re.compile(r"^\w+(: TypeAlias)? = (npt\.)?NDArray\[", re.MULTILINE)
    naming = {
        path for path in PACKAGE.rglob("*.py") if alias.search(path.read_text(encoding="utf-8"))
    }
    assert naming == {PACKAGE / "arrays.py", KERNELS}
