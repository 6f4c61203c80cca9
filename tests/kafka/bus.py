"""Topics on a broker, and the command that consumes them in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from patience import PATIENCE, until
from serve.service import KEY
from servers import free_port

# a member that died is given up soon, and the broker of the tests lets a new one join after half of
# it
IMPATIENT = {
    "session.timeout.ms": "2000",
    "heartbeat.interval.ms": "300",
    "reconnect.backoff.max.ms": "300",
}

_ANSWER = 10.0
"""Seconds for one answer of the broker."""


class Bus:
    """Topics of one test, each with a name of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": address,
            "log_level": 2,
        }
        self._admin = AdminClient(self._options)
        self._run = uuid4().hex[:8]
        # the broker of the tests at times gives a member nothing while one that was killed, by an
        # earlier test, is still in its group
        self.group = f"shroff-{self._run}"

    def topic(self, name: str, partitions: int = 1) -> str:
        """A new topic."""
        full = f"{name}-{self._run}"
        self._admin.create_topics(
            [NewTopic(full, num_partitions=partitions, replication_factor=1)]
        )[full].result()
        return full

    def write(
        self, topic: str, messages: Iterable[tuple[str | None, bytes | None]], **options: Any
    ) -> None:
        """Keys and values; one key stays in one partition."""
        producer = Producer({**self._options, "linger.ms": 5, "message.max.bytes": 10_000_000})
        for key, value in messages:
            producer.produce(topic, value, key, **options)
            producer.poll(0)
        assert producer.flush(PATIENCE) == 0

    def transact(self, topic: str, values: Iterable[bytes], *, commit: bool = True) -> None:
        """Values in a transaction: behind them the partition has a marker, which is no message."""
        producer = Producer({**self._options, "transactional.id": uuid4().hex})
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value)
        producer.flush(PATIENCE)
        (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE)

    def end(self, topic: str) -> int:
        """The offset behind everything in a topic of one partition."""
        consumer = Consumer({**self._options, "group.id": "test"})
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE)
        consumer.close()
        return int(end)

    def read(self, topic: str) -> list[Message[Any, Any]]:
        """Everything that a topic has now."""
        consumer = Consumer(
            {
                **self._options,
                "group.id": "test",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
            }
        )
        partitions = len(consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        messages, ended, deadline = [], 0, time.monotonic() + PATIENCE
        while ended < partitions:
            assert time.monotonic() < deadline
            for message in consumer.consume(1_000, 0.05):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended += 1
        consumer.close()
        return messages

    def committed(self, topic: str, group: str = "", partitions: int = 1) -> int:
        """How many messages of a topic the group, by default that of this test, has done.

        A question that the broker leaves without an answer is asked again, over another connection:
        whoever waits for a number would wait for that one answer instead.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            consumer = Consumer({**self._options, "group.id": group or self.group})
            asked = [TopicPartition(topic, number) for number in range(partitions)]
            try:
                return sum(
                    max(0, place.offset) for place in consumer.committed(asked, timeout=_ANSWER)
                )
            except KafkaException:
                assert time.monotonic() < deadline
            finally:
                consumer.close()


@dataclass
class Consuming:
    """`shroff consume`, started on entry and, if it still runs, told to stop on exit."""

    bundle: Path | None
    home: Path
    address: str
    arguments: tuple[str, ...]
    ledger: str = ""
    state: str = "memory"
    process: subprocess.Popen[str] = field(init=False)
    errors: str = field(init=False, default="")

    def __enter__(self) -> Consuming:
        self.home.mkdir(exist_ok=True)
        options = self.home / "kafka.properties"
        given = {"bootstrap.servers": self.address, **IMPATIENT}
        options.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        self.ledger = self.ledger or f"sqlite:///{self.home / 'ledger.db'}"
        environment = {
            **os.environ,
            "SHROFF_HOME": str(self.home),
            "SHROFF_LEDGER": self.ledger,
            "SHROFF_STATE": self.state,
            "SHROFF_KAFKA": str(options),
            "SHROFF_PERSONAL_KEY": KEY.hex(),
        }
        bundle = [] if self.bundle is None else [str(self.bundle)]
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "shroff",
            "consume",
            *bundle,
            *self.arguments,
        ]
        with self.log.open("a") as log:
            # not forked: forked clients of Kafka were at times given no partitions
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                cwd=self.home,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def log(self) -> Path:
        return self.home / "consume.log"

    def stop(self) -> dict[str, Any]:
        """SIGTERM, and what it says at its end."""
        self.process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self) -> dict[str, Any]:
        """Wait for its end, and what it says then."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, self.log.read_text()
        document: dict[str, Any] = json.loads(said)
        return document

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for something that it does."""

        def held() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return bool(condition())

        until(held, said=self.log.read_text)


class Gateway:
    """A port that leads to a broker, and that can be closed: every connection breaks, none can be
    made.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let clients through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Let nobody through any more."""
        if self._listener is not None:
            # a listener that is only closed would still wake for one more
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._lock:
                    self._open.append(client)
                    # one that came while the port was closed leads nowhere
                    broker = socket.create_connection(("127.0.0.1", self.target))
                    self._open.append(broker)
                    if self._listener is not listener:
                        client.close()
                        broker.close()
                        return
                for pair in ((client, broker), (broker, client)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
