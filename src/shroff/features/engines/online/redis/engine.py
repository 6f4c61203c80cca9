"""The engine with its state in Redis, which any number of processes share.

Redis holds the order of events: a log for each key of an entity, in which every event has its
arrival. A process keeps the timelines of the keys that it touches, as the engine in memory does,
and applies the entries of their logs that it has not seen. So features are computed from the same
events, in the same order, by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.errors import OutOfBounds, StateGarbled, StateUnavailable
from shroff.features.engines.online.base import Observed
from shroff.features.engines.online.redis import fill_scripts
from shroff.features.engines.online.redis.ahead import SNAPSHOT_AGE_US, Ahead
from shroff.features.engines.online.redis.calls import Calls
from shroff.features.engines.online.redis.garbled import checksum, drop_if_garbled
from shroff.features.engines.online.redis.ledger_head import LedgerHead
from shroff.features.engines.online.redis.link import Call, Link, refusals, resp, sent
from shroff.features.engines.online.redis.log import unpack_value
from shroff.features.engines.online.redis.naming import shared_name, state_name
from shroff.features.engines.online.redis.observing import Observing
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.engines.online.redis.sending import Placed, sender
from shroff.features.engines.online.redis.trimming import Trimming
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.features.streams import Later
from shroff.features.window import micros

_LOGS_READ: Final = 500
"""Logs that one script reads, while all others wait."""

_NOT_THERE: Final = "the state is not there: it is being rebuilt, or waits to be."
_GROUP_PAYMENTS: Final = 64
"""Payments that one script adds, while all others wait."""
_NO_LIFE: Final = -1


class RedisEngine:
    """Features of payments as they come, from state that any number of processes share.

    Args:
        url: that of the server, `redis://host:6379/0` (`rediss://` for TLS).
        lateness: how much older than the newest payment one may be; an older one is refused.
        space: what the names of all keys begin with, so that installations can share a server;
            `shroff serve` names its ledger in it.
        edition: sets states of the same space, definitions and lateness apart.
        replica: the most keys whose timelines this process keeps.

    Processes share a state if definitions, lateness, space and edition are the same. A new state is
    unavailable until it is filled: see `filling`. Not thread-safe, and not fork-safe.

    Raises:
        MissingExtra: the client library is not installed.
        ConfigurationError: `url` is none.
    """

    def __init__(
        self,
        groups: Sequence[FeatureGroup],
        schema: Schema,
        *,
        url: str,
        lateness: str = "1d",
        space: str = "shroff",
        edition: str = "",
        replica: int = 200_000,
    ) -> None:
        self.plan = Plan(groups, schema)
        self.lateness = micros(lateness)
        self.link = Link(url)
        self.ledger_head = LedgerHead(self.link, shared_name(space))
        self.name = state_name(space, self.plan.digest, lateness, edition)
        self.calls = Calls(self.plan, self.name, self.lateness)
        self.too_late = (
            f"expected a time at most {lateness} before the newest payment's - at `$.{schema.time}`"
        )
        self._replica = Replica(
            self.plan, self.calls.logs, lateness=lateness, most=replica, named=self.calls.key
        )
        marked = self.calls.marked if self.plan.later else None
        self._send = sender(self.plan, self.calls.logs, marked, self._replica)
        self._life = 0
        self.drops = 0
        """How often this process has dropped a state that it could not read."""
        age_us = SNAPSHOT_AGE_US if self.plan.links else 0
        self._trimming = Trimming(self.calls, self._replica, age_us=age_us)
        self._observing = Observing(self._replica, self._trimming)

    @property
    def newest(self) -> int:
        """The latest event time known to this process, not in the future, in microseconds."""
        return self._observing.newest

    @property
    def epoch(self) -> bytes:
        """The filling of the state that this process follows."""
        return self.calls.epoch

    @property
    def keys(self) -> int:
        """How many timelines this process keeps."""
        return self._replica.timelines.keys

    @property
    def pending(self) -> int:
        """None: the server knows which payments await a result or label."""
        return 0

    def census(self) -> Iterator[int]:
        """How many events the timelines of this process hold, in batches."""
        return self._replica.timelines.census()

    @drop_if_garbled
    def mark(self) -> int:
        """The mark with which the state was opened.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return int(self.link.call([("HGET", self.name + b"head", "mark")])[0] or 0)

    def require_ready(self) -> None:
        """Raise `StateUnavailable` unless there is a state to ask."""
        if not self.ready():
            raise StateUnavailable(_NOT_THERE)

    @drop_if_garbled
    def ready(self) -> bool:
        """Whether there is a state.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return self._meet()

    def discard(self) -> None:
        """Remove the state, at first what says that it is there; processes that use it lose it.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self.link.call([("DEL", self.name + b"head")])
        for keys in self.link.scan(self.name):
            self.link.call([("UNLINK", *keys)])

    def observe(self, payment: Payment) -> dict[str, Value]:
        """The payment's features by name; from now on later payments see it.

        Raises:
            OutOfBounds: it is older than the lateness allows.
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        features = self.observe_all([payment])[0].features
        if features is None:
            raise OutOfBounds(self.too_late)
        return features

    def count_all(self, payments: Sequence[Payment]) -> None:
        """`observe_all`: the features come with the same answers.

        Raises:
            StateUnavailable: as `observe_all`.
        """
        self.observe_all(payments)

    @drop_if_garbled
    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        """`observe` for payments that wait together, in one round trip and in their order.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt; some of them may
                count, so observe them again later, or forget them.
        """
        groups: list[list[Placed]] = []

        def calls() -> Iterator[Call]:
            groups.clear()
            for at in range(0, len(payments), _GROUP_PAYMENTS):
                some = payments[at : at + _GROUP_PAYMENTS]
                call, placed = self.calls.observe(some, self._send, self._observing.seen)
                groups.append(placed)
                yield call

        replies = self._run(calls)
        ahead = Ahead(self._replica, self.calls.logs, self._read) if self.plan.links else None
        if ahead is not None:
            ahead.expect(payments)
        observed = [
            each
            for some, reply in zip(groups, replies, strict=True)
            for each in self._observing.observed(some, reply, ahead)
        ]
        self._replica.shrink()
        return observed

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first result counts; of labels the one of the lowest rank, within a rank the one that
        arrived last. Returns whether windows still reach the payment.

        Args:
            arrived: when it arrived, where that is known; otherwise it arrives now.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        return self.announce(payment_id, event, value, rank=rank, arrived=arrived) != 0

    @drop_if_garbled
    def announce(
        self,
        payment_id: str,
        event: Later,
        value: Value,
        *,
        rank: int = 0,
        arrived: int = 0,
        token: bytes = b"",
    ) -> int:
        """`later`; returns the event's arrival in the order of the state.

        It is 1 if the event needs none, and 0 if no window reaches the payment. Where another
        result of the payment stands it is that one's, below 0, and nothing has changed.

        Args:
            token: what identifies a label of its payment: announced again, it keeps its first
                arrival.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        if not self.plan.later:
            return 0
        held = self._run(lambda: [self.calls.recall(payment_id)])[0]
        if held is None:
            return 0
        if value is None or event not in self.plan.later:
            return 1
        payment = self.calls.marked.payment(unpack_value(held))
        payment.id = payment_id
        call = partial(
            self.calls.later, payment, event, value, rank=rank, arrived=arrived, token=token
        )
        return int(self._run(lambda: [call()])[0])

    @drop_if_garbled
    def forget(self, payment: Payment) -> None:
        """Undo `observe` of a payment that was not accepted, before any later event of it.

        Nothing happens if another process put it into the state.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        self._run(lambda: [self.calls.forget(payment)])

    @drop_if_garbled
    def lacking(self, payments: Sequence[Payment]) -> list[Payment]:
        """Those of the payments that the state does not know.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        self.require_ready()
        known = self.link.call(
            [("EXISTS", self.calls.key(b"p:" + payment.id.encode())) for payment in payments]
        )
        return [payment for payment, there in zip(payments, known, strict=True) if not there]

    @drop_if_garbled
    def heartbeat(self, member: bytes, others: Sequence[bytes], *, clear: bool) -> dict[bytes, int]:
        """Record a heartbeat of this process; returns the number of each process's last one.

        Heartbeats of all processes are numbered together. The number is negative if the heartbeat
        was not `clear`, and 0 for those of the `others` that have sent none.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        reply = self._run(
            lambda: [self.calls.heartbeat(member, others, self._observing.seen, clear=clear)]
        )[0]
        numbers = dict(zip(reply[::2], map(int, reply[1::2]), strict=True))
        del numbers[b""]
        return numbers

    def remove_members(self, members: Sequence[bytes]) -> None:
        """Remove these processes from those that share the state.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self.link.call([("HDEL", self.name + b"roll", *members)])

    def invalidate(self) -> None:
        """Invalidate the state: no process uses it until it is filled anew.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self.link.call([("HDEL", self.name + b"head", "epoch")])

    def drop_garbled(self) -> None:
        """Drop a state that cannot be read, unless another process has; its logs expire unread.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        epoch = self.epoch
        self.calls.follow(b"")
        self._trimming.clear()
        keys = [resp(self.name + name) for name in (b"head", b"claim", b"roll")]
        self.drops += bool(self.link.scripts([(fill_scripts.DROP, keys, sent(epoch))])[0])

    def close(self) -> None:
        """Close the connection."""
        self.link.close()

    def _run(self, calls: Callable[[], Iterable[Call]]) -> list[Any]:
        """The replies to calls, which are built anew if the state was replaced meanwhile."""
        for _ in range(3):
            if (not self.epoch or self.link.lives != self._life) and not self._meet():
                break
            snapshots = self._trimming.due(self._observing.seen)
            replies = self.link.scripts([*snapshots, *calls()])[len(snapshots) :]
            if not refusals(replies) and self.link.lives == self._life:
                return replies
            self._life = _NO_LIFE
        raise StateUnavailable(_NOT_THERE)

    def _read(
        self, places: Sequence[Place], positions: Sequence[int]
    ) -> tuple[int, Sequence[Sequence[bytes]]]:
        """The last arrival of the state, and what logs have behind these arrivals."""
        spans = [slice(at, at + _LOGS_READ) for at in range(0, len(places), _LOGS_READ)]
        replies = self.link.scripts([self.calls.read(places[at], positions[at]) for at in spans])
        if refusals(replies) or self.link.lives != self._life:
            self._life = _NO_LIFE
            raise StateUnavailable(_NOT_THERE)
        return min(int(last) for last, _ in replies), [log for _, logs in replies for log in logs]

    def _meet(self) -> bool:
        """Read which state there is, and follow it; whether there is one.

        Over a new connection everything is read anew: the server may have lost what it reported
        over the old one.
        """
        asked = "epoch", "newest", "mark", "sum"
        epoch, newest, mark, summed = self.link.call([("HMGET", self.name + b"head", *asked)])[0]
        if self.link.lives != self._life or epoch != self.epoch:
            self._replica.clear()
            self._trimming.clear()
        if epoch != self.epoch:
            # arrivals of another state do not apply to this one
            self._observing.seen = 0
        self._life = self.link.lives
        self.calls.follow(epoch or b"")
        if epoch is not None and checksum(epoch, mark or b"") != summed:
            raise StateGarbled("the head of the state names an epoch that nobody has opened.")
        self._observing.newest = int(newest or 0)
        return epoch is not None
