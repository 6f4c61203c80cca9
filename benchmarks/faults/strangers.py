"""Faults of what others do to the state's Redis: garbage in its keys, another service on it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from redis import Redis, RedisError

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict, judge
from benchmarks.fuzz import state as garbage
from servers import redis
from shroff.package import load as load_bundle


def spoilt(place: Place) -> Verdict:
    """Write garbage into keys of the state, and break its connections so that all is read again."""
    with redis() as url, Redis.from_url(url) as client:

        def happen(_: Service, load: Load) -> str:
            random = Random(11)
            for kind in ("state type", "state value", "state head") * 3:
                for key in random.choices(sorted(client.scan_iter(count=1_000)) or [b"x"], k=3):
                    try:
                        garbage.KINDS[kind](random, client, key)
                    except RedisError:
                        continue
                client.client_kill_filter(_type="normal", skipme=True)
                load.wait(100)
                load.until(lambda: b'"degraded":false' in load.told.last)
            return "27 keys: another type, other bytes, another head; after three of them read anew"

        return place.suffer("garbage in Redis", happen, state=url)


def shared(place: Place) -> Verdict:
    """Start a second service, with a ledger of its own, on the Redis of the first."""
    other, wrong = place.folder / "other", list[str]()
    with redis() as url:

        def happen(_: Service, load: Load) -> str:
            second = Service(place.bundle, other, state=url)
            try:
                second.start()
            except RuntimeError:
                second.kill()
                if second.process.returncode != 2:
                    raise
                return "a second service with another ledger, refused at its start (exit code 2)"
            try:
                theirs = Load(second.port)
                theirs.start()
                load.wait(300)
                told = theirs.end()
            finally:
                second.end()
            found = judge("", "", told, load_bundle(place.bundle), second.ledger)
            wrong.extend(f"of the second: {sentence}" for sentence in found.wrong)
            return (
                f"a second service with another ledger, which answered {len(told.answers):,} "
                "payments"
            )

        verdict = place.suffer("two on one Redis", happen, state=url)
    return replace(verdict, wrong=(*verdict.wrong, *wrong))
