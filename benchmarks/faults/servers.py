"""Faults of the servers behind the service: PostgreSQL and Redis stopped and started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from redis import Redis

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from serve.fixtures import VELOCITY, card, fitted_model, make_bundle
from servers import free_port, postgres, redis, stoppable_postgres
from shroff import FeatureGroup
from shroff.control.models import Models
from shroff.package import save

_AWAY = 2.0


def database(place: Place) -> Verdict:
    """Stop the ledger's PostgreSQL without a word to its clients, twice; there is no spool."""
    with stoppable_postgres() as server:

        def happen(_: Service, load: Load) -> str:
            for _again in range(2):
                least = load.told.refused + 20
                server.stop()
                load.until(partial(_refused, load, least))
                time.sleep(_AWAY)
                server.start()
                load.wait(100)
            return "twice: stopped at once under load, started after 2 s; no spool"

        environment = {"SHROFF_SPOOL_SIZE": "0MB"}
        return place.suffer(
            "PostgreSQL stopped", happen, ledger=server.url, environment=environment
        )


def _refused(load: Load, least: int) -> bool:
    return load.told.refused > least


def database_spooled(place: Place) -> Verdict:
    """Stop the ledger's PostgreSQL while the spool takes what is decided, and once kill the service
    meanwhile.
    """
    with stoppable_postgres() as server:
        return _spooled(place, "PostgreSQL stopped, spool", server.url, server.stop, server.start)


def database_silent(place: Place) -> Verdict:
    """Suspend the ledger's PostgreSQL, which keeps connections and says nothing; once kill the
    service meanwhile.
    """
    with stoppable_postgres() as server:
        return _spooled(
            place, "PostgreSQL suspended, spool", server.url, server.suspend, server.resume
        )


def _spooled(
    place: Place, fault: str, ledger: str, away: Callable[[], None], back: Callable[[], None]
) -> Verdict:
    def happen(service: Service, load: Load) -> str:
        for kill in (False, True):
            away()
            load.wait(200)
            if kill:
                service.kill()
            back()
            if kill:
                service.start()
            load.wait(100)
        return "twice, decided on by the spool; the second time killed with what the spool held"

    return place.suffer(fault, happen, ledger=ledger)


def state_empty(place: Place) -> Verdict:
    """Stop the state's Redis, and start one that knows nothing."""
    return _state(place, "Redis stopped, data lost", keeps=False)


def state_kept(place: Place) -> Verdict:
    """Stop the state's Redis, and start it again with what it had."""
    return _state(place, "Redis stopped, data kept", keeps=True)


def _state(place: Place, fault: str, *, keeps: bool) -> Verdict:
    place.folder.mkdir(parents=True, exist_ok=True)
    options = (
        ("--dir", str(place.folder), "--appendonly", "yes", "--appendfsync", "always")
        if keeps
        else ()
    )
    port = free_port()
    with postgres() as ledger, ExitStack() as servers:
        url = servers.enter_context(redis(*options, port=port))

        def happen(_: Service, load: Load) -> str:
            servers.close()
            load.until(lambda: load.told.degraded > 50)
            time.sleep(_AWAY)
            servers.enter_context(redis(*options, port=port))
            # the rest is decided with features again
            load.until(lambda: b'"degraded":false' in load.told.last)
            return f"two workers; {load.told.degraded:,} decided by policy meanwhile; started again"

        return place.suffer(fault, happen, ledger=ledger, state=url, workers=2)


def state_silent(place: Place) -> Verdict:
    """Suspend the state's Redis three times: it keeps its connections and says nothing."""
    with postgres() as ledger, redis() as state, Redis.from_url(state) as client:
        server = int(client.info("server")["process_id"])

        def happen(_: Service, load: Load) -> str:
            for seconds in (1.0, 5.0, 2.5):
                os.kill(server, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(server, signal.SIGCONT)
                load.wait(200)
                load.until(lambda: b'"degraded":false' in load.told.last)
            return (
                f"two workers; for 1, 5 and 2.5 s; {load.told.degraded:,} decided by policy "
                "meanwhile"
            )

        return place.suffer("Redis suspended", happen, ledger=ledger, state=state, workers=2)


def worker(place: Place) -> Verdict:
    """Kill everything while two workers share Redis and PostgreSQL."""
    with postgres() as ledger, redis() as state:

        def happen(service: Service, load: Load) -> str:
            for _ in range(3):
                load.wait(100)
                service.kill()
                service.start()
            return "3 times both of two workers at once, started again"

        return place.suffer("kill -9, two workers", happen, ledger=ledger, state=state, workers=2)


def features(place: Place) -> Verdict:
    """Publish models with more features, and with fewer again, while two workers share Redis and
    PostgreSQL.
    """
    models = Models(place.folder / "models")
    models.publish(place.bundle)
    more = FeatureGroup("velocity", [*VELOCITY.definitions, card.count("2d")], version=2)
    save(make_bundle(fitted_model(), groups=(more,)), place.folder / "more")

    def happen(service: Service, load: Load) -> str:
        refused = load.told.refused
        for bundle in (place.folder / "more", place.bundle, place.folder / "more"):
            version = models.publish(bundle).version.encode()
            load.until(lambda version=version: version in load.told.last)  # type: ignore[misc]  # bound now
            load.wait(200)
        if load.told.refused > refused or load.told.interrupted or load.told.degraded:
            raise RuntimeError(
                "requests were refused, broken off or decided without features meanwhile"
            )
        return (
            "two workers; published a model with more features, the one before, and again; no "
            "request refused"
        )

    with postgres() as ledger, redis() as state:
        return place.suffer(
            "publish features", happen, published=True, ledger=ledger, state=state, workers=2
        )
