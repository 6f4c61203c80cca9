"""A control database and a clock of its own for each test of cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from act.records import Moment


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.db'}"


@pytest.fixture
def clock() -> Moment:
    return Moment()
