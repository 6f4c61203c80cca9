"""The health of the connection to Kafka: whether it answers, and what waiting cannot help."""

from __future__ import annotations

import logging
from typing import Final

from shroff.errors import ConfigurationError, ShroffError

_log = logging.getLogger(__name__)
_SILENCE_SECONDS: Final = 30.0
"""Seconds of waiting after which the log says what the consumer waits for."""


class BrokerHealth:
    """Whether Kafka answers; logs once each: it stops, it is back, nothing comes for long.

    `failure` is what cannot be helped by waiting (None while there is no such thing); `joined` is
    whether Kafka was there once, so that it can be missed; `away` is whether it is missed now.
    """

    def __init__(self) -> None:
        self.failure: ShroffError | None = None
        self.joined = False
        self.away = False
        self._last_error = "nothing"
        self._waiting: tuple[str, float] | None = None
        self._logged = False

    def failed(self, error: str, *, refused: bool, away: bool) -> None:
        """Take note of an error by its name: Kafka refused for good, or no broker answers."""
        self._last_error = error
        if refused:
            self.failure = self.failure or ConfigurationError(f"Kafka refuses: {error}.")
        elif away and self.joined and not self.away:
            self.away = True
            _log.warning("Kafka does not answer; waiting for it.")

    def answered(self) -> None:
        """Take note that Kafka did something."""
        if self.away:
            self.away = False
            _log.warning("Kafka answers again.")

    def waits(self, what: str | None, now: float) -> None:
        """Note what the consumer waits for at a time in seconds; None: nothing, or it came."""
        if what is None or self.away or self._waiting is None or self._waiting[0] != what:
            self._waiting, self._logged = None if what is None else (what, now), False
        elif now - self._waiting[1] >= _SILENCE_SECONDS and not self._logged:
            self._logged = True
            _log.warning(
                "Kafka has %s for %.0f s; the last error of its client: %s.",
                what,
                _SILENCE_SECONDS,
                self._last_error,
            )
