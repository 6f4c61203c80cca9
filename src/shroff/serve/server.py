"""The serving process: bundle, ledger and state behind uvicorn, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import uvicorn

from shroff.act import Desk
from shroff.control import (
    Gate,
    Keys,
    Lists,
    LiveKeyring,
    LiveLists,
    LiveRates,
    LiveTables,
    StoredRates,
    StoredTables,
    SubjectKeys,
)
from shroff.control.models import Models
from shroff.errors import ConfigurationError, Unavailable
from shroff.ledger import Keyring, Ledger
from shroff.package import Bundle, load
from shroff.package.trial import PassedTrial, passed, trust
from shroff.prepared import prepare_types
from shroff.scoring.check import Check
from shroff.scoring.deployments import Deployments
from shroff.scoring.forgetting import Eraser
from shroff.scoring.history import History, history_of, source_of
from shroff.scoring.scorer import Scorer
from shroff.serve.accept_lock import AcceptLock
from shroff.serve.app import App
from shroff.serve.asgi import Asgi
from shroff.serve.awake import cores_awake
from shroff.serve.certificate import Certificate, RenewedCertificate
from shroff.serve.fence import http_protocol
from shroff.serve.protocols.azureml import Naming
from shroff.serve.workers import Seat, Workers, require_shared
from shroff.settings import Settings, opentelemetry
from shroff.state import Snapshots, keeps_snapshots
from shroff.telemetry.configure import tracer
from shroff.telemetry.family import Source
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.log import Style, write_log

Mount = Callable[[Settings, Callable[[], bool]], Asgi]
"""Makes an application over an installation, which can ask whether the server is ending."""

_log = logging.getLogger(__name__)
_MAX_WAITING_CONNECTIONS = 2_048
_DRAIN_TIMEOUT_SECONDS = 30  # for requests in flight to finish
_CERTIFICATE_SECONDS = 1  # between two looks whether the certificate was renewed


@dataclass(frozen=True, kw_only=True)
class Service:
    """The configuration of a deciding process, over HTTP or from Kafka.

    Args:
        bundle: the folder of a bundle, whose own policy decides; by default the process serves the
            published model and policy, and follows later publications.
        warm: a table of payments to start from, a file or a URL; `max_bad` as for `clean`.
        warm_labels: a table with the history of their labels, as `history_of` takes it.
        lateness: how much older than the newest payment one may be when it arrives.
        keys: whether a request needs an API key.
        accept_broken_chain: start despite a ledger that was changed, and record that.
        tls: speak HTTPS with this certificate, and with what takes the place of its files.
        log: the format of a worker's log.
        checked: whether the parent process has checked all this; then history is read only when
            needed.
        passed: models that passed their trial in the parent, see `package.trial`.
        settings: the places of ledger, state, models and keys; by default from the environment.
        figures: what `/metrics` shows besides those of the service itself; functions of a module.
        mounts: applications besides, by the first segment of their paths: functions of a module
            that make each.
    """

    bundle: str | Path | None = None
    settings: Settings = field(default_factory=Settings.read)
    warm: str | os.PathLike[str] | None = None
    warm_labels: str | os.PathLike[str] | None = None
    max_bad: float = 0.01
    lateness: str = "1d"
    keys: bool = True
    accept_broken_chain: bool = False
    tls: Certificate | None = None
    log: Style = "text"
    checked: bool = False
    passed: Mapping[bytes, PassedTrial] = field(default_factory=dict)
    figures: tuple[Source, ...] = ()
    mounts: Mapping[str, Mount] = field(default_factory=dict)

    def app(self, seat: Seat | None = None) -> App:
        """The application; with a seat, as one of several workers.

        Raises:
            BundleError: the bundle is incomplete or altered.
            ConfigurationError: a setting is wrong.
            DataError: the table to start from is unusable.
        """
        scorer, deployments = self.scorer(
            member="" if seat is None else seat.name, workers=1 if seat is None else seat.seats
        )

        def ending() -> bool:
            # asked by what is mounted, once the application has a server
            return app.ending()

        app = App(
            scorer,
            deployments=deployments,
            gate=self.gate(seat),
            naming=Naming.read(self.settings),
            desk=Desk(self.settings.control, key=self.settings.hmac_key()),
            tracer=tracer(opentelemetry()),
            fleet=None if seat is None else Fleet(seat.folder, seat.number),
            accept_lock=None if seat is None else AcceptLock(seat.folder),
            figures=self.figures,
            mounts={name: make(self.settings, ending) for name, make in self.mounts.items()},
            eraser=None if scorer.keys is None else self._eraser(scorer.ledger, scorer.keys),
        )
        return app

    def _eraser(self, ledger: Ledger, keys: LiveKeyring) -> Eraser:
        control, secret = self.settings.control, self.settings.hmac_key()
        return Eraser(
            ledger, SubjectKeys(control), Desk(control), secret=secret, follow=keys.refresh
        )

    def gate(self, seat: Seat | None = None) -> Gate | None:
        """Who may ask; None lets everybody. With a seat, a key has one limit for all workers."""
        return _gate(self.settings, None if seat is None else seat.folder) if self.keys else None

    def scorer(self, *, member: str = "", workers: int = 1) -> tuple[Scorer, Deployments | None]:
        """The scorer, not started yet, and what makes it follow publications.

        Args:
            member: the name of this process among those that share a state.
            workers: how many processes share the budget of a control lane.

        Raises:
            ConfigurationError: a setting is wrong.
            DataError: the table to start from is unusable.
        """
        models = Models(self.settings.models) if self.bundle is None else None
        bundle, standing = (
            models.in_production() if models is not None else (load(str(self.bundle)), None)
        )
        chosen, key = self.settings, self.settings.hmac_key()
        keyring = Keyring(key)
        ledger = Ledger(
            chosen.ledger, spool=chosen.spool, spool_limit=chosen.spool_bytes(), keyring=keyring
        )
        snapshots = self._snapshots(ledger)
        scorer = Scorer(
            bundle,
            ledger,
            key=key,
            lateness=self.lateness,
            standing=standing,
            lists=LiveLists(
                Lists(chosen.control, consent=chosen.needs_consent("lists")),
            ),
            rates=LiveRates(StoredRates(chosen.control)),
            tables=LiveTables(StoredTables(chosen.control)),
            keys=LiveKeyring(SubjectKeys(chosen.control), keyring, bundle.schema),
            state=chosen.state,
            member=member,
            workers=workers,
            snapshots=snapshots,
            history=self._history(bundle, snapshots),
            accept_broken_chain=self.accept_broken_chain,
        )
        return scorer, None if models is None else Deployments(models, scorer)

    def _history(self, bundle: Bundle, snapshots: Snapshots | None) -> History | None:
        """The table of `warm`, which a snapshot may spare to read."""
        if self.warm is None:
            return None
        read = partial(history_of, bundle, self.warm, self.settings.hmac_key(), self.max_bad)
        make = partial(read, labels=self.warm_labels)
        if snapshots is None:
            return History(make, later=self.checked)
        source = partial(source_of, bundle, self.warm, self.max_bad, self.warm_labels)
        return History(make, source=source, later=self.checked or not snapshots.empty)

    def _snapshots(self, ledger: Ledger) -> Snapshots | None:
        chosen, seconds = self.settings, self.settings.snapshot_seconds()
        if not seconds or not keeps_snapshots(chosen.state, ledger):
            return None
        return Snapshots(chosen.snapshots, chosen.hmac_key(), seconds=seconds)

    def work(self, listener: socket.socket, seat: Seat) -> None:
        """`run` in a process of its own."""
        write_log(self.log)
        trust(self.passed)
        self.run(listener, seat=seat)

    def run(
        self,
        listener: socket.socket,
        *,
        seat: Seat | None = None,
        listening: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve on a listening socket until SIGTERM or SIGINT, then drain and return.

        Raises:
            BundleError, ConfigurationError, DataError: as `app`, before `listening` is called.
            BrokenChain: the ledger was changed.
        """
        prepare_types()
        app = self.app(seat)
        server = uvicorn.Server(_config(app, self.tls))
        app.stop = partial(setattr, server, "should_exit", True)
        app.ending = lambda: server.should_exit
        listening()
        with _signals_end(server):
            server.run(sockets=[listener])
        if app.failure is not None:
            raise app.failure

    def check_chain(self) -> None:
        """Raise `BrokenChain` where the ledger was changed, before any worker starts."""
        if not self.accept_broken_chain:
            # the workers report any other fault
            with (
                suppress(Unavailable, ConfigurationError),
                Check(Ledger(self.settings.ledger), accept=False),
            ):
                pass


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    awake: bool = False,
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve payments over HTTP until SIGTERM or SIGINT, then drain and return.

    Args:
        port: 0 takes a free one.
        workers: number of processes; several share their state in Redis and their ledger in
            PostgreSQL.
        awake: keep the machine's cores from sleeping meanwhile.
        listening: called with the URL once connections are accepted (`/health/ready` says when it
            can decide).

    Raises:
        BundleError: the bundle is incomplete or altered.
        ConfigurationError: the address cannot be listened on, a setting is wrong, or Linux does not
            keep cores awake here.
        DataError: the table to start from is unusable, or the key of personal columns is another
            than the ledger was written with.
        BrokenChain: the ledger was changed.
    """
    if workers > 1:
        require_shared(service.settings)
    with cores_awake(awake), listen(host, port) as listener:
        url = url_of(listener, "http" if service.tls is None else "https")
        if workers > 1:
            service.app()
            service.check_chain()
            listening(url)
            Workers(replace(service, checked=True, passed=passed()).work, listener, workers).run()
        else:
            service.run(listener, listening=lambda: listening(url))


def _gate(settings: Settings, folder: Path | None) -> Gate:
    gate = Gate(Keys(settings.control), folder=folder)
    gate.refresh()
    if gate.empty:
        _log.warning(
            "no API key is valid, so every request is refused: make one with `shroff keys create`.",
            extra={"event": "no_keys"},
        )
    return gate


def _config(app: App, tls: Certificate | None) -> uvicorn.Config:
    renewed = None if tls is None else RenewedCertificate(tls)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=http_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing reads the client's address
        timeout_graceful_shutdown=_DRAIN_TIMEOUT_SECONDS,
        ssl_certfile=None if tls is None else tls.chain,
        ssl_keyfile=None if tls is None else tls.key,
        callback_notify=None if renewed is None else renewed.follow,
        timeout_notify=_CERTIFICATE_SECONDS,
    )
    config.load()
    if renewed is not None and config.ssl is not None:
        renewed.attach(config.ssl)
    return config


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Listen on an address; `option` is the command's option for its port.

    Raises:
        ConfigurationError: it cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_MAX_WAITING_CONNECTIONS)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another with "
            f"`{option}`."
        ) from None


def url_of(listener: socket.socket, scheme: str) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextmanager
def _signals_end(server: uvicorn.Server) -> Iterator[None]:
    """Stop the server on a signal, also before uvicorn handles signals, and swallow it after.

    uvicorn raises the signal again once it has stopped; then nothing is left to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
