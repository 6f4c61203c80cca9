"""The record of a run, as a report and a card read it."""

from __future__ import annotations

import pytest

from report.records import two_detectors
from shroff.experiment import RunRecord


@pytest.fixture(scope="session")
def record() -> RunRecord:
    """Two detectors on the same payments; a merchant's name is HTML."""
    return two_detectors()
