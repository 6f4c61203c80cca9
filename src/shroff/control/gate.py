"""The gate: it checks the key, scope and rate of every request."""

from __future__ import annotations

import hmac
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from shroff.clock import Clock, system_time
from shroff.control.keys import ApiKey, Keys, Scope, digest, split_token
from shroff.control.rate_limit import Bucket
from shroff.errors import AccessDenied, TooManyRequests, UnknownKey

REFRESH_SECONDS: Final = 1.0
"""Time between two reloads, after which a key that was made or revoked elsewhere takes effect."""

Refused = Literal["none", "unknown", "valid", "expired", "revoked", "scope", "rate"]
"""Why a request is refused: no key, no valid key, a key without the scope or over its rate."""
_log = logging.getLogger(__name__)


class Gate:
    """Admits requests by their bearer key, by the keys of the last refresh.

    While the database does not answer, the last known keys stay valid until they expire.

    Args:
        folder: where the processes of this machine share the rate limits of keys.
    """

    def __init__(
        self, keys: Keys, *, folder: Path | None = None, clock: Clock = system_time
    ) -> None:
        self._keys = keys
        self._folder = folder
        self._clock = clock
        self._known: Mapping[str, ApiKey] = {}
        self._buckets: dict[str, Bucket] = {}
        self.refused: Counter[tuple[Refused, str]] = Counter()
        """Refused requests by reason and name of the key; empty if the key is not valid."""

    def refresh(self) -> None:
        """Reload the keys; from any thread.

        Raises:
            ControlUnavailable: the keys of the last refresh stay.
        """
        self._known = {key.id: key for key in self._keys.all()}

    @property
    def empty(self) -> bool:
        """Whether no key is valid, so that every request is refused."""
        now = self._clock()
        return all(key.state(now) != "valid" for key in self._known.values())

    def admit(self, authorization: bytes | None, scope: Scope, *, counted: bool = True) -> str:
        """The name of the key that `key_of` finds."""
        return self.key_of(authorization, scope, counted=counted).name

    def key_of(self, authorization: bytes | None, scope: Scope, *, counted: bool = True) -> ApiKey:
        """The key that a request carries in its `Authorization` header.

        Args:
            counted: whether a refusal is counted in `refused`.

        Raises:
            UnknownKey: the request has no key, or one that is not valid.
            AccessDenied: the key lacks the scope.
            TooManyRequests: the key is over its rate.
        """
        key = self._of(authorization, counted)
        if scope not in key.scopes and "admin" not in key.scopes:
            self.refused["scope", key.name] += counted
            raise AccessDenied(f"this key is not for this: expected one with the scope `{scope}`.")
        if key.rate is not None:
            self._take(key, key.rate, 1, counted)
        return key

    def count(self, key: ApiKey, payments: int) -> None:
        """Count an admitted request's payments beyond the first against the key's rate, all or
        none.

        Raises:
            UnknownKey: the key was revoked, or has expired, since it was admitted.
            TooManyRequests: the key is over its rate, or the request has more payments than its
                rate ever allows.
        """
        state = self._known.get(key.id, key).state(self._clock())
        if state != "valid":
            self.refused[state, ""] += 1
            ended = "was revoked" if state == "revoked" else "expired"
            raise UnknownKey(f"this key {ended} meanwhile: `shroff keys create` makes another.")
        if key.rate is not None and payments > 0:
            self._take(key, key.rate, payments)

    def _take(self, key: ApiKey, rate: float, payments: int, counted: bool = True) -> None:
        bucket = self._buckets.get(key.id)
        if bucket is None:
            bucket = self._buckets[key.id] = self._bucket(key.id, rate)
        if bucket.take(self._clock(), payments):
            return
        self.refused["rate", key.name] += counted
        raise TooManyRequests(
            f"this key is good for {rate:g} requests or payments a second, and as many at once: "
            "send fewer together, or send it again later."
        )

    def _bucket(self, identifier: str, rate: float) -> Bucket:
        now, folder = (
            self._clock(),
            None if self._folder is None else self._folder / f"{identifier}.bucket",
        )
        try:
            return Bucket(rate, now, folder=folder)
        except OSError as error:
            _log.warning(
                "how often a key is used cannot be kept in %s (%s): its limit holds for each "
                "worker by itself.",
                self._folder,
                error.strerror,
            )
            return Bucket(rate, now)

    def _of(self, authorization: bytes | None, counted: bool) -> ApiKey:
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
        key = self._known.get(split_token(token)[0]) if scheme.lower() == "bearer" else None
        # compared in constant time: the time must not reveal how much of a secret is right
        proved = key is not None and hmac.compare_digest(digest(token), key.digest)
        state = (
            key.state(self._clock())
            if key is not None and proved
            else "unknown"
            if token
            else "none"
        )
        if key is None or state != "valid":
            self.refused[state, ""] += counted
            raise UnknownKey(
                "expected `Authorization: Bearer KEY` with a valid API key: `shroff keys create` "
                "makes one."
            )
        return key
