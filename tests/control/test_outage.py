"""An outage of the control database is two lines in the log, not one a second."""

from __future__ import annotations

import pytest

from shroff.control import Outage
from shroff.errors import ControlUnavailable


def test_an_outage_is_logged_when_it_begins_changes_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outage = Outage()

    def read(error: str) -> None:
        with outage.noted():
            if error:
                raise ControlUnavailable(error)

    for error in ("", "away.", "away.", "full.", "full.", "", "", "away."):
        read(error)
    assert caplog.messages == ["away.", "full.", "the control database is read again.", "away."]


def test_another_error_is_not_an_outage() -> None:
    with pytest.raises(ZeroDivisionError), Outage().noted():
        raise ZeroDivisionError
