"""Attacks on the console, each tried against a running one."""

from __future__ import annotations

import socket
import time
from threading import Thread

import pytest

from browser import Browser
from console.hostile import HOSTILE, assert_inert
from console.seed import PASSWORD
from console.site import ConsoleSite, problem_in
from patience import PATIENCE
from shroff.control.attempts import Attempts
from shroff.control.passwords import password_fits
from shroff.control.sessions import Sessions
from shroff.control.users import Users

ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "https://evil.example/",
    "/\t/evil.example",
    "javascript:alert(1)",
    "\\\\evil.example",
    "/%0d%0aset-cookie: a=b\r\nset-cookie: a=b",
)
SAME = ("nobody", "Nobody", "\uff4eobody", "nobod\uff39")
"""What finds the same user."""


def test_a_session_that_somebody_planted_is_not_used(console: ConsoleSite) -> None:
    """Neither a token of the attacker's choice nor one of their own session."""
    for planted in ("chosen", console.session("analyst")):
        visit = console.visit()
        visit.http.cookies.set("shroff_session", planted, domain="127.0.0.1")
        token = visit.token("/sign-in")
        form = {"csrf": token, "name": "admin", "password": PASSWORD}
        assert visit.http.post("/sign-in", data=form).status_code == 303
        assert planted != visit.http.cookies.get("shroff_session", domain="127.0.0.1")
        sessions = Sessions(console.settings.control)
        assert sessions.user(planted) is None


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_led_elsewhere(console: ConsoleSite, target: str) -> None:
    visit = console.visit("admin")
    led = visit.send("/theme", next=target, theme="dark")
    assert (led.status_code, led.headers["location"]) == (303, "/")
    assert "set-cookie: a" not in str(led.headers)
    shown = visit.http.get("/sign-in", params={"next": target}).text
    assert 'name="next" value="/"' in shown


def test_attempts_run_out_and_tell_nothing(console: ConsoleSite) -> None:
    """A wrong password, an unknown name and a disabled user are refused in the same words; other
    letters that mean the same name are no further attempts.
    """
    users = Users(console.settings.control)
    users.add("gone", "analyst", password=PASSWORD)
    users.disable("gone")
    visit = console.visit()
    tried = [visit.send("/sign-in", name=n, password=PASSWORD[:-1]) for n in ("analyst", "nobody")]
    tried.append(visit.send("/sign-in", name="gone", password=PASSWORD))
    assert {(one.status_code, problem_in(one.text)) for one in tried} == {
        (403, problem_in(tried[0].text))
    }
    attempts = Attempts(console.settings.control)
    assert [attempts.take(name, "127.0.0.1") for name in SAME] == [0, 0, 0, 0]
    refused = visit.send("/sign-in", name="nobody", password="x")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert problem_in(refused.text).startswith("Too many attempts. Wait ")


def test_a_name_that_nobody_has_takes_as_long() -> None:
    stored = "$argon2id$v=19$m=65536,t=3,p=4$XbM9YlwNvMKRc9+cY+kuwg$" + "A" * 43
    password_fits("warm", None)

    def seconds(kept: str | None) -> float:
        begun = time.process_time()
        assert not password_fits("wrong password", kept)
        return time.process_time() - begun

    assert min(seconds(None) for _ in range(2)) > 0.4 * min(seconds(stored) for _ in range(2))


def test_passwords_that_are_looked_at_together_do_not_wait_for_ever() -> None:
    """Derivations at once share the four threads that OpenSSL has for a process."""
    several = [Thread(target=password_fits, args=("x", None), daemon=True) for _ in range(4)]
    for one in several:
        one.start()
    for one in several:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in several)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("OPTIONS", "/users", 303),
        ("GET", "/payments?least=1e9999999", 422),
        ("GET", "/proposals/99999999999999999999", 404),
    ],
)
def test_what_no_page_sends_is_no_defect(
    console: ConsoleSite, method: str, path: str, status: int
) -> None:
    assert console.visit("admin").http.request(method, path).status_code == status


def test_a_form_that_does_not_arrive_whole_is_no_defect(console: ConsoleSite) -> None:
    with socket.create_connection(("127.0.0.1", int(console.url.rpartition(":")[2]))) as half:
        half.sendall(b"POST /theme HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nname")
    console.visit().page("/sign-in")
    assert console.log.read_text() == ""


def test_every_answer_keeps_other_sites_out(console: ConsoleSite) -> None:
    visit, nobody = console.visit("analyst"), console.visit()
    answers = [
        nobody.http.get("/sign-in"),
        nobody.http.get("/cases"),
        nobody.http.get("/assets/console.css"),
        nobody.http.get("/assets/none.css"),
        visit.http.get("/nowhere"),
        visit.http.get("/users"),
        visit.http.put("/users"),
        visit.http.post("/account/password"),
    ]
    assert [one.status_code for one in answers] == [200, 303, 200, 404, 404, 403, 405, 403]
    for one in answers:
        policy = one.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["x-frame-options"] == "DENY"
        assert "traceback" not in one.text.lower()


def test_cookies_are_for_this_host_alone(console: ConsoleSite) -> None:
    plain = console.visit().http.get("/sign-in").headers["set-cookie"]
    assert "httponly" in plain.lower()
    assert "samesite=lax" in plain.lower()
    proxied = console.visit().http.get("/sign-in", headers={"x-forwarded-proto": "https"})
    assert proxied.headers["set-cookie"].startswith("__Host-shroff_visit=")
    assert "Secure" in proxied.headers["set-cookie"]


def test_a_disabled_user_is_out_at_once(console: ConsoleSite) -> None:
    users = Users(console.settings.control)
    users.add("leaver", "admin")
    visit = console.visit("leaver")
    visit.page("/users")
    users.set_role("leaver", "analyst")
    visit.page("/users", 403)
    users.disable("leaver")
    assert visit.http.get("/users").status_code == 303


def test_another_password_ends_the_other_sessions(console: ConsoleSite) -> None:
    Users(console.settings.control).add("changer", "analyst", password=PASSWORD)
    here, there = console.visit("changer"), console.visit("changer")
    new = {"new": "another long word", "again": "another long word"}
    wrong = here.send("/account/password", new, password="not this one at all")
    assert (wrong.status_code, problem_in(wrong.text)) == (
        422,
        "This is not your password as it is now.",
    )
    short = here.send("/account/password", password=PASSWORD, new="short", again="short")
    assert "12 to 256 characters" in problem_in(short.text)
    assert here.send("/account/password", new, password=PASSWORD).status_code == 303
    assert "other sessions have ended" in here.page("/account")
    assert "other sessions have ended" not in here.page("/account")
    assert there.http.get("/account").status_code == 303


def test_a_name_stays_a_name(console: ConsoleSite, browser: Browser) -> None:
    for text in HOSTILE:
        Users(console.settings.control).add(text, "analyst")
    assert_inert(console.visit("admin").page("/users"))
    for text in HOSTILE:
        refused = console.visit("admin").send("/users", name=text, role=text, password=text)
        assert refused.status_code == 422
        assert_inert(refused.text)
    console.sign_in(browser, "admin")
    browser.open(f"{console.url}/users")
    assert browser.run("return window.owned") is None
    assert [one for one in HOSTILE if one not in browser.text("main")] == []
