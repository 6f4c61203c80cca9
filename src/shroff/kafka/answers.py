"""What a consumer writes: decisions on payments, and rejected messages with their reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from shroff.kafka.client import TopicWriter
from shroff.kafka.messages import Message, Topics, refused, traced

_POLL_SECONDS: Final = 0.005  # between two calls that run delivery callbacks


class Answers:
    """Writes to the topics of decisions and of rejected messages; belongs to one event loop."""

    def __init__(self, outlet: TopicWriter, topics: Topics) -> None:
        self._outlet = outlet
        self._topics = topics
        self._polling = False

    def __len__(self) -> int:
        """How many answers Kafka has not taken yet."""
        return len(self._outlet)

    def decide(
        self, message: Message, payment_id: str, decision: bytes, on_durable: Callable[[], None]
    ) -> None:
        """Write a decision with its trace; `on_durable` is called once Kafka has taken it."""
        send = partial(self._outlet.send, self._topics.decisions, payment_id.encode(), decision)
        send(traced(message), on_durable, too_large=partial(send, [], on_durable))
        self._start()

    def reject(
        self, message: Message, reason: str, sentence: str, on_durable: Callable[[], None]
    ) -> bool:
        """Write a rejected message and the reason; False without a topic for rejected ones."""
        topic = self._topics.rejected
        if topic is None:
            return False
        why = refused(message, reason, sentence)
        # the headers tell where a message was read that is too large to be written again
        place_only = partial(self._outlet.send, topic, None, None, why, on_durable)
        self._outlet.send(
            topic,
            message.key,
            message.value,
            [*message.headers, *why],
            on_durable,
            too_large=place_only,
        )
        self._start()
        return True

    def close(self) -> None:
        """Drop answers that Kafka has not taken."""
        self._outlet.close()

    def _start(self) -> None:
        if not self._polling:
            self._polling = True
            self._later()

    def _poll(self) -> None:
        self._outlet.poll()
        self._polling = len(self._outlet) > 0
        if self._polling:
            self._later()

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(_POLL_SECONDS, self._poll)
