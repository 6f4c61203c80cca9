"""API keys: kept as hashes, admitted by scope, time and rate, revoked while the service runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect

from forks import start
from patience import PATIENCE
from serve.service import IMPORTED, Service
from servers import postgres_schema
from shroff.client import Client
from shroff.control import SCOPES, Gate, Keys
from shroff.control.access_history import ACCESS_LOCK, AccessHistory
from shroff.control.database import Control, in_turn
from shroff.control.keys import split_token
from shroff.errors import (
    AccessDenied,
    ConfigurationError,
    ControlUnavailable,
    NotFound,
    TooManyRequests,
    UnknownKey,
)

Pay = Callable[..., dict[str, Any]]
SECOND = 1_000_000


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(f"sqlite:///{tmp_path / 'home' / 'control.db'}", clock=clock)


@pytest.fixture
def gate(keys: Keys, clock: Clock) -> Gate:
    return Gate(keys, clock=clock)


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


@pytest.mark.parametrize(
    "text", ["order 4111 1111 1111 1111", "a\u202eb", "\0", "\u3164", "\udcf8"]
)
@pytest.mark.parametrize("field", ["name", "source"])
def test_a_name_that_everybody_reads_hides_nothing(tmp_path: Path, field: str, text: str) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    names = {"name": "shop", "source": "bank", field: text}
    with pytest.raises(ConfigurationError, match=r"card number|printable") as told:
        keys.create(names["name"], ["label"], source=names["source"])
    assert "4111" not in str(told.value)
    assert keys.all() == []


def test_a_key_is_kept_as_a_hash_only(keys: Keys, tmp_path: Path) -> None:
    token = keys.create("shop", ["decide"])
    kept = b"".join(file.read_bytes() for file in (tmp_path / "home").iterdir())
    assert split_token(token)[1].encode() not in kept
    assert token.partition("_")[2][:12].encode() in kept, "the id is there to be found"


def test_a_key_opens_what_its_scope_says(keys: Keys, gate: Gate) -> None:
    tokens = {scope: keys.create(scope, [scope]) for scope in SCOPES}
    gate.refresh()
    for own, token in tokens.items():
        for scope in SCOPES:
            if own in (scope, "admin"):
                assert gate.admit(bearer(token), scope) == own
            else:
                with pytest.raises(AccessDenied, match=f"scope `{scope}`") as refused:
                    gate.admit(bearer(token), scope)
                assert not isinstance(refused.value, UnknownKey)


@pytest.mark.parametrize(
    "spoil", [lambda t: None, lambda t: b"", lambda t: t.encode(), lambda t: bearer(t[:-1])]
)
def test_what_is_no_key_is_refused(
    keys: Keys, gate: Gate, spoil: Callable[[str], bytes | None]
) -> None:
    token = keys.create("shop", ["admin"])
    gate.refresh()
    with pytest.raises(UnknownKey, match="Authorization: Bearer KEY"):
        gate.admit(spoil(token), "decide")


@given(st.binary(max_size=80))
def test_no_header_at_all_gets_past_the_gate_by_chance(header: bytes) -> None:
    class Nobody(Keys):
        def __init__(self) -> None:
            pass

    for given_header in (header, b"Bearer " + header, b"bearer shroff_" + header):
        with pytest.raises(UnknownKey):
            Gate(Nobody()).admit(given_header, "read")


def test_a_key_ends_when_it_expires_or_is_revoked(keys: Keys, gate: Gate, clock: Clock) -> None:
    short = keys.create("short", ["decide"], lifetime=60 * SECOND)
    long = keys.create("long", ["decide"])
    gate.refresh()
    clock.now += 60 * SECOND - 1
    assert gate.admit(bearer(short), "decide") == "short"
    clock.now += 1
    with pytest.raises(UnknownKey):
        gate.admit(bearer(short), "decide")
    keys.revoke(next(key.id for key in keys.all() if key.name == "long"))
    assert gate.admit(bearer(long), "decide") == "long", "not noticed yet"
    gate.refresh()
    with pytest.raises(UnknownKey):
        gate.admit(bearer(long), "decide")
    assert gate.empty
    assert [key.state(clock.now) for key in keys.all()] == ["expired", "revoked"]


@pytest.mark.parametrize("together", [1, 3])
def test_a_key_has_its_share_of_requests(
    keys: Keys, clock: Clock, tmp_path: Path, together: int
) -> None:
    token = keys.create("shop", ["decide"], rate=5)
    gates = [
        Gate(keys, folder=tmp_path if together > 1 else None, clock=clock) for _ in range(together)
    ]
    for gate in gates:
        gate.refresh()

    def admitted(tries: int) -> int:
        done = 0
        for number in range(tries):
            try:
                gates[number % together].admit(bearer(token), "decide")
            except TooManyRequests:
                continue
            done += 1
        return done

    assert admitted(20) == 5
    clock.now += SECOND // 5
    assert admitted(20) == 1
    clock.now += 100 * SECOND
    assert admitted(20) == 5, "what is not used is not saved up"
    clock.now -= 50 * SECOND
    assert admitted(20) == 0
    clock.now += SECOND
    assert admitted(20) == 5, (
        "a clock set back stops nobody for longer than it takes to fill up again"
    )


def test_a_limit_holds_also_where_it_cannot_be_shared(
    keys: Keys, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = keys.create("shop", ["decide"], rate=1)
    gate = Gate(keys, folder=tmp_path / "missing", clock=clock)
    gate.refresh()
    assert gate.admit(bearer(token), "decide") == "shop"
    with pytest.raises(TooManyRequests):
        gate.admit(bearer(token), "decide")
    assert "No such file or directory" in caplog.text


def test_keys_known_last_stay_valid_while_their_database_is_away(tmp_path: Path) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    gate = Gate(keys)
    token = keys.create("shop", ["decide"])
    gate.refresh()
    (tmp_path / "control.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(ControlUnavailable, match="SQLITE_NOTADB: see that SHROFF_CONTROL names"):
        gate.refresh()
    assert gate.admit(bearer(token), "decide") == "shop"


def test_a_control_database_that_fails_says_what_to_do(tmp_path: Path) -> None:
    for url, said in (
        (f"sqlite:///{tmp_path}", "SQLITE_CANTOPEN: see that its file is there"),
        (
            "postgresql://nobody@127.0.0.1:1/none",
            "Error: see that SHROFF_CONTROL names a database that runs",
        ),
    ):
        with pytest.raises(ControlUnavailable, match=f"cannot read the API keys.*{said}"):
            Keys(url).all()


def test_what_makes_no_key(keys: Keys) -> None:
    wrong: list[dict[str, Any]] = [
        {"name": ""},
        {"scopes": []},
        {"scopes": ["all"]},
        {"rate": 0.0},
        {"lifetime": 0},
    ]
    for arguments in wrong:
        with pytest.raises(ConfigurationError, match="for the key"):
            keys.create(**({"name": "shop", "scopes": ["decide"]} | arguments))
    with pytest.raises(NotFound, match="shroff keys list"):
        keys.revoke("0a0a")
    with pytest.raises(ConfigurationError, match="got one for `mysql`"):
        Keys("mysql://somewhere/keys")


def test_several_processes_may_make_the_tables_at_once(postgres_server: str) -> None:
    for _ in range(5):
        with postgres_schema(postgres_server) as url, ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda url: list(Keys(url).all()), [url] * 8)) == [[]] * 8


def test_tables_whose_making_was_undone_are_made_later(postgres_server: str) -> None:
    with postgres_schema(postgres_server) as url:
        control = Control(url)
        with pytest.raises(ControlUnavailable), control.transaction("try") as connection:
            connection.exec_driver_sql("no SQL")
        with control.transaction("read") as connection:
            assert inspect(connection).get_table_names()


def test_a_process_that_stands_still_in_a_transaction_keeps_no_lock(
    postgres_server: str,
) -> None:
    limit = "idle_in_transaction_session_timeout"

    def stand_still() -> None:
        with control.transaction("stand still") as connection:
            assert connection.exec_driver_sql(f"SHOW {limit}").scalar() == "20s"
            connection.exec_driver_sql(f"SET LOCAL {limit} = 100")
            in_turn(connection, ACCESS_LOCK)
            assert keys.create("shop", ["decide"])
            connection.exec_driver_sql("SELECT 1")

    with postgres_schema(postgres_server) as url:
        keys, control = Keys(url), Control(url)
        told = r"cannot stand still: .* 25P03: this process stood still in the middle of it, and no"
        with pytest.raises(ControlUnavailable, match=told):
            stand_still()
        assert [key.name for key in keys.all()] == ["shop"]


def test_a_connection_that_was_lost_is_called_so(postgres_server: str) -> None:
    def lose(url: str) -> None:
        with Control(url).transaction("ask") as connection:
            driver: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(driver.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
            connection.exec_driver_sql("SELECT 1")

    told = "cannot ask: .*Error 08006: the connection was lost; see that the server of SHROFF_CONT"
    with postgres_schema(postgres_server) as url, pytest.raises(ControlUnavailable, match=told):
        lose(url)


def test_postgresql_keeps_keys_too(postgres_server: str) -> None:
    keys = Keys(postgres_server)
    token = keys.create("shop", ["decide", "label"])
    gate = Gate(Keys(postgres_server))
    gate.refresh()
    assert gate.admit(bearer(token), "label") == "shop"
    assert AccessHistory(postgres_server).all()[-1].detail == "shop: decide, label"


def test_a_service_asks_for_keys_and_notices_a_revocation(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    token, reader = keys.create("shop", ["decide"]), keys.create("auditor", ["read"])
    with Service(bundle_folder, tmp_path, keys=True) as service:
        sent = pay(payment_id="p1")
        with Client(service.url) as nobody, pytest.raises(UnknownKey):
            nobody.decide(sent)
        with (
            Client(service.url, key=reader) as auditor,
            Client(service.url, key=token, retries=0) as shop,
        ):
            decision = shop.decide(sent)
            assert auditor.decision("p1") == decision
            with pytest.raises(AccessDenied):
                shop.decision("p1")
            with pytest.raises(AccessDenied):
                auditor.decide(sent)
            with pytest.raises(AccessDenied):
                auditor.label("p1", True)
            keys.revoke(keys.all()[0].id)
            with pytest.raises(UnknownKey):
                _decide_until_refused(shop, sent)
        response = service.request("GET", "/v1/models")
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert service.request("GET", "/openapi.json").status_code == 200
        log = service.log.read_text()
    assert token not in log
    assert "shroff_" not in log


def test_a_request_counts_once_against_its_key_also_where_it_cannot_be_used(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    # good for one request, and the next one in a quarter of an hour
    tokens = [keys.create(name, ["decide"], rate=0.001) for name in ("good", "wrong")]
    with Service(bundle_folder, tmp_path, keys=True) as service:

        def statuses(token: str, media: str) -> list[int]:
            headers = {"authorization": f"Bearer {token}", "content-type": media}
            return [
                service.request("POST", "/v1/decisions", json=pay(), headers=headers).status_code
                for _ in range(2)
            ]

        assert statuses(tokens[0], "application/json") == [200, 429]
        assert statuses(tokens[1], "text/plain") == [415, 429]


def _decide_until_refused(client: Client, payment: dict[str, Any]) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        client.decide(payment)
        sleep(0.05)


def test_every_operation_that_asks_for_a_key_says_so(service: Service) -> None:
    document = service.request("GET", "/openapi.json").json()
    open_to_all = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if "security" not in operation
    }
    assert open_to_all == {"live", "ready", "liveV2", "readyV2", "ping"}


def test_processes_that_create_a_database_at_once_take_turns(tmp_path: Path) -> None:
    for attempt in range(10):
        url = f"sqlite:///{tmp_path / str(attempt)}"
        together = Barrier(8)

        def create(url: str = url, together: Barrier = together) -> None:
            control = Control(url)
            together.wait(PATIENCE)
            with control.transaction("look") as connection:
                assert inspect(connection).has_table("shroff_key_node")

        with ThreadPoolExecutor(8) as threads:
            for made in [threads.submit(create) for _ in range(8)]:
                made.result()


def test_a_database_that_is_moved_away_in_use_is_missed_and_not_made_anew(tmp_path: Path) -> None:
    file, away = tmp_path / "away/control.db", tmp_path / "away.db"
    url = f"sqlite:///{file}"
    keys = Keys(url)
    keys.create("shop", ["decide"])
    file.rename(away)
    for other in (keys, Keys(url)):
        with pytest.raises(ControlUnavailable, match=r"away/control.db was there and is gone"):
            other.all()
    assert not file.exists()
    away.rename(file)
    assert [key.name for key in keys.all()] == ["shop"]


def test_a_command_misses_a_database_that_an_earlier_one_used(tmp_path: Path) -> None:
    variables = os.environ | {"SHROFF_HOME": str(tmp_path / "home")}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own: one keeps databases open that it has used."""
        line, errors = [sys.executable, "-m", "shroff", *words], tmp_path / "errors"
        with errors.open("w") as stderr:
            process = start(line, IMPORTED, stderr=stderr, env=variables)
        said, _ = process.communicate()
        assert process.returncode is not None
        return subprocess.CompletedProcess(line, process.returncode, said, errors.read_text())

    made = command("keys", "create", "shop", "--scope", "decide")
    assert made.returncode == 0, made.stderr
    file, mark = tmp_path / "home/control.db", tmp_path / "home/control.db.made"
    content = file.read_bytes()
    for left in (None, b""):  # nothing, or an empty file in its place
        file.unlink()
        if left is not None:
            file.write_bytes(left)
        missed = command("keys", "list")
        assert missed.returncode == 2
        assert missed.stderr.count("\n") == 1, missed.stderr
        assert f"{file} was there and is gone" in missed.stderr
        assert f"remove {mark} to begin with an empty one" in missed.stderr
        assert (file.read_bytes() if file.exists() else None) == left
        file.write_bytes(content)
    assert "shop" in command("keys", "list").stdout
    file.unlink()
    mark.unlink()
    assert json.loads(command("keys", "list", "--json").stdout) == {"keys": []}
