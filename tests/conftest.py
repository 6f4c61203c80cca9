"""Servers that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from browser import Browser, chromium
from servers import kafka, postgres, redis


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a window of its own, shared by the tests that ask for it."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(chromium(tmp_path_factory.mktemp("browser")))
        except LookupError as error:
            pytest.skip(f"no browser: {error}")
        yield opened


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """The address of a Kafka broker: the one that SHROFF_TEST_KAFKA names, or one started here."""
    named = os.environ.get("SHROFF_TEST_KAFKA")
    if named:
        yield named
        return
    with ExitStack() as stack:
        try:
            port = stack.enter_context(kafka())
        except LookupError as error:
            pytest.skip(f"no Kafka broker: {error}")
        yield f"127.0.0.1:{port}"
