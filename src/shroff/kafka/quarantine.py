"""Well-formed messages that the service refuses: one bad message, or a service that refuses all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from shroff.errors import NothingAccepted, OutOfBounds
from shroff.kafka.messages import Message, Partition

MAX_REFUSED_MESSAGES: Final = 100
"""Most well-formed messages of a topic that may be refused in a row."""

Held = tuple[Message, OutOfBounds]


class Quarantine:
    """Holds refused messages until another one shows whether they are bad.

    If another message of their topic is accepted, the refused ones are bad. If
    `MAX_REFUSED_MESSAGES` are refused and none read between them is accepted, or all messages of
    the topic are refused, a clock or a setting is wrong. A refusal is known at once, an acceptance
    only once it is durable, so `judge` waits for messages in flight.
    """

    def __init__(self) -> None:
        self.failure: NothingAccepted | None = None
        self._held: dict[str, list[Held]] = {}
        self._accepting: set[str] = set()

    def wanted(self, topic: str) -> bool:
        """Whether an accepted message of this topic would release or reject the held ones."""
        return topic not in self._accepting or bool(self._held.get(topic))

    def hold(self, message: Message, error: OutOfBounds) -> None:
        """Hold a message that was refused."""
        self._held.setdefault(message.place.topic, []).append((message, error))

    def overdue(self, topic: str) -> bool:
        """Whether a topic must not be read until the messages in flight are settled."""
        return len(self._held.get(topic, ())) >= MAX_REFUSED_MESSAGES

    def judge(self, topic: str) -> None:
        """Judge a topic without messages in flight: none was accepted among those refused."""
        if self.overdue(topic):
            self._fail(topic)

    def accepted(self, topic: str) -> list[Held]:
        """The held messages of a topic, which are bad: another one was accepted."""
        self._accepting.add(topic)
        return self._held.pop(topic, []) if self.failure is None else []

    def conclude(self, topic: str) -> list[Held]:
        """The held messages at a topic's end; they are bad if any message was ever accepted."""
        if topic in self._accepting:
            return self.accepted(topic)
        if self._held.get(topic):
            self._fail(topic)
        return []

    def drop(self, places: Collection[Partition]) -> None:
        """Drop the held messages of partitions that another consumer takes over."""
        for topic, held in self._held.items():
            self._held[topic] = [one for one in held if one[0].place not in places]

    def count(self) -> Counter[Partition]:
        """The number of held messages by partition."""
        return Counter(message.place for held in self._held.values() for message, _ in held)

    def _fail(self, topic: str) -> None:
        held = self._held[topic]
        self.failure = self.failure or NothingAccepted(
            f"the last {len(held):,} messages of `{topic}` are well-formed, and not one is "
            f"accepted: {held[-1][1]}. They are neither committed nor rejected. Check this "
            "machine's clock, the times of the topic and --lateness, and exchange rates where the "
            "schema has them; then start again."
        )
