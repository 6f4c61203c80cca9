"""People, their sessions and their attempts to sign in, as time goes by."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from program import answer, shroff
from shroff.control.access_history import AccessHistory
from shroff.control.attempts import Attempts
from shroff.control.keys import Keys, split_token
from shroff.control.sessions import Sessions
from shroff.control.users import Users
from shroff.errors import AccessDenied, BrokenChain, ConfigurationError, NotFound

MINUTE = 60_000_000


class Clock:
    """A clock that is set."""

    now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/control.db", Clock()
    ada = Users(url, clock=clock).add("ada", "analyst")
    sessions = Sessions(url, clock=clock)
    unused, used = sessions.begin(ada), sessions.begin(ada)
    for _ in range(24):
        clock.now += 29 * MINUTE
        assert sessions.user(used) == ada
        sessions.user(unused, used=False)
    assert sessions.user(unused) is None
    clock.now += 24 * MINUTE
    assert sessions.user(used) is None
    # who proved to be somebody with a password that was changed since has not signed in
    users = Users(url, clock=clock)
    users.add("bob", "analyst", password="correct horse battery")
    before = users.signing_in("bob", "correct horse battery")
    assert before is not None
    now = users.set_password("bob", "another horse battery")
    with pytest.raises(AccessDenied, match="sign in again"):
        sessions.begin(before)
    assert sessions.user(sessions.begin(now)) == now
    users.disable("bob")
    for change in (lambda name: None, users.enable):
        change("bob")
        with pytest.raises(AccessDenied, match="sign in again"):
            sessions.begin(now)
    assert sessions.user(sessions.begin(users.named("bob"))) is not None
    assert used not in (tmp_path / "control.db").read_bytes().decode("latin-1")


def test_attempts_come_back_and_are_counted_by_name_and_address(tmp_path: Path) -> None:
    clock = Clock()
    attempts = Attempts(f"sqlite:///{tmp_path}/control.db", clock=clock)
    assert [attempts.take("ada", "10.0.0.1") for _ in range(6)] == [0, 0, 0, 0, 0, 60]
    assert attempts.take("ADA", "10.0.0.1") == 60
    assert attempts.take("bob", "10.0.0.1") == attempts.take("ada", "10.0.0.2") == 0
    clock.now += MINUTE
    assert [attempts.take("ada", "10.0.0.1") for _ in range(2)] == [0, 60]
    attempts.succeeded("ada", "10.0.0.1")
    assert attempts.take("ada", "10.0.0.1") == 0
    # a network of IPv6, of which one customer has all addresses, is one address
    for number in range(5):
        assert attempts.take("eve", f"2001:db8:0:1::{number}") == 0
    assert attempts.take("eve", "2001:db8:0:1:ffff::9") == 60
    assert attempts.take("eve", "2001:db8:0:2::9") == 0
    # many names from one address
    assert (
        attempts.take("last", "10.0.0.9")
        + sum(attempts.take(f"name {number}", "10.0.0.9") for number in range(40))
        > 0
    )


def test_names_and_roles_are_refused_in_a_sentence(tmp_path: Path) -> None:
    users = Users(f"sqlite:///{tmp_path}/control.db")
    users.add("Ada", "analyst")
    for name in (
        "ada",
        "ADA",
        "ａｄａ",
        "",
        " ada",
        "a" * 101,
        "4111111111111111",
        "a\u202eb",
        "ada, agreed by bob",
    ):
        with pytest.raises(ConfigurationError, match="expected"):
            users.add(name, "analyst")
    with pytest.raises(ConfigurationError, match="a role of analyst, modeller, admin"):
        users.add("bob", "root")  # type: ignore[arg-type]  # what a command may be given
    with pytest.raises(NotFound, match="no user of this name"):
        users.disable("bob")


def test_each_change_of_access_has_its_author_in_one_chain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    users, keys = Users(url, clock=Clock()), Keys(url, clock=Clock())
    users.add("Ada", "analyst", by="root")
    key, _ = split_token(keys.create("shop", ["label", "decide"], by="root"))
    for _ in range(3):  # as a provider does at each sign-in
        users.set_role("ada", "admin", claimed=True, by="OpenID Connect")
    users.set_role("ada", "admin", by="eve")  # from now on whatever the provider says
    with pytest.raises(ConfigurationError):
        users.add("ADA", "admin")
    with pytest.raises(NotFound):
        users.disable("bob")
    for _ in range(2):
        keys.revoke(key, by="ada")
    users.disable("ada")
    history = AccessHistory(url)
    assert [(one.by, one.what, one.of, one.detail) for one in history.all()] == [
        ("root", "user added", "Ada", "analyst"),
        ("root", "key made", key, "shop: decide, label"),
        ("OpenID Connect", "role set", "Ada", "analyst → admin"),
        ("eve", "role set", "Ada", "admin"),
        ("ada", "key revoked", key, "shop"),
        ("shroff", "user disabled", "Ada", ""),
    ]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: users.add(f"u{number}", "analyst"), range(8)))
    assert len(history.all()) == 14
    with sqlite3.connect(tmp_path / "control.db") as raw:
        raw.execute("DELETE FROM shroff_access_change WHERE id = 3")
    with pytest.raises(BrokenChain, match="history of users and keys was changed: change 3 of 13"):
        history.all()


@pytest.mark.parametrize("content", ["no JSON", '{"at":1}', '{"at":1,"by":"x","what":"y","of":""}'])
def test_a_damaged_history_is_reported_and_stops_nobody_from_locking_out(
    tmp_path: Path, content: str
) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    users = Users(url)
    for name in ("ada", "bob"):
        users.add(name, "analyst")
    with sqlite3.connect(tmp_path / "control.db") as raw:
        raw.execute("UPDATE shroff_access_change SET content = ? WHERE id = 2", [content])
    users.disable("bob")
    assert users.named("bob").disabled is not None
    with pytest.raises(BrokenChain, match="was changed: change 2 of 3 is none that this release"):
        AccessHistory(url).all()


def test_users_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shroff(tmp_path, "users", "list").stdout.startswith("Nobody yet")
    answer(tmp_path, "users", "add", "ada", "--role", "analyst", "--without-password")
    answer(tmp_path, "users", "role", "ada", "admin")
    done = answer(tmp_path, "users", "disable", "ada")
    assert done["user"]["role"] == "admin"
    assert done["user"]["disabled"] is not None
    assert answer(tmp_path, "users", "enable", "ada")["user"]["disabled"] is None
    told = answer(tmp_path, "users", "history")
    assert [one["what"] for one in told["changes"]] == [
        "user added",
        "role set",
        "user disabled",
        "user enabled",
    ]
    assert told["head"].startswith("4:")
    assert answer(tmp_path, "keys", "history") == {"changes": [], "head": told["head"]}
    refused = shroff(tmp_path, "users", "password", "ada")
    assert refused.returncode == 2
    assert "--password-stdin" in refused.stderr
