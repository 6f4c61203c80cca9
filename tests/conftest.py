"""Servers that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from servers import postgres, redis


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one that SHROFF_TEST_POSTGRES names, or one started here."""
    named = os.environ.get("SHROFF_TEST_POSTGRES")
    if named:
        yield named
        return
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres())
        except LookupError as error:
            pytest.skip(f"no PostgreSQL server: {error}")
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis server: the one that SHROFF_TEST_REDIS names, or one started here."""
    named = os.environ.get("SHROFF_TEST_REDIS")
    if named:
        yield named
        return
    with ExitStack() as stack:
        try:
            url = stack.enter_context(redis())
        except LookupError as error:
            pytest.skip(f"no Redis server: {error}")
        yield url
