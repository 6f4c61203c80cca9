"""Settings: read once, refused when misspelt, and a key that is made once and kept to oneself."""

from __future__ import annotations

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shroff.errors import ConfigurationError, UnknownSetting
from shroff.settings import Settings


def test_nothing_is_needed() -> None:
    settings = Settings.read({})
    assert settings.home == Path(".shroff")
    assert settings.ledger == "sqlite:///.shroff/ledger.db"
    assert settings.state == "memory"


def test_each_variable_sets_its_field() -> None:
    settings = Settings.read(
        {"SHROFF_HOME": "/srv/shroff", "SHROFF_LEDGER": "postgresql+psycopg://db/shroff"}
    )
    assert (settings.home, settings.ledger) == (
        Path("/srv/shroff"),
        "postgresql+psycopg://db/shroff",
    )
    assert Settings.read({"SHROFF_HOME": "/srv/shroff"}).ledger == "sqlite:////srv/shroff/ledger.db"


def test_a_variable_set_to_nothing_is_not_set() -> None:
    assert Settings.read(
        {"SHROFF_HOME": "", "SHROFF_LEDGER": "", "SHROFF_PERSONAL_KEY": ""}
    ) == Settings.read({})


def test_the_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHROFF_HOME", "/srv/elsewhere")
    assert Settings.read().home == Path("/srv/elsewhere")


def test_a_misspelt_variable_is_refused_and_the_valid_ones_listed() -> None:
    with pytest.raises(
        UnknownSetting,
        match=r"`SHROFF_HOMES`: did you mean `SHROFF_HOME`\? Valid settings: SHROFF_ALERT_MAIL",
    ):
        Settings.read({"SHROFF_HOMES": "secret"})
    with pytest.raises(UnknownSetting, match=r"unknown setting `SHROFF_QQQQQ`\. Valid settings"):
        Settings.read({"SHROFF_QQQQQ": "secret"})


def test_what_the_import_reads_is_no_unknown_variable() -> None:
    assert Settings.read({"SHROFF_COMPILED": "0"}) == Settings.read({})


def test_variables_of_others_are_none_of_ours() -> None:
    others = {
        "PATH": "/bin",
        "shroff_home": "x",
        "SHROFF_TEST_DATABASE": "x",
        "SHROFF_BENCH_ROWS": "x",
    }
    assert Settings.read(others) == Settings.read({})


def test_secrets_are_not_shown() -> None:
    urls = {"SHROFF_LEDGER": "postgresql://u:secret@h/d", "SHROFF_STATE": "redis://u:secret@h/0"}
    shown = repr(Settings.read({"SHROFF_PERSONAL_KEY": "ab" * 32} | urls))
    assert "abab" not in shown
    assert "secret" not in shown


def test_a_key_that_is_set_is_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", personal_key=" " + "0f" * 16 + "\n")
    assert settings.hmac_key() == b"\x0f" * 16
    assert not (tmp_path / "home").exists()


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "deep" / "home")
    key = settings.hmac_key()
    assert len(key) == 32
    assert settings.hmac_key() == key
    assert Settings(home=tmp_path / "other").hmac_key() != key
    assert [path.name for path in settings.home.iterdir()] == ["personal.key"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps other permissions")
def test_nobody_else_may_read_the_key(tmp_path: Path) -> None:
    Settings(home=tmp_path).hmac_key()
    assert stat.S_IMODE((tmp_path / "personal.key").stat().st_mode) == 0o600


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    for attempt in range(20):
        settings = Settings(home=tmp_path / str(attempt))
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(lambda s: s.hmac_key(), [settings] * 8))) == 1


@pytest.mark.parametrize(
    "text", ["abc", "ab" * 15, "correct horse battery staple, and more", "ü" * 40]
)
def test_a_weak_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ConfigurationError, match="at least 32 hexadecimal digits in SHROFF_PERSONAL_KEY"
    ) as refused:
        Settings(personal_key=text).hmac_key()
    assert text not in str(refused.value)
    (tmp_path / "personal.key").write_text(text)
    with pytest.raises(
        ConfigurationError, match=r"at least 32 hexadecimal digits in .*personal\.key"
    ):
        Settings(home=tmp_path).hmac_key()


def test_a_home_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(
        ConfigurationError, match=r"expected a folder that can keep .*personal\.key, got: "
    ):
        Settings(home=tmp_path / "home").hmac_key()
