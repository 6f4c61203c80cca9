"""Servers, and the small service of `serve.fixtures`, that every test may ask for."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from browser import Browser, axe_core, chromium
from cluster import local_spark
from longest import FilesToWorkers, sort_longest_first
from servers import azurite, kafka, or_skip, postgres, redis
from shroff.lazy import without_collection

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling

pytest_plugins = ["serve.fixtures"]

# how long an example takes says something about what else the machine does, and nothing about the
# code
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# what Spark does in a test is done once: code that is compiled better would take more time than it
# saves, and so do threads that collect garbage
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than cores: while one waits for a server or process that its test started,
    another computes. With two more the same tests took longer.
    """
    # None: the variable is read by pytest-xdist itself
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Of `--dist loadfile`; None: that of pytest-xdist."""
    return FilesToWorkers(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all tests without garbage collection, which would find nothing, and keep them out of
    later ones: that saves each worker ten seconds of the processor. What tests keep is looked
    through ten times less often than usual, which saves 3 %.
    """
    with without_collection():
        result = yield
        gc.freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 10 * old)
    return result


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each worker the same order, which `--no-loadscope-reorder` lets stand."""
    if hasattr(config, "workerinput"):
        sort_longest_first(items)


@pytest.fixture(params=[0o000, 0o022])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The usual umask, and one that takes nothing away."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one that SHROFF_TEST_POSTGRES names, or one started
    here.
    """
    named = os.environ.get("SHROFF_TEST_POSTGRES")
    if named:
        yield named
        return
    with or_skip(postgres(), "PostgreSQL server") as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis server: the one that SHROFF_TEST_REDIS names, or one started here."""
    named = os.environ.get("SHROFF_TEST_REDIS")
    if named:
        yield named
        return
    with or_skip(redis(), "Redis server") as url:
        yield url


@pytest.fixture(scope="session")
def azure_tables() -> Iterator[str]:
    """The connection string of Azurite, the official emulator of Azure's storage."""
    with or_skip(azurite(), "Azurite") as connection:
        yield connection


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a window of its own."""
    with or_skip(chromium(tmp_path_factory.mktemp("browser")), "browser") as opened:
        yield opened


@pytest.fixture
def browser(shared_browser: Browser) -> Browser:
    """The one browser, with no page open, as if nobody had emulated another window or medium."""
    shared_browser.open("about:blank")
    shared_browser.emulate(1440, 900)
    shared_browser.console()
    return shared_browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core, for `Browser.barriers`."""
    try:
        return axe_core()
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[str]:
    """The address of a Kafka broker: the one that SHROFF_TEST_KAFKA names, or one started here."""
    named = os.environ.get("SHROFF_TEST_KAFKA")
    if named:
        yield named
        return
    with or_skip(kafka(), "Kafka broker") as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A Spark of this machine; who changes a setting of it puts it back."""
    with or_skip(local_spark(), "Spark") as session:
        yield session
