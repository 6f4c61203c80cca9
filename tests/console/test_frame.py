"""What every page has: themes, errors as sentences, and a start that says what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from litestar.testing import TestClient

from browser import Browser
from console.site import ConsoleSite, problem_in
from program import shroff
from shroff.console import ConsoleBackend, console_app
from shroff.console.access import page
from shroff.console.assets import assets
from shroff.console.web import Response
from shroff.settings import Settings

SCRIPT_BUDGET = 150_000


def test_pages_have_no_barrier_in_either_theme(
    console: ConsoleSite, browser: Browser, axe: str
) -> None:
    console.sign_in(browser, "admin")
    for path in ("/sign-in", "/users", "/account", "/nowhere"):
        for theme in ("light", "dark"):
            browser.emulate(390, 844, scheme=theme)
            browser.open(f"{console.url}{path}")
            assert browser.barriers(axe) == [], (path, theme)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    for path in ("/", "/cases", "/payments", "/models", "/features", "/rules", "/lists"):
        browser.open(f"{console.url}{path}")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), path
    # the page that is not there says so there too; nothing was refused by the policy
    assert [one for one in browser.console() if "404" not in one] == []
    browser.emulate(1280, 800)


def test_a_telephone_shows_what_a_case_is_chosen_by(console: ConsoleSite, browser: Browser) -> None:
    """The name of the page in the menu, and of each case its subject, amount and when it is due."""
    inside = """
        const inside = (one) => one.getBoundingClientRect().left >= 0
          && one.getBoundingClientRect().right <= innerWidth;
        return [...document.querySelectorAll(arguments[0])].every(inside)"""
    console.sign_in(browser, "admin")
    browser.emulate(390, 844)
    for path in ("/cases", "/rules", "/users"):
        browser.open(f"{console.url}{path}")
        assert browser.run(inside, ".top nav [aria-current]"), path
    browser.open(f"{console.url}/cases")
    shown = "return [...document.querySelectorAll('[data-rows] th')].filter(one => one.offsetWidth)"
    names = browser.run(f"{shown}.map(one => one.textContent.split(',')[0])")
    assert {"Subject", "Amount", "Due"} < set(names)
    assert {"Queue", "Payments"}.isdisjoint(names)
    assert browser.run(inside, "[data-rows] tbody :is(th, td.long, td:nth-child(6))")
    browser.emulate(1280, 800)


def test_a_chosen_theme_stays(console: ConsoleSite, browser: Browser) -> None:
    console.sign_in(browser, "analyst")
    browser.emulate(1280, 800, scheme="light")
    browser.open(f"{console.url}/account?a=1")
    browser.click("button[value=dark]")
    browser.wait(lambda: browser.run("return document.documentElement.dataset.theme") == "dark")
    assert browser.run("return location.pathname + location.search") == "/account?a=1"
    assert (
        browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 27)"
    )
    browser.click("button[value=auto]")
    browser.wait(lambda: browser.run("return document.documentElement.dataset.theme") == "auto")


def test_the_first_view_has_little_script() -> None:
    sent = [one for name, one in assets().items() if name.endswith(".js")]
    assert sum(len(one.plain) for one in sent) < SCRIPT_BUDGET
    assert sum(len(one.packed) for one in sent) < SCRIPT_BUDGET / 2


def test_what_is_new_is_not_kept_under_an_old_address(console: ConsoleSite) -> None:
    visit = console.visit()
    own = re.search(r'href="(/assets/console.css[?]v=[0-9a-f]+)"', visit.page("/sign-in"))
    assert own is not None
    kept = [visit.http.get(one).headers["cache-control"] for one in (own[1], f"{own[1]}0")]
    assert kept == ["public, max-age=31536000, immutable", "no-store"]


def test_the_theme_is_chosen_on_the_page_of_a_failed_form(console: ConsoleSite) -> None:
    visit = console.visit("admin")
    failed = visit.send("/users", name="x", role="admin", password="short")
    assert failed.status_code == 422
    asked = re.search(r'action="/theme".*?name="next" value="([^"]*)"', failed.text, re.DOTALL)
    assert asked is not None
    led = visit.send("/theme", next=asked[1], theme="dark")
    assert visit.http.get(led.headers["location"]).status_code == 200


def test_without_users_it_stays_on_this_machine(tmp_path: Path) -> None:
    several = shroff(tmp_path, "serve", "--console", "--workers", "2", "--port", "0")
    assert (several.returncode, "got --workers 2: run `shroff" in several.stderr) == (2, True)
    refused = shroff(tmp_path, "console", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "add one with `shroff users add NAME --role admin`" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@page("/broken", role=None)
def broken() -> Response:
    raise RuntimeError("4111111111111111")


def test_faults_are_sentences(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "control.db").write_bytes(b"no database" * 1_000)
    app = console_app(ConsoleBackend(Settings(home=tmp_path)))
    app.register(broken)
    with TestClient(app) as client:
        away = client.get("/sign-in")
        client.cookies.set("shroff_session", "x")
        asked = client.get("/cases")
        client.cookies.clear()
        failed = client.get("/broken")
    for answer in (away, asked):
        assert answer.status_code == 503
        assert "the control database answered DatabaseError" in problem_in(answer.text)
    assert failed.status_code == 500
    assert problem_in(failed.text).startswith("This is a defect of Shroff")
    assert "4111" not in failed.text
    assert "RuntimeError" in caplog.text
