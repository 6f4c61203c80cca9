"""What the console keeps up to date beside its pages: the index of payments, and the latency."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final, NamedTuple

from shroff.control import SubjectKeys
from shroff.errors import ShroffError
from shroff.index import IndexFile, IndexFollower, keys_of, shape_of
from shroff.ledger import Ledger
from shroff.monitor.latency import waited, within_ms
from shroff.package import Bundle
from shroff.settings import Settings

_PAUSE_SECONDS: Final = 1.0
_LATENCY_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class ServiceLatency(NamedTuple):
    """How long payments waited: milliseconds that half of them, and 99 of 100, kept; or why it is
    not known.
    """

    p50_ms: float | None = None
    p99_ms: float | None = None
    why: str = ""


class Following:
    """Follows the ledger and asks the service, in a thread of its own.

    Args:
        bundle: that is in production now, whose payments are indexed; None while none is.
        ledger: that pages read; keys that are destroyed go from its keyring too.
    """

    def __init__(
        self,
        settings: Settings,
        index: IndexFile,
        bundle: Callable[[], Bundle | None],
        ledger: Callable[[], Ledger],
    ) -> None:
        self._settings = settings
        self._index = index
        self._bundle = bundle
        self._ledger = ledger
        self._subjects = SubjectKeys(settings.control)
        self._keys: object = None
        self._follower: tuple[str, IndexFollower] | None = None
        self._asked = 0.0
        self._stop = Event()
        self._thread = Thread(target=self._run, name="index", daemon=True)
        self.failure: str | None = None
        """Why the index is behind; None while it follows."""
        self.latency = ServiceLatency()

    @property
    def stopped(self) -> bool:
        """Whether the console ends."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """End, after the part that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._drop_keys()
                self._follow()
                self.failure = None
            except ShroffError as error:
                if str(error) != self.failure:
                    _log.info("the index is behind: %s", error, extra={"event": "index"})
                self.failure = str(error)
            self._ask()
            self._stop.wait(_PAUSE_SECONDS)

    def _drop_keys(self) -> None:
        """Read the keys of subjects again if they changed: who is forgotten can be read no more."""
        mark, keyring = self._subjects.mark(), self._ledger().keyring
        if mark != self._keys and keyring is not None:
            keyring.take(self._subjects.periods())
            self._keys = mark

    def _follow(self) -> None:
        bundle = self._bundle()
        if bundle is None:
            return
        schema, keys = bundle.schema, keys_of(bundle)
        shape = shape_of(schema, keys)
        if self._follower is None or self._follower[0] != shape:
            settings = self._settings
            made = IndexFollower(self._index, settings.ledger, settings.control, schema, keys)
            self._follower = shape, made
        self._follower[1].catch_up(self._stop)

    def _ask(self) -> None:
        """Ask the service how long payments wait, now and then."""
        if not self._settings.service or time.monotonic() < self._asked + _LATENCY_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            found = waited(self._settings.service, self._settings.api_key)
        except ShroffError as error:
            self.latency = ServiceLatency(why=str(error))
        else:
            self.latency = ServiceLatency(within_ms(found, 0.5), within_ms(found, 0.99))
