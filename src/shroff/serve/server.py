"""The serving process: bundle, ledger and state behind uvicorn, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import uvicorn

from shroff.collect import clean, read
from shroff.errors import ConfigurationError
from shroff.package import Bundle, Models, load
from shroff.serve.app import App
from shroff.serve.connection import Connection
from shroff.serve.control import Gate, Keys, Lists, LiveLists
from shroff.serve.follower import Follower
from shroff.serve.ledger import Ledger
from shroff.serve.protocols.azureml import Naming
from shroff.serve.scorer import Scorer
from shroff.serve.telemetry.configure import tracer
from shroff.settings import Settings, opentelemetry

_log = logging.getLogger("shroff.serve")
_BACKLOG = 2_048
_DRAIN = 30  # seconds that requests in flight get to finish


@dataclass(frozen=True)
class Certificate:
    """A certificate chain and its private key, PEM files (one file may hold both).

    Raises:
        ConfigurationError: they cannot be read, or do not belong together.
    """

    chain: Path
    key: Path | None = None

    def __post_init__(self) -> None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                f"expected a certificate chain and its key without a password in PEM files, "
                f"got {self.chain} and {self.key or 'no key file'} ({type(error).__name__})."
            ) from None


def serve(
    bundle: str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    warm: str | Path | None = None,
    max_bad: float = 0.01,
    lateness: str = "1d",
    keys: bool = True,
    tls: Certificate | None = None,
    settings: Settings | None = None,
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer payments over HTTP until SIGTERM or SIGINT; then finish what is in flight and return.

    Args:
        bundle: the folder of a bundle; by default the published model in production is served, and what is
            published later too.
        port: 0 takes a free one.
        warm: a table of payments to start from (.csv, .csv.gz, .parquet); `max_bad` as for `clean`.
        lateness: how much older than the newest payment one may be when it arrives.
        keys: whether whoever asks needs an API key.
        tls: speak HTTPS with this certificate.
        settings: where ledger and keys are; by default from the environment.
        listening: called with the URL once connections are accepted (not yet decided: see `/health/ready`).

    Raises:
        BundleError: the bundle is incomplete or altered.
        ConfigurationError: the address cannot be listened on, or a setting is wrong.
        DataError: the table to start from is unusable.
    """
    chosen = settings or Settings.read()
    naming = Naming.read(chosen)
    models = Models(chosen.models) if bundle is None else None
    loaded = models.production() if models is not None else load(str(bundle))
    with _listen(host, port) as listener:
        key = chosen.hmac_key()
        lists = LiveLists(Lists(chosen.control))
        scorer = Scorer(loaded, Ledger(chosen.ledger), key=key, lateness=lateness, lists=lists)
        recall = None if warm is None else partial(history_of, loaded, warm, key, max_bad)
        history = None if recall is None else recall()
        follower = None if models is None else Follower(models, scorer, history=recall)
        gate = _gate(chosen) if keys else None
        traces = tracer(opentelemetry())
        app = App(scorer, history=history, follower=follower, gate=gate, naming=naming, tracer=traces)
        server = uvicorn.Server(_config(app, tls))
        listening(_url(listener, "http" if tls is None else "https"))
        with _signals_end_quietly():
            server.run(sockets=[listener])


def _gate(settings: Settings) -> Gate:
    gate = Gate(Keys(settings.control))
    gate.refresh()
    if gate.empty:
        _log.warning(
            "no API key is valid, so every payment is refused: make one with `shroff keys create`.",
            extra={"event": "no_keys"},
        )
    return gate


def _config(app: App, tls: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing reads the client's address
        timeout_graceful_shutdown=_DRAIN,
        ssl_certfile=None if tls is None else tls.chain,
        ssl_keyfile=None if tls is None else tls.key,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another with `--port`."
        ) from None


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def history_of(bundle: Bundle, path: str | Path, key: bytes, max_bad: float) -> pl.DataFrame:
    """The clean table that a service starts from."""
    return clean(read(path), bundle.schema, key=key, max_bad=max_bad, source=str(path)).frame


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Let a signal that stopped the server be the end of it: uvicorn raises it again when it is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
