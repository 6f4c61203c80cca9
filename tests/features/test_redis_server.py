"""State in Redis when the server goes away, comes back with or without its data, or is a
cluster.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from time import sleep

import pytest
import redis as client_library

from features.online_world import COUNTS, SCHEMA, open_state, pay
from servers import free_port, or_skip, redis
from shroff.errors import StateUnavailable
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, link

Start = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts the same server again: on one port, with what it saved when it was stopped."""
    port = free_port()

    @contextmanager
    def started() -> Iterator[str]:
        with or_skip(
            redis("--dir", str(tmp_path), "--save", "3600 1", port=port), "Redis server"
        ) as url:
            yield url

    return started


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two attempts."""
    monkeypatch.setattr(link, "_PAUSE_SECONDS", 0.0)


def engine_on(url: str) -> RedisEngine:
    return RedisEngine([COUNTS], SCHEMA, url=url)


def test_an_absent_server_fails_quickly_and_is_not_asked_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(link, "monotonic", lambda: now)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        engine = engine_on(f"redis://user:secret@127.0.0.1:{nobody.getsockname()[1]}/0")
        with pytest.raises(
            StateUnavailable, match="got ConnectionError: see that it runs at SHROFF_STATE"
        ) as caught:
            engine.observe(pay(0, 0))
        assert "secret" not in str(caught.value)
        with pytest.raises(StateUnavailable, match="it is tried again within a second"):
            engine.observe(pay(0, 0))
        now += 1.0
        with pytest.raises(StateUnavailable, match="ConnectionError"):
            engine.later("p0", "label", True)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_comes_back_with_its_data_goes_on(start: Start) -> None:
    with start() as url:
        one, other = engine_on(url), engine_on(url)
        open_state(one, OnlineEngine([COUNTS], SCHEMA))
        one.observe(pay(0, 0))
        other.observe(pay(1, 1))
    with pytest.raises(StateUnavailable):
        one.observe(pay(2, 2))
    with start():
        # a payment decided meanwhile is observed now; `other` never noticed
        assert one.observe(pay(2, 2))["card_count_1d"] == 2.0
        assert other.observe(pay(3, 3))["card_count_1d"] == 3.0
        assert other.later("p0", "label", True)
        assert one.observe(pay(4, 4))["card_risk_7d"] == 0.25
    one.close()
    other.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_comes_back_empty_waits_to_be_filled(start: Start, tmp_path: Path) -> None:
    with start() as url:
        engine, other = engine_on(url), engine_on(url)
        memory = OnlineEngine([COUNTS], SCHEMA)
        open_state(engine, memory)
        for place in range(3):
            assert engine.observe(pay(place, place)) == memory.observe(pay(place, place))
        other.observe_all([])
    (tmp_path / "dump.rdb").unlink()
    with start():
        for each in (engine, other):
            assert not each.ready()
            with pytest.raises(StateUnavailable, match="being rebuilt, or waits to be"):
                each.observe(pay(3, 3))
            with pytest.raises(StateUnavailable):
                each.later("p0", "label", True)
        open_state(other, memory)
        assert engine.ready()
        assert engine.observe(pay(3, 3)) == memory.observe(pay(3, 3))
    engine.close()
    other.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_comes_back_with_less_than_somebody_saw_is_no_state(start: Start) -> None:
    with start() as url:
        engine, other = engine_on(url), engine_on(url)
        open_state(engine, OnlineEngine([COUNTS], SCHEMA))
        engine.observe(pay(0, 0))
        with client_library.Redis.from_url(url) as client:
            client.save()
            engine.observe(pay(1, 1))
            with pytest.raises(client_library.ConnectionError):
                client.execute_command("SHUTDOWN", "NOSAVE", "NOW")
    with start():
        for each in (engine, other):
            with pytest.raises(StateUnavailable, match="being rebuilt, or waits to be"):
                each.observe(pay(2, 2))
    engine.close()
    other.close()


def test_a_server_that_wants_a_password_is_told_as_what_it_is(start: Start) -> None:
    with start() as url, client_library.Redis.from_url(url) as client:
        client.config_set("requirepass", "secret")
        with pytest.raises(StateUnavailable, match="check the user and the password") as caught:
            engine_on(url.replace("://", "://:hunter2@")).observe(pay(0, 0))
        assert "hunter2" not in str(caught.value)
        client.config_set("requirepass", "")


def test_a_server_without_room_is_no_state(start: Start) -> None:
    with start() as url, client_library.Redis.from_url(url) as client:
        engine = open_state(engine_on(url), OnlineEngine([COUNTS], SCHEMA))
        client.config_set("maxmemory", "1mb")
        with pytest.raises(
            StateUnavailable, match="refused a command with OutOfMemoryError: its memory is full"
        ):
            engine.observe(pay(0, 0))
        client.config_set("maxmemory", "0")
        assert engine.observe(pay(0, 0))["card_count_1d"] == 0.0
        engine.close()


@pytest.fixture
def cluster() -> Iterator[tuple[str, str]]:
    """A Redis Cluster of two nodes: one that has all slots, and one that has none."""
    with ExitStack() as stack:
        nodes = (
            redis("--cluster-enabled", "yes", "--cluster-port", str(free_port())) for _ in range(2)
        )
        urls = [stack.enter_context(or_skip(node, "Redis server")) for node in nodes]
        owner, other = (stack.enter_context(client_library.Redis.from_url(url)) for url in urls)
        owner.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        address = owner.get_connection_kwargs()
        bus = owner.config_get("cluster-port")["cluster-port"]
        other.execute_command("CLUSTER", "MEET", address["host"], address["port"], bus)
        while other.execute_command("CLUSTER INFO")["cluster_slots_ok"] != "16384":
            sleep(0.01)
        while any(
            node.execute_command("CLUSTER INFO")["cluster_state"] != "ok" for node in (owner, other)
        ):
            sleep(0.01)
        yield urls[0], urls[1]


@pytest.mark.parametrize("node", [0, 1], ids=["asked where it is", "asked elsewhere"])
def test_a_cluster_holds_a_state_in_one_slot(cluster: tuple[str, str], node: int) -> None:
    memory = OnlineEngine([COUNTS], SCHEMA)
    for place in range(50):
        memory.observe(pay(place, place, who=f"c{place}"))
    engine = open_state(engine_on(cluster[node]), memory)
    batch = [pay(place, place, who=f"c{place % 50}", host=f"h{place}") for place in range(50, 250)]
    assert [each.features for each in engine.observe_all(batch)] == [
        memory.observe(payment) for payment in batch
    ]
    assert engine.later("p77", "label", True) == memory.later("p77", "label", True)
    engine.forget(batch[-1])
    memory.forget(batch[-1])
    probe = pay(500, 500, who="c27")
    assert engine.observe(probe) == memory.observe(probe)
    with client_library.Redis.from_url(cluster[0]) as owner:
        slots = {owner.execute_command("CLUSTER", "KEYSLOT", name) for name in owner.scan_iter()}
    assert len(slots) == 1
    engine.close()


def test_a_long_outage_does_not_use_up_what_connects(start: Start) -> None:
    with start() as url:
        engine = engine_on(url)
        open_state(engine, OnlineEngine([COUNTS], SCHEMA))
        for place in range(250):
            engine.close()
            assert engine.observe(pay(place, place))["card_count_1d"] == place
        engine.close()
