"""The log of an outage of the control database: one line when it begins, one when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shroff.errors import ControlUnavailable

_log = logging.getLogger(__name__)


class Outage:
    """Lets work go on without the control database, which others try to read once a second."""

    def __init__(self) -> None:
        self._logged = ""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Read from the control database: if it is away, what was read before stays.

        An error is logged once, until it is another one or the database is back.
        """
        try:
            yield
        except ControlUnavailable as error:
            if str(error) != self._logged:
                self._logged = str(error)
                _log.warning("%s", error, extra={"event": "control_unavailable"})
        else:
            if self._logged:
                self._logged = ""
                _log.warning("the control database is read again.", extra={"event": "control_back"})
