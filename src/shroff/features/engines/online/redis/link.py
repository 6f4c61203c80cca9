"""The connection to Redis: pipelined scripts in one round trip, quick failure during an outage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from shroff.errors import ConfigurationError, MissingExtra, StateGarbled, StateUnavailable
from shroff.features.engines.online.redis.scripts import SCRIPTS

if TYPE_CHECKING:
    from redis import ConnectionPool

Command = tuple[object, ...]
Call = tuple[str, Sequence[bytes], Sequence[bytes]]
"""A script, its keys and its arguments, all as they are sent."""

_PAUSE_SECONDS: Final = 1.0
"""Seconds without another attempt after a failure."""

_GARBLED: Final = re.compile("WRONGTYPE|user_script|Error running script|is not an integer|^LOST")
"""Errors for another value than our commands and scripts read, or for a key that is gone."""
_UNABLE: Final = re.compile(
    "OOM|READONLY|MASTERDOWN|MISCONF|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|BUSY|LOADING|NOPERM"
)
"""Errors of the server itself, which scripts report too."""

_KEYS_SCANNED: Final = 1_000
"""Keys that the server looks at in one step of a scan."""
_REMEDIES: Final = {
    "AuthenticationError": "check the user and the password in SHROFF_STATE",
    "NoPermissionError": "let the user in SHROFF_STATE run its commands",
    "OutOfMemoryError": "its memory is full, so give it more (maxmemory)",
    "ReadOnlyError": "it is a replica, so name the primary in SHROFF_STATE",
    "ClusterDownError": "see that its cluster serves all slots",
}
"""What to do, by the class that the client has for an error."""
_RUN: Final = "see that it runs at SHROFF_STATE, and has the database that is named there"
_KEEPING: Final = "noeviction"
_CONNECT_TIMEOUT_SECONDS: Final = 0.5
_ANSWER_TIMEOUT_SECONDS: Final = 2.0


class Link:
    """A connection to one Redis server, or to the server of a Redis Cluster that has our slot.

    `lives` counts connections: a server may have lost what it reported over an older one.

    Raises:
        MissingExtra: the client library is not installed.
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtra(
                "state in Redis needs its client: `pip install 'shroff[redis]'`."
            ) from error
        try:
            self._pool: ConnectionPool = redis.ConnectionPool.from_url(
                url,
                socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
                socket_timeout=_ANSWER_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        except ValueError:
            raise ConfigurationError(
                "expected a state server such as `redis://host:6379/0` in SHROFF_STATE, got "
                "another URL."
            ) from None
        self._errors = redis.exceptions
        # the client's connections have no types
        self._connection: Any = None
        self._closed_until = 0.0
        self.lives = 0

    def call(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to these commands, sent together; a reply may be a `ResponseError`.

        Safe for commands that can be run twice: when a connection turns out to be dead, they are
        sent once more.

        Raises:
            StateUnavailable: no answer, or none for a second now.
            StateGarbled: a key holds what the command cannot read.
        """
        return self._replies([_command(words) for words in commands])

    def scan(self, prefix: bytes) -> Iterator[list[bytes]]:
        """The keys whose names begin so, in batches; raises as `call`."""
        cursor: object = b"0"
        while True:
            scanned = ("SCAN", cursor, "MATCH", prefix + b"*", "COUNT", _KEYS_SCANNED)
            cursor, keys = self.call([scanned])[0]
            if keys:
                yield keys
            if cursor == b"0":
                return

    def evicting(self) -> str | None:
        """By which policy the server drops keys once its memory is full; None: by none, or it does
        not say.
        """
        try:
            told = self.call([("INFO", "memory")])[0].decode()
        except StateUnavailable:
            return None
        said = dict(line.partition(":")[::2] for line in told.splitlines())
        policy = said.get("maxmemory_policy", _KEEPING)
        return None if policy == _KEEPING or said.get("maxmemory") == "0" else policy

    def scripts(self, calls: Sequence[Call]) -> list[Any]:
        """`call` for scripts."""
        return self._replies([_script(*call) for call in calls])

    def _replies(self, commands: Sequence[bytes]) -> list[Any]:
        if monotonic() < self._closed_until:
            raise StateUnavailable("the state server is away: it is tried again within a second.")
        try:
            replies = self._again(commands)
        except (self._errors.RedisError, OSError) as error:
            self._closed_until = monotonic() + _PAUSE_SECONDS
            self.close()
            raise StateUnavailable(
                f"expected an answer of the state server, got {type(error).__name__}: "
                f"{_remedy(error, _RUN)}."
            ) from None
        for refusal in refusals(replies):
            if not str(refusal).startswith(("NOSTATE", "EPOCH")):
                raise self._refused(refusal)
        return replies

    def close(self) -> None:
        """Close the connection; the next call connects again."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _refused(self, reply: Exception) -> StateUnavailable:
        # for most failures of the server itself the client has classes of their own
        text = str(reply) if type(reply) is self._errors.ResponseError else ""
        if _GARBLED.search(text) and not _UNABLE.search(text):
            return StateGarbled("a key of the state holds what none of our commands has put there.")
        # a server that is out of memory, or has become a replica, cannot be used either
        return StateUnavailable(
            f"the state server refused a command with {type(reply).__name__}: "
            f"{_remedy(reply, 'see what its log says')}."
        )

    def _again(self, commands: Sequence[bytes]) -> list[Any]:
        fresh = self._connection is None
        try:
            return self._follow(commands)
        except (self._errors.ConnectionError, OSError):
            if fresh:
                raise
            # the server restarted since the last call, or closed an idle connection
            self.close()
            return self._follow(commands)

    def _follow(self, commands: Sequence[bytes]) -> list[Any]:
        """The replies, from the server of the slot, once it has the scripts."""
        replies = self._send(commands)
        refused = refusals(replies)
        if not refused:
            return replies
        moved = next(
            (error for error in refused if isinstance(error, self._errors.MovedError)), None
        )
        if moved is not None:
            self._pool.connection_kwargs |= {"host": moved.host, "port": moved.port}
            self.close()
            replies = self._send(commands)
        lacking = [
            at for at, reply in enumerate(replies) if isinstance(reply, self._errors.NoScriptError)
        ]
        if lacking:
            self._load()
            for at, reply in zip(
                lacking, self._send([commands[at] for at in lacking]), strict=True
            ):
                replies[at] = reply
        return replies

    def _send(self, commands: Sequence[bytes]) -> list[Any]:
        if self._connection is None:
            # not through the pool, which counts its connections and makes no more after a hundred
            # outages
            self._connection = self._pool.connection_class(**self._pool.connection_kwargs)
            self._connection.connect()
            self.lives += 1
        connection = self._connection
        # in one write
        connection.send_packed_command(commands if len(commands) == 1 else [b"".join(commands)])
        replies = []
        for _ in commands:
            try:
                replies.append(connection.read_response())
            except self._errors.ResponseError as error:
                replies.append(error)
        return replies

    def _load(self) -> None:
        self._send([_command(("SCRIPT", "LOAD", script)) for script in SCRIPTS])


def _remedy(error: Exception, other: str) -> str:
    """What to do about an error of the server or the connection."""
    return _REMEDIES.get(type(error).__name__, other)


def resp(word: object) -> bytes:
    """A word of a command as it is sent to Redis.

    >>> resp("EXISTS"), resp(12)
    (b'$6\\r\\nEXISTS\\r\\n', b'$2\\r\\n12\\r\\n')
    """
    data = word if word.__class__ is bytes else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _command(words: Command) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(sent(*words)))


def sent(*words: object) -> list[bytes]:
    """Words of a command as they are sent."""
    return [resp(word) for word in words]


def refusals(replies: Sequence[Any]) -> list[Exception]:
    """The errors among replies."""
    return [reply for reply in replies if isinstance(reply, Exception)]


_CALLED: Final = {script: b"".join(sent("EVALSHA", digest)) for script, digest in SCRIPTS.items()}
"""How the call of each script begins."""


def _script(script: str, keys: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A call of a script as it is sent: the client takes longer over so many keys."""
    number = b"%d" % len(keys)
    return b"*%d\r\n%b$%d\r\n%b\r\n%b%b" % (
        3 + len(keys) + len(words),
        _CALLED[script],
        len(number),
        number,
        b"".join(keys),
        b"".join(words),
    )
