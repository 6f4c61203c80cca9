"""The months of the demo are lived by the parts that users run, and can be checked as theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shroff.act import Desk
from shroff.control.models import Models
from shroff.control.users import Users
from shroff.demo import USER, DemoMonths, open_months
from shroff.errors import ConfigurationError
from shroff.ledger import Ledger
from shroff.ledger.receipt import read_receipt
from shroff.monitor import replayer

UNTIL = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp() * 1e6)
FEW = DemoMonths(UNTIL, days=16, per_day=40)


def test_a_few_days_are_lived_and_shown_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo" / "months"
    made = open_months(folder, months=FEW)
    settings = made.settings
    ledger = Ledger(settings.ledger)
    entries = list(ledger.entries())
    payments = [one for one in entries if one.kind == "payment"]
    assert 400 < len(payments) < 900
    assert all(one.arrived <= UNTIL + 1_000 for one in entries)
    # each is decided in its own minute, as a service does
    assert all(abs(one.arrived - one.time) < 120_000_000 for one in payments)
    assert ledger.verify().seq == len(entries)
    models = Models(settings.models)
    assert [one.at for one in models.pointers.changes] == ["2026-02-13T00:00:00+00:00"]
    desk = Desk(settings.control)
    assert desk.cases() or desk.cases(closed=True)
    reviewed = next(
        one.payment_id
        for one in reversed(payments)
        if read_receipt(ledger, one.payment_id, lambda source: 0).answer.action == "review"
    )
    assert replayer(settings, ledger)(reviewed).holds
    # the folder is shown as it is, with a new password
    again = open_months(folder)
    assert again.months == FEW
    assert again.password != made.password
    users = Users(settings.control)
    assert users.signing_in(USER, again.password) is not None
    assert users.signing_in(USER, made.password) is None


def test_somebody_else_s_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="expected an empty folder for the demo"):
        open_months(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"
