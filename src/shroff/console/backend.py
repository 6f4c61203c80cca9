"""What the pages read and change: the rooms of one installation, opened by its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from shroff.act import Desk
from shroff.act.desk import UNDO_SECONDS
from shroff.backtest import RecentPast, RuleBench
from shroff.clock import Clock, system_time
from shroff.console.catalogue import InputsMeasured
from shroff.console.following import IndexThread, LatencyThread
from shroff.console.jobs import Jobs
from shroff.console.oidc import OpenIdSignIn, Provider
from shroff.console.packaged import PackagedRuns
from shroff.console.streams import Streams
from shroff.control import Lists, reading_keyring
from shroff.control.attempts import Attempts
from shroff.control.models import Models
from shroff.control.proposals import Proposals
from shroff.control.sessions import Sessions
from shroff.control.users import Users
from shroff.errors import BundleError, NotFound
from shroff.experiment import Runs
from shroff.index import IndexFile, found_by
from shroff.ledger import Ledger
from shroff.monitor.alerts import Alarms
from shroff.package import Bundle
from shroff.settings import Settings

_BUNDLES: Final = 8


@dataclass(frozen=True)
class ConsoleBackend:
    """One installation, handed to every handler that names a parameter `backend`."""

    settings: Settings
    clock: Clock = system_time
    ending: Callable[[], bool] = lambda: False
    """Whether the server has been told to end, and only waits for what is open."""

    @cached_property
    def users(self) -> Users:
        """The people who may sign in."""
        return Users(self.settings.control, clock=self.clock)

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of those who did."""
        return Sessions(self.settings.control, clock=self.clock)

    @cached_property
    def streams(self) -> Streams:
        """The open streams of server-sent events."""
        return Streams(self.sessions, self.ending)

    @cached_property
    def attempts(self) -> Attempts:
        """How often somebody may try to."""
        return Attempts(self.settings.control, clock=self.clock)

    @cached_property
    def oidc(self) -> OpenIdSignIn | None:
        """The provider through which people sign in; None without one."""
        text = self.settings.console_oidc
        return OpenIdSignIn(Provider.read(text)) if text else None

    @cached_property
    def desk(self) -> Desk:
        """The cases; labels of decisions wait, so that a slip of the hand can be undone."""
        return Desk(
            self.settings.control,
            key=self.settings.hmac_key(),
            clock=self.clock,
            undo_seconds=UNDO_SECONDS,
        )

    @cached_property
    def models(self) -> Models:
        """The published models and policies."""
        return Models(self.settings.models, consent=self.settings.needs_consent("policy"))

    @cached_property
    def packaged(self) -> PackagedRuns:
        """The runs that packaged a model."""
        return PackagedRuns(Runs(self.settings.home / "runs"))

    @cached_property
    def jobs(self) -> Jobs:
        """What takes longer than a page."""
        return Jobs(self.clock)

    @cached_property
    def measured(self) -> dict[str, InputsMeasured]:
        """The last measurement of the inputs of a model, by its version."""
        return {}

    @cached_property
    def _names(self) -> dict[str, str]:
        return {}

    def model_name(self, version: str) -> str:
        """The detector of a published version; of one that was altered, that."""
        if version not in self._names:
            try:
                self._names[version] = self.models.load(version).name
            except BundleError:
                return "altered"
        return self._names[version]

    @cached_property
    def lists(self) -> Lists:
        """The edits of lists."""
        consent = self.settings.needs_consent("lists")
        return Lists(self.settings.control, clock=self.clock, consent=consent)

    @cached_property
    def proposals(self) -> Proposals:
        """Changes of the policy and of lists that a second person agrees to."""
        return Proposals(self.settings.control, self.models, clock=self.clock)

    @cached_property
    def bench(self) -> RuleBench:
        """What may be written over the policy in force, and how it would have done."""
        recent = RecentPast(self._open_ledger, self.bundle_or_none, clock=self.clock)
        return RuleBench(self.models, self.lists, recent, clock=self.clock)

    def _open_ledger(self) -> Ledger:
        return Ledger(self.settings.ledger, keyring=reading_keyring(self.settings.control))

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, to read."""
        return self._open_ledger()

    @cached_property
    def alarms(self) -> Alarms:
        """What monitoring found."""
        return Alarms(self.settings.control, clock=self.clock)

    @cached_property
    def index(self) -> IndexFile:
        """The payments of the ledger, to search."""
        return IndexFile(self.settings.home / "index.db")

    @cached_property
    def following(self) -> IndexThread:
        """What keeps the index up to date."""
        given = (self.settings, self.index, self.production, lambda: self.ledger)
        return IndexThread(*given, clock=self.clock)

    @cached_property
    def latency(self) -> LatencyThread:
        """What asks how long the service takes."""
        return LatencyThread(self.settings)

    def start(self) -> None:
        """Begin what goes on beside the pages, unless it has begun."""
        self.following.start()
        self.latency.start()

    def stop(self) -> None:
        """End it."""
        self.latency.stop()
        self.following.stop()

    @cached_property
    def bundle(self) -> Callable[[str], Bundle]:
        """Loads a published version; those asked for last are kept."""
        return lru_cache(maxsize=_BUNDLES)(self.models.load)

    def bundle_or_none(self, version: str | None) -> Bundle | None:
        """A published version, for what goes on without; None where it is gone or was altered."""
        try:
            return None if version is None else self.bundle(version)
        except (NotFound, BundleError):
            return None

    def production(self) -> Bundle | None:
        """The model in production; None where there is none.

        Raises:
            BundleError: it was altered.
        """
        version = self.models.pointers.production
        return None if version is None else self.bundle(version)

    @property
    def currency(self) -> str:
        """The currency that the model in production counts in; empty where that is unknown."""
        bundle = self.readable_production()
        return (bundle.currency or "") if bundle else ""

    @property
    def searched(self) -> tuple[str, ...]:
        """The columns whose values payments are found by; none where no model can be read."""
        bundle = self.readable_production()
        return () if bundle is None else found_by(bundle)

    def readable_production(self) -> Bundle | None:
        """The model in production, for what goes on without; None where it cannot be read."""
        return self.bundle_or_none(self.models.pointers.production)
