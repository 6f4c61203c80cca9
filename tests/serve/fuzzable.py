"""A service for whoever asks it everything: with keys, a model, a list, and a model in the
shadow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from act.records import open_cases
from serve.fixtures import fitted_model, make_bundle
from serve.service import Service
from shroff.control import Keys
from shroff.control.keys import SCOPES
from shroff.control.models import Models
from shroff.control.pointers import Role
from shroff.package import save

NAMES: Final = ("logistic_regression", "blocked")
"""Its model and its list."""
CASES: Final = 30
"""How many cases it has, numbered from 1."""


@contextmanager
def fuzzable(home: Path) -> Iterator[tuple[Service, str]]:
    """The service, and a key of all scopes."""
    model, models = fitted_model(), Models(home / "models")
    roles: tuple[Role, ...] = ("production", "shadow")
    for role in roles:
        # a version is the digest of what is in a bundle
        save(make_bundle(model, fingerprint=sha256(role.encode()).hexdigest()), home / role)
        models.publish(home / role, role=role)
    control = f"sqlite:///{home / 'control.db'}"
    token = Keys(control).create("fuzz", SCOPES)
    open_cases(control, make_bundle(model), CASES)
    with Service(None, home, keys=True) as service:
        yield service, token
