"""What a service writes is for its owner only, whatever the umask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modes import mode
from serve.fixtures import make_bundle
from serve.service import Service
from shroff.control import Keys
from shroff.control.models import Models
from shroff.ledger.spool import Spool
from shroff.package import save
from shroff.settings import Settings


@pytest.mark.usefixtures("any_umask")
def test_all_that_a_service_writes_is_for_its_owner(
    tmp_path: Path, model: bytes, pay: Callable[..., Any]
) -> None:
    home = tmp_path / "deep" / "home"
    settings = Settings(home=home)
    settings.hmac_key()
    Keys(settings.control).create("shop", ["decide"])
    save(make_bundle(model), tmp_path / "bundle")
    Models(home / "models").publish(tmp_path / "bundle")
    with Service(tmp_path / "bundle", home) as service:
        assert service.request("POST", "/v1/decisions", json=pay()).is_success
        made = {
            path.relative_to(home).as_posix(): path
            for path in home.rglob("*")
            if path != service.log
        }
        assert {
            "ledger.db",
            "ledger.db-wal",
            "ledger.db-shm",
            "control.db",
            "control.db.made",
            "ledger.db.made",
            "personal.key",
            "models",
        } <= made.keys()
        for path in (made[name] for name in made if "/" not in name):
            assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(home) == mode(home.parent) == 0o700


@pytest.mark.usefixtures("any_umask")
def test_a_spool_is_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "spool"
    Spool(folder, limit=1_000).open()
    assert {mode(file) for file in folder.iterdir()} == {0o600}
    assert mode(folder) == mode(folder.parent) == 0o700
