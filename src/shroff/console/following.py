"""What the console keeps up to date beside its pages, a thread each: the index of payments, and how
long the service takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Final, NamedTuple

from shroff.clock import Clock
from shroff.control import SubjectKeys
from shroff.errors import BundleError, IndexUnavailable, ShroffError
from shroff.index import IndexFile, IndexFollower, found_by, indexed_until, shape_of
from shroff.ledger import Ledger
from shroff.monitor.latency import waited, within_ms
from shroff.package import Bundle
from shroff.settings import Settings

_INDEX_SECONDS: Final = 1.0
_LATENCY_SECONDS: Final = 10.0
_FRESH_US: Final = 5_000_000
"""Records that arrived since are about to be indexed, and no notice says that they are missing."""
_log = logging.getLogger(__name__)


class RepeatedWork:
    """Does something again and again in a thread of its own, until the console ends."""

    def __init__(self, name: str, work: Callable[[], None], *, pause_seconds: float) -> None:
        self._name = name
        self._work = work
        self._pause = pause_seconds
        self.stopping = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self.failure: str | None = None
        """Why the last time failed, as a sentence; None where it did not."""

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End after what is under way, which is waited for if so wanted."""
        self.stopping.set()
        if wait:
            self._thread.join()

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._work()
                self.failure = None
            except ShroffError as error:
                if str(error) != self.failure:
                    _log.info("%s: %s", self._name, error, extra={"event": self._name})
                self.failure = str(error)
            except Exception:  # noqa: BLE001  # whatever it is, the thread goes on and pages say so
                _log.exception("a thread failed", extra={"event": "unexpected"})
                self.failure = "This is a defect of Shroff; its details are in the console's log."
            self.stopping.wait(self._pause)


class IndexThread:
    """Follows the ledger into the index.

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
        *,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._index = index
        self._bundle = bundle
        self._ledger = ledger
        self._clock = clock
        self._subjects = SubjectKeys(settings.control)
        self._keys: object = None
        self._follower: tuple[str, IndexFollower] | None = None
        self._repeated = RepeatedWork("index", self._step, pause_seconds=_INDEX_SECONDS)

    def start(self) -> None:
        """Begin, unless it has begun."""
        self._repeated.start()

    def stop(self) -> None:
        """End, after the part that is under way."""
        self._repeated.stop()

    def behind(self) -> str:
        """What the index lacks, and why, as a sentence; nothing where it is up to date."""
        failure = self._repeated.failure
        if failure is None and not self._is_published():
            return ""
        try:
            done, due = indexed_until(self._index), self._ledger().before(self._clock() - _FRESH_US)
            if failure is None and done < due:
                return (
                    f"The index is being built: it has {done:,} of {self._ledger().head().seq:,} "
                    "records, and this page knows those alone."
                )
        except ShroffError as error:
            failure = str(error)
        return "" if failure is None else f"The newest payments may be missing: {failure}"

    def _is_published(self) -> bool:
        """Whether a model is in production, so that payments are indexed by its keys."""
        try:
            return self._bundle() is not None
        except BundleError:
            return True

    def _step(self) -> None:
        self._drop_keys()
        try:
            bundle = self._bundle()
        except BundleError as error:
            # its sentence names a file, which is nothing for the pages of everybody
            _log.info("%s", error, extra={"event": "index"})
            raise IndexUnavailable(
                "the model in production cannot be read; `shroff models` says which it is."
            ) from None
        if bundle is not None:
            self._follow(bundle)

    def _drop_keys(self) -> None:
        """Read the keys of subjects again if they changed: who is forgotten can be read no more."""
        mark, keyring = self._subjects.mark(), self._ledger().keyring
        if mark != self._keys and keyring is not None:
            keyring.take(self._subjects.periods())
            self._keys = mark

    def _follow(self, bundle: Bundle) -> None:
        schema, keys = bundle.schema, found_by(bundle)
        shape = shape_of(schema, keys)
        if self._follower is None or self._follower[0] != shape:
            settings = self._settings
            made = IndexFollower(self._index, settings.ledger, settings.control, schema, keys)
            self._follower = shape, made
        self._follower[1].catch_up(self._repeated.stopping)


class ServiceLatency(NamedTuple):
    """How long payments waited: milliseconds that half of them, and 99 of 100, kept; or why it is
    not known.
    """

    p50_ms: float | None = None
    p99_ms: float | None = None
    why: str = ""


class LatencyThread:
    """Asks the service how long payments wait, now and then; without a service, nobody."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._repeated = RepeatedWork("latency", self._step, pause_seconds=_LATENCY_SECONDS)
        self._found = ServiceLatency()

    def start(self) -> None:
        """Begin, where a service is named."""
        if self._settings.service:
            self._repeated.start()

    def stop(self) -> None:
        """End; a service that does not answer is not waited for."""
        self._repeated.stop(wait=False)

    @property
    def found(self) -> ServiceLatency:
        """What the service said last."""
        failure = self._repeated.failure
        return self._found if failure is None else ServiceLatency(why=failure)

    def _step(self) -> None:
        found = waited(self._settings.service, self._settings.api_key)
        self._found = ServiceLatency(within_ms(found, 0.5), within_ms(found, 0.99))
