"""What the tests' console shows: people of every role, and what each page's tests add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from console.case_seed import cases
from console.model_seed import models
from console.payment_seed import payments
from shroff.control.users import USER_ROLES, Users
from shroff.settings import Settings

PASSWORD: Final = "correct horse battery"
"""Of the administrator; the others have none, and sessions that a test begins."""


def people(settings: Settings) -> None:
    """A person of each role, called as it is."""
    users = Users(settings.control)
    for role in USER_ROLES:
        users.add(role, role, password=PASSWORD if role == "admin" else None)


SEEDS: Final[tuple[Callable[[Settings], None], ...]] = (people, cases, models, payments)
"""Called in this order before the console starts: add what your page shows, a function each."""
