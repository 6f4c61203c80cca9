"""One fixture gives the engines."""

from __future__ import annotations

import pytest

from contract.engines import ENGINES, Engine, engine_of


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)
