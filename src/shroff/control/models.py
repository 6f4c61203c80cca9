"""Published bundles and policies in a folder, by version, with pointers to those that decide.

    versions/VERSION/         a bundle, byte for byte as it was published, never changed
    policies/VERSION.json     a policy with its thresholds, never changed
    pointers.json             which model and policy are in production, which model in the shadow,
                              and every change

The pointers change by one rename, so a reader sees the old or the new ones: a model and its policy
change together.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from shroff.clock import Clock, system_time
from shroff.collect.fields import require_note
from shroff.collect.times import iso_time
from shroff.control.bundles import Bundles, require_same_schema, require_sound
from shroff.control.pointers import Action, Agreed, Measured, Pointers, Role, Signature
from shroff.control.pointers_file import PointersFile
from shroff.control.policies import Policies
from shroff.decide.policy import Policy
from shroff.decide.standing import Standing, fit, own, refit
from shroff.errors import BundleError, ConfigurationError, ConsentRequired, NotFound
from shroff.package import Bundle, read, unpack
from shroff.package.files import Files

_MAX_NOTE_CHARACTERS: Final = 500


class Models:
    """A folder of published bundles; publishing the first one creates it.

    Processes that publish at once take turns.

    Args:
        consent: policies need a second person's: they are proposed, see `Proposals`.
    """

    def __init__(
        self, folder: str | Path, *, consent: bool = False, clock: Clock = system_time
    ) -> None:
        self.folder = Path(folder)
        self._clock = clock
        self._consent = consent
        self._file = PointersFile(self.folder)
        self._bundles = Bundles(self.folder)
        self._policies = Policies(self.folder / "policies")

    def __contains__(self, version: str) -> bool:
        return version in self._bundles

    @property
    def pointers(self) -> Pointers:
        """The pointers now; empty before the first bundle is published.

        Raises:
            BundleError: the file of the pointers is damaged.
            BrokenChain: its history was changed.
        """
        return self._file.read()

    @property
    def versions(self) -> list[str]:
        """All published versions, oldest first."""
        return self._bundles.versions

    def publish(
        self,
        bundle: str | Path,
        *,
        role: Role = "production",
        by: str | None = None,
        note: str | None = None,
        accept_schema: bool = False,
        own_policy: bool = False,
        measured: Measured | None = None,
        first: bool = False,
    ) -> Bundle:
        """Store a bundle as a version and point to it; returns the stored bundle.

        A published policy stays in force with the new model; its open thresholds are chosen again.

        Args:
            by, note: who publishes, and why; kept in the history.
            accept_schema: publish it even if its payments' schema differs from production's.
            own_policy: replace the published policy by the one that it was packaged with.
            measured: what the gates of a promotion found; by default it is published without any.
            first: only while no model is in production.

        Raises:
            BundleError: it is incomplete or altered, its model does not pass its trial, or its own
                policy does not fit.
            ConfigurationError: its schema differs, the published policy does not fit it, the note
                is too long, or another model is in production than the gates compared it with, or
                than `first` allows.
        """
        self._require_allowed(role, own_policy=own_policy)
        files, made = read(bundle), self._signed(by, note)
        loaded = unpack(files)
        require_sound(loaded)
        with self._file.turn() as pointers:
            if measured is not None:
                made = measured.signing(made)
                measured.require_incumbent(pointers.production)
            if first:
                pointers.require_no_model()
            if not accept_schema:
                self.require_same_schema(loaded, pointers)
            kept_policy = own_policy or role == "shadow"
            policy = pointers.policy if kept_policy else self._policy_for(pointers, loaded)
            kept = self._kept(files, loaded, bundle)
            action: Action = "publish" if measured is None else "promote"
            moved = pointers.with_version(role, action, loaded.version, policy, made)
            if own_policy and policy is not None:
                moved = self._with_own_policy(moved, kept, made)
            if moved != pointers:
                self._file.write(moved)
        return kept

    def refuse(
        self, version: str, *, role: Role, by: str | None, note: str | None, measured: Measured
    ) -> None:
        """Keep in the history that the gates refused a promotion, and what they found.

        Raises:
            ConfigurationError: the note is too long.
        """
        made = measured.signing(self._signed(by, note))
        with self._file.turn() as pointers:
            self._file.write(pointers.with_refusal(role, version, made))

    def rollback(
        self,
        *,
        by: str | None = None,
        note: str | None = None,
        accept_schema: bool = False,
        measured: Measured | None = None,
    ) -> str:
        """Put the previous version back into production; returns it.

        A published policy stays in force if it fits; otherwise the model's last policy returns.

        Args:
            measured: what guardrails found of the version in production.

        Raises:
            NotFound: there was none before.
            ConfigurationError: its schema differs from production's, the note is too long, or
                another model is in production than was measured.
        """
        made = self._signed(by, note)
        with self._file.turn() as pointers:
            if measured is not None:
                made = measured.signing(made)
                measured.require_same(pointers.production)
            if not pointers.earlier:
                raise NotFound(
                    f"{self.folder}: there is no earlier version in production to go back to."
                )
            version = pointers.earlier[0]
            bundle = self.load(version)
            if not accept_schema:
                self.require_same_schema(bundle, pointers)
            try:
                policy = self._policy_for(pointers, bundle)
            except (ConfigurationError, BundleError):
                policy = pointers.policy_beside(version)
            self._file.write(pointers.with_model("rollback", version, policy, made))
            return version

    def withdraw(self, *, by: str | None = None, note: str | None = None) -> None:
        """Remove the shadow."""
        made = self._signed(by, note)
        with self._file.turn() as pointers:
            if pointers.shadow is not None:
                self._file.write(pointers.with_shadow("withdraw", None, made))

    def publish_policy(
        self,
        policy: Policy,
        *,
        by: str | None = None,
        note: str | None = None,
        agreed: Agreed | None = None,
    ) -> Standing:
        """Put a policy in force with the model in production; returns it with its thresholds.

        Args:
            agreed: a second person's consent, and to a change of which policy.

        Raises:
            ConfigurationError: it does not fit the model, none is in production, or the note is too
                long.
            ConsentRequired: one person alone may not change the policy here.
            ProposalConflict: another policy is in force than the consent was about.
        """
        if agreed is None:
            self.require_no_consent()
            made = self._signed(by, note)
        else:
            made = self._signed(agreed.signed, note)
        with self._file.turn() as pointers:
            fitting = fit(policy, self._in_production(pointers))
            with suppress(BundleError, NotFound):  # a damaged policy must stay replaceable
                standing = self.policy(str(pointers.standing))
                if standing.content == fitting.content:
                    return standing
            if agreed is not None:
                agreed.require_base(pointers.standing)
            version = self._policies.keep(fitting)
            self._file.write(pointers.with_policy("publish", version, made))
            return self.policy(version)

    def rollback_policy(self, *, by: str | None = None, note: str | None = None) -> Standing:
        """Put the previous policy back in force; the first one's predecessor is the model's own.

        Raises:
            NotFound: there was none before.
            ConfigurationError: it does not fit the model in production, or the note is too long.
        """
        made = self._signed(by, note)
        with self._file.turn() as pointers:
            earlier = pointers.policies_before
            if not earlier:
                raise NotFound(f"{self.folder}: there is no earlier policy to go back to.")
            version = earlier[0]
            if version is not None:
                version = self._policies.keep(
                    refit(self.policy(version), self._in_production(pointers))
                )
            moved = msgspec.structs.replace(pointers, earlier_policies=earlier).with_policy(
                "rollback", version, made
            )
            self._file.write(moved)
            return self.policy(str(moved.standing))

    def policy(self, version: str) -> Standing:
        """The policy of a version: a published one, or a published model's own.

        Raises:
            NotFound: there is neither.
            BundleError: it was altered.
        """
        if version in self:
            return own(self.load(version))
        return self._policies.load(version)

    def policy_beside(self, candidate: Bundle, pointers: Pointers) -> Standing:
        """A candidate's policy: the published one if it fits the candidate, or else its own."""
        with suppress(ConfigurationError):
            if pointers.policy is not None:
                published = self.policy(pointers.policy)
                return msgspec.structs.replace(
                    refit(published, candidate), version=published.version
                )
        return own(candidate)

    def load(self, version: str) -> Bundle:
        """A published bundle.

        Raises:
            NotFound: there is no such version.
            BundleError: it was altered.
        """
        return self._bundles.load(version)

    def production(self) -> Bundle:
        """The bundle in production.

        Raises:
            ConfigurationError: none was published.
        """
        return self._in_production(self.pointers)

    def in_production(self) -> tuple[Bundle, Standing]:
        """The bundle in production and the policy that decides with it.

        Raises:
            ConfigurationError: none was published.
        """
        pointers = self.pointers
        bundle = self._in_production(pointers)
        return bundle, own(bundle) if pointers.policy is None else self.policy(pointers.policy)

    def require_no_consent(self) -> None:
        """Raise `ConsentRequired` if one person alone may not change the policy here."""
        if self._consent:
            raise ConsentRequired(
                "expected a second person's consent to another policy (SHROFF_CONSENT): propose "
                "it with `shroff policy propose`, or in the console."
            )

    def _require_allowed(self, role: Role, *, own_policy: bool) -> None:
        if own_policy and role == "shadow":
            raise ConfigurationError(
                "expected a policy beside the model in production: a shadow decides nothing."
            )
        if own_policy:
            self.require_no_consent()

    def _kept(self, files: Files, loaded: Bundle, given: str | Path) -> Bundle:
        """The bundle as it is stored, which is the same or none."""
        if loaded.version not in self:
            self._bundles.keep(files, loaded.version)
        kept = self.load(loaded.version)
        if kept.digest != loaded.digest:
            raise BundleError(f"{given}: another bundle was published as version {kept.version}.")
        return kept

    def _in_production(self, pointers: Pointers) -> Bundle:
        version = pointers.production
        if version is None:
            raise ConfigurationError(
                f"{self.folder}: no model is in production yet; `shroff publish BUNDLE` puts one "
                "there."
            )
        return self.load(version)

    def _policy_for(self, pointers: Pointers, bundle: Bundle) -> str | None:
        """The version of the published policy, if any, refitted to a bundle."""
        if pointers.policy is None:
            return None
        try:
            return self._policies.keep(refit(self.policy(pointers.policy), bundle))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the published policy {pointers.policy} does not fit this model: {error} "
                "Pass `--own-policy` to put the policy in force that the model was packaged with."
            ) from None

    def _with_own_policy(self, pointers: Pointers, bundle: Bundle, made: Signature) -> Pointers:
        version = self._policies.keep(own(bundle))
        return (
            pointers
            if version == pointers.policy
            else pointers.with_policy("publish", version, made)
        )

    def require_same_schema(self, bundle: Bundle, pointers: Pointers) -> None:
        """Raise `ConfigurationError` if a bundle's payments have another schema than those in
        production.
        """
        if pointers.production in (None, bundle.version):
            return
        try:
            current = self.load(str(pointers.production)).schema
        except (BundleError, NotFound):
            # a damaged model must stay replaceable
            return
        require_same_schema(current, bundle.schema)

    def _signed(self, by: str | None, note: str | None) -> Signature:
        if note is not None and not 0 < len(note) <= _MAX_NOTE_CHARACTERS:
            raise ConfigurationError(
                f"expected a note of 1 to {_MAX_NOTE_CHARACTERS} characters, got {len(note)}."
            )
        require_note(note)
        return Signature(by, note, at=iso_time(self._clock(), "seconds"))
