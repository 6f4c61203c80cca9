"""One fixture gives the engines."""

from __future__ import annotations

import pytest

from contract.engines import ENGINES, Engine, Engines, engine_of


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest) -> Engines:
    """All, also by disk, and online from a snapshot on."""
    return Engines(request, *ENGINES, "disk", "resumed")
