"""The engine with its state in Redis, which any number of processes share.

Redis holds the order of things: for each key of an entity a log of what happened, each with its
arrival. A process keeps the timelines of the keys it touches, as the engine in memory does, and
brings them up to date with what their logs have that it has not seen. So features follow from the
same events, in the same order, by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from secrets import token_bytes
from typing import Any, Final

from shroff.collect import Payment, Schema
from shroff.collect.payment import Value
from shroff.errors import OutOfBounds, StateGarbled, StateUnavailable
from shroff.features.engines.online.base import Observed
from shroff.features.engines.online.redis import scripts
from shroff.features.engines.online.redis.link import Call, Link
from shroff.features.engines.online.redis.log import (
    PAYMENT,
    TAGS,
    UNDONE,
    Event,
    Log,
    logs,
    pack_value,
    unpack_value,
)
from shroff.features.engines.online.redis.replica import Place, Replica
from shroff.features.engines.online.redis.sound import checksum, sound
from shroff.features.engines.online.redis.voucher import Voucher
from shroff.features.group import FeatureGroup
from shroff.features.plan import Later, Plan
from shroff.features.window import micros

_CLOCK_SKEW_MS: Final = 300_000
"""Milliseconds that keys are kept longer than windows reach, for clocks that differ."""

_MEMBERSHIP_MS: Final = 86_400_000
"""Milliseconds that the roll is kept after the last answer."""

_FORMAT_VERSION: Final = 4
"""Of what is kept: a state of another one is not this state, which is filled anew beside it."""

_NOT_THERE: Final = "the state is not there: it is being rebuilt, or waits to be."
_LATE, _AGAIN = 0, 2
_NO_LIFE: Final = -1


class RedisEngine:
    """Features of payments as they come, from state that any number of processes share.

    Args:
        url: of the server, `redis://host:6379/0` (`rediss://` for TLS).
        lateness: how much older than the newest payment one may be; an older one is refused.
        space: what the names of all keys begin with, so that installations can share a server;
            `shroff serve` names its ledger in it.
        replica: keys whose timelines this process keeps at most.

    Processes share a state when their definitions, lateness and space are the same. A new one is
    unavailable until it was filled: see `filling`. Not thread-safe, and not to be taken across a
    fork.

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
        replica: int = 200_000,
    ) -> None:
        self.plan = Plan(groups, schema)
        self.lateness = micros(lateness)
        self.link = Link(url)
        self.logs = logs(self.plan)
        # one slot of a cluster: an order needs one owner
        shared = f"{{{space}}}:".encode()
        self.voucher = Voucher(self.link, shared)
        self.name = shared + f"{self.plan.digest}-{lateness}-{_FORMAT_VERSION}:".encode()
        awaited = [log for log in self.logs if log.later]
        self.marked = Event(
            [stream for stream in self.plan.streams if stream.later], (), self.plan.schema
        )
        self.marker_kept = self._keep(max((log.horizon for log in awaited), default=0))
        self._kept = {log: self._keep(log.horizon) for log in self.logs}
        self.too_late = (
            f"expected a time at most {lateness} before the newest payment's - at `$.{schema.time}`"
        )
        self._awaits = bool(self.plan.later)
        self._owner = token_bytes(8)
        self._replica = Replica(self.plan, lateness=lateness, most=replica)
        self._epoch = b""
        self._life = self._seen = self._newest = 0
        self.ruined = 0
        """How often this process has dropped a state that held what none had put there."""
        self._snapshots: list[Call] = []

    @property
    def newest(self) -> int:
        """The latest event time that this process knows of, and that was not in the future, in
        microseconds.
        """
        return self._newest

    @property
    def epoch(self) -> bytes:
        """Which state this process follows; another one once it was filled anew."""
        return self._epoch

    @property
    def keys(self) -> int:
        """How many timelines this process follows."""
        return self._replica.timelines.keys

    @property
    def pending(self) -> int:
        """None: the server knows which payments await a result or label."""
        return 0

    def census(self) -> Iterator[int]:
        """How many events the timelines that this process follows hold, in parts."""
        return self._replica.timelines.census()

    @sound
    def mark(self) -> int:
        """What was kept with the state when it was opened.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return int(self.link.call([("HGET", self.name + b"head", "mark")])[0] or 0)

    def require_ready(self) -> None:
        """Raise `StateUnavailable` unless there is a state to ask."""
        if not self.ready():
            raise StateUnavailable(_NOT_THERE)

    @sound
    def ready(self) -> bool:
        """Whether there is a state, as far as it can be told.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        return self._meet()

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

    @sound
    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        """`observe` for payments that wait together, in one round trip and in their order.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt; some of them may
                count, so observe them again later, or forget them.
        """
        placed = [(payment, self._places(payment)) for payment in payments]
        replies = self._run(lambda: [self._observe_call(*one) for one in placed])
        observed = [self._observed(*one, reply) for one, reply in zip(placed, replies, strict=True)]
        self._replica.shrink()
        return observed

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        """A payment's result or label has arrived: payments observed from now on see it.

        The first result counts; of labels that of the lowest rank, and of one rank the one that
        arrived last. Returns whether the payment is one that windows still reach.

        Args:
            arrived: when it arrived, where that is known; otherwise it arrives now.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        return self.announce(payment_id, event, value, rank=rank, arrived=arrived) != 0

    @sound
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
        """`later`; when the event arrived in the order of the state (1: it needs none, 0: no window
        reaches it).

        Args:
            token: what tells a label from all others of its payment: announced again, it arrived
                when it first did.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        if not self.plan.later:
            return 0
        held = self._run(lambda: [(scripts.RECALL, self._keys(payment_id), (self._epoch,))])[0]
        if held is None:
            return 0
        if value is None or event not in self.plan.later:
            return 1
        payment = self.marked.payment(unpack_value(held))
        payment.id = payment_id
        said = (event, pack_value(value), TAGS[event], rank, arrived, token)
        return int(self._run(lambda: [self._later_call(payment_id, payment, event, said)])[0])

    @sound
    def forget(self, payment: Payment) -> None:
        """Undo `observe` for a payment that was not accepted after all (no later event of it has
        arrived).

        Nothing happens when it was another process that put it into the state.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        self._run(lambda: [self._forget_call(payment)])

    @sound
    def lacking(self, payments: Sequence[Payment]) -> list[Payment]:
        """Those of the payments that the state does not know, for whoever brings it up to date.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        self.require_ready()
        known = self.link.call(
            [("EXISTS", self.key(b"p:" + payment.id.encode())) for payment in payments]
        )
        return [payment for payment, there in zip(payments, known, strict=True) if not there]

    @sound
    def answer(self, member: bytes, others: Sequence[bytes], *, clear: bool) -> dict[bytes, int]:
        """Answer the roll of those who share the state: by whom it was answered last with which
        number.

        Numbers grow with each answer, whoever gives it; they are negative where not `clear`, and 0
        for those of the `others` that have not answered.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        keys = self.name + b"head", self.name + b"roll"
        words = member, int(clear), _MEMBERSHIP_MS, *others
        reply = self._run(
            lambda: [(scripts.ANSWER, keys, (self._epoch, self._seen, self.lateness, *words))]
        )[0]
        numbers = dict(zip(reply[::2], map(int, reply[1::2]), strict=True))
        del numbers[b""]
        return numbers

    def strike(self, members: Sequence[bytes]) -> None:
        """Take these off the roll.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self.link.call([("HDEL", self.name + b"roll", *members)])

    def renounce(self) -> None:
        """Let nobody use the state until it is filled anew.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self.link.call([("HDEL", self.name + b"head", "epoch")])

    def ruin(self) -> None:
        """Drop a state that cannot be read, unless another process has; its logs are met no more,
        and expire.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        epoch, self._epoch = self._epoch, b""
        self._snapshots.clear()
        keys = [self.name + part for part in (b"head", b"claim", b"roll")]
        self.ruined += bool(self.link.scripts([(scripts.RUIN, keys, (epoch,))])[0])

    def drop(self) -> None:
        """Remove the state from the server, whoever uses it.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        cursor = 0
        while True:
            page = ("SCAN", cursor, "MATCH", self.name + b"*", "COUNT", 1_000)
            cursor, keys = self.link.call([page])[0]
            if keys:
                self.link.call([("UNLINK", *keys)])
            if int(cursor) == 0:
                return

    def close(self) -> None:
        """Hang up."""
        self.link.close()

    def key(self, name: bytes) -> bytes:
        """A key of the state as it is now, by its name."""
        return self.name + self._epoch + b":" + name

    def kept(self, log: Log) -> int:
        """How long a log is kept after its last entry, in milliseconds."""
        return self._kept[log]

    def _keep(self, horizon: int) -> int:
        return (horizon + self.lateness) // 1_000 + _CLOCK_SKEW_MS

    def _keys(self, payment_id: str, places: Sequence[Place] = ()) -> list[bytes]:
        marker = self.key(b"p:" + payment_id.encode())
        return [self.name + b"head", marker, *[self.key(place.name) for place in places]]

    def _places(self, payment: Payment) -> list[Place]:
        keyed = [(log, log.key(payment)) for log in self.logs]
        return [Place(log, key, log.name(key)) for log, key in keyed if key is not None]

    def _observe_call(self, payment: Payment, places: Sequence[Place]) -> Call:
        words: list[object] = [
            self._epoch,
            self._seen,
            self.lateness,
            self._owner,
            payment.time,
            self.marker_kept,
        ]
        words.append(self.marked.pack(payment) if self._awaits else b"")
        for place in places:
            event = PAYMENT + place.log.event.pack(payment)
            words += (self._replica.position(place), self._kept[place.log], event)
        return scripts.OBSERVE, self._keys(payment.id, places), words

    def _later_call(
        self, payment_id: str, payment: Payment, event: Later, said: Sequence[object]
    ) -> Call:
        places = [place for place in self._places(payment) if event in place.log.later]
        words: list[object] = [self._epoch, *said]
        for place in places:
            words += (self._kept[place.log], place.log.told.pack(payment))
        return scripts.LATER, self._keys(payment_id, places), words

    def _forget_call(self, payment: Payment) -> Call:
        places = self._places(payment)
        words: list[object] = [self._epoch, self._owner]
        for place in places:
            words += (self._kept[place.log], UNDONE + place.log.event.pack(payment))
        return scripts.FORGET, self._keys(payment.id, places), words

    def _observed(
        self, payment: Payment, places: Sequence[Place], reply: Sequence[Any]
    ) -> Observed:
        outcome, arrival, newest, *rest = reply
        self._seen = max(self._seen, arrival)
        self._newest = newest
        if outcome == _LATE:
            return Observed(arrival, None)
        entries, lengths = rest
        if outcome == _AGAIN:
            return Observed(
                arrival, self._replica.as_of(payment, places, entries, arrival, newest), again=True
            )
        for place, unseen in zip(places, entries, strict=True):
            self._replica.take(place, unseen)
        features = self._replica.observe(payment, places, arrival, newest)
        for place, length in zip(places, lengths, strict=True):
            self._shorten(place, length)
        return Observed(arrival, features)

    def _shorten(self, place: Place, length: int) -> None:
        """Let the next round trip replace a long log by a snapshot."""
        snapshot = self._replica.snapshot(place, length)
        if snapshot is not None:
            call = (scripts.TRIM, (self.key(place.name),), (*snapshot, self._kept[place.log]))
            self._snapshots.append(call)

    def _run(self, calls: Callable[[], list[Call]]) -> list[Any]:
        """The replies to calls, which are made for the state as it is; again if it became another
        meanwhile.
        """
        for _ in range(3):
            if (not self._epoch or self.link.lives != self._life) and not self._meet():
                break
            snapshots, self._snapshots = self._snapshots, []
            replies = self.link.scripts([*snapshots, *calls()])[len(snapshots) :]
            refusals = {str(reply) for reply in replies if isinstance(reply, Exception)}
            if not refusals and self.link.lives == self._life:
                return replies
            self._life = _NO_LIFE
        raise StateUnavailable(_NOT_THERE)

    def _meet(self) -> bool:
        """Ask which state there is, and start to follow it; whether there is one.

        Over a new connection everything is read anew: the server may have forgotten what it said
        over the old one.
        """
        asked = "epoch", "newest", "mark", "sum"
        epoch, newest, mark, summed = self.link.call([("HMGET", self.name + b"head", *asked)])[0]
        if self.link.lives != self._life or epoch != self._epoch:
            self._replica.clear()
            self._snapshots.clear()
        if epoch != self._epoch:
            # arrivals of another state say nothing about this one
            self._seen = 0
        self._life = self.link.lives
        self._epoch = epoch or b""
        if epoch is not None and checksum(epoch, mark or b"") != summed:
            raise StateGarbled("the head of the state names an epoch that nobody has opened.")
        self._newest = int(newest or 0)
        return epoch is not None
