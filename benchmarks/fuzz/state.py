"""Garbage in the state's keys in Redis, under load: everybody is answered, and every feature is
right or left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from redis import Redis, RedisError

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.fuzz.neighbour import Neighbour
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.spoil import spoilt_bytes
from benchmarks.fuzz.watch import CANARY, Seen, Watch
from serve.fixtures import fitted_model, make_bundle
from servers import redis
from shroff.package import save

Client = Redis
_PATIENCE: Final = 5.0
"""Seconds that a neighbour may wait: a state that is away may take two."""
_GARBAGE: Final = (
    b"",
    b"x",
    b"-1",
    b"0",
    b"1e5",
    b"nan",
    b"9" * 19,
    b"9" * 400,
    b"\xff",
    b"x" * 90_000,
    CANARY.encode(),
)


def types(random: Random, client: Client, key: bytes) -> None:
    """A value of another type in the place of a key's."""
    client.delete(key)
    garbage = random.choice(_GARBAGE) or b"x"
    random.choice(
        (
            lambda: client.set(key, garbage),
            lambda: client.rpush(key, garbage, garbage),
            lambda: client.sadd(key, garbage),
            lambda: client.zadd(key, {garbage: 1.0}),
            lambda: client.hset(key, garbage, garbage),
            lambda: client.xadd(key, {garbage: garbage}),
        )
    )()


def values(random: Random, client: Client, key: bytes) -> None:
    """A value of the same type with spoilt bytes."""
    kind = client.type(key)
    if kind == b"string":
        client.set(key, _changed(random, client.get(key)))
    elif kind == b"list":
        at = random.randrange(client.llen(key))
        changed = _changed(random, client.lindex(key, at))
        client.lset(key, at, changed)  # type: ignore[arg-type]  # it takes bytes too
    elif kind == b"hash":
        field = random.choice(client.hkeys(key))
        client.hset(key, field, _changed(random, client.hget(key, field)))
    elif kind == b"zset":
        member: Any = random.choice(client.zrange(key, 0, -1))
        client.zrem(key, member)
        client.zadd(key, {_changed(random, member): random.random()})
    elif kind == b"stream":
        client.xtrim(key, random.choice((0, 1)), approximate=False)


def heads(random: Random, client: Client, key: bytes) -> None:
    """The head of the state: its epoch, its newest time, how far it was filled."""
    for head in client.scan_iter(b"*head", count=1_000):
        field = random.choice(client.hkeys(head) or [b"epoch"])
        client.hset(head, field, random.choice(_GARBAGE))
        if random.random() < 0.3:
            client.hdel(head, field)


def absences(random: Random, client: Client, key: bytes) -> None:
    """Keys that are gone, as when a server evicts them: one, many, all."""
    random.choice(
        (
            lambda: client.delete(key),
            lambda: client.pexpire(key, 1),
            lambda: client.rename(key, key + b"x"),
            lambda: client.delete(*list(client.scan_iter(count=1_000))[::2]),
            client.flushdb,
        )
    )()


KINDS: Final[dict[str, Callable[[Random, Client, bytes], None]]] = {
    "state type": types,
    "state value": values,
    "state head": heads,
    "state gone": absences,
}


def fuzz_state(
    home: Path, *, cases: int, seed: int, kinds: Sequence[str] = tuple(KINDS)
) -> Iterator[Outcome]:
    """Spoil so many keys, divided among the kinds, each under a service of its own with its load
    and a neighbour.
    """
    home.mkdir(parents=True)
    save(make_bundle(fitted_model()), home / "bundle")
    for kind in kinds:
        place = Place(folder=home / kind.replace(" ", "-"), bundle=home / "bundle")
        seen: list[Seen] = []
        with redis() as url, Redis.from_url(url) as client:
            happen = partial(
                _spoil, client=client, kind=kind, count=cases // len(kinds), seed=seed, seen=seen
            )
            verdict = place.suffer(kind, happen, state=url)
        # the first time is broken off where the service does not come back
        one = seen[0] if seen else Seen(kind)
        one.failures.update(verdict.wrong)
        one.failures.update([f"{verdict.lost} answers lost"] if verdict.lost else [])
        yield one.outcome()


def _spoil(
    service: Service,
    load: Load,
    *,
    client: Client,
    kind: str,
    count: int,
    seed: int,
    seen: list[Seen],
) -> str:
    pid, log = service.process.pid, service.home / "service.log"
    with Neighbour(service.port, "", pid) as neighbour:
        watch = Watch(pid, log, neighbour, patience=_PATIENCE)
        with watch.over(kind) as one:
            seen.append(one)
            for number in range(count):
                random = Random(f"{seed} {kind} {number}")
                keys = sorted(client.scan_iter(count=1_000))
                if keys:
                    try:
                        KINDS[kind](random, client, random.choice(keys))
                    except RedisError:
                        # the service was faster
                        continue
                if random.random() < 0.5:
                    # so that the service reads all of it again
                    client.client_kill_filter(_type="normal", skipme=True)
                load.wait(10)
                one.cases += 1
    load.until(lambda: b'"degraded":false' in load.told.last)
    return f"{count} keys spoilt"


def _changed(random: Random, value: Any) -> bytes:
    return random.choice((spoilt_bytes(random, value or b"x"), random.choice(_GARBAGE)))
