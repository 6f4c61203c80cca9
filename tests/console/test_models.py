"""The page of models: what it shows, and two people's e2e of promotion and rollback."""

from __future__ import annotations

from browser import Browser
from console.hostile import HOSTILE, assert_inert
from console.site import ConsoleSite, problem_in
from shroff.control.models import Models


def shown(browser: Browser) -> str:
    """The text of the page, whichever is there just now."""
    return str(browser.run("return document.querySelector('main')?.innerText ?? ''"))


def test_a_model_comes_to_production_and_goes_again(
    console: ConsoleSite, browser: Browser, axe: str
) -> None:
    """The gates refuse what no payment of the ledger speaks for; by force it goes, and back."""
    kept = Models(console.settings.models)
    before = str(kept.pointers.production)
    console.sign_in(browser, "admin")
    browser.emulate(1280, 900)
    browser.open(f"{console.url}/models")
    assert "research" in browser.text("tbody tr:first-child")
    browser.click("tbody tr:first-child a")
    browser.wait(lambda: "Promote" in shown(browser))
    version = browser.run("return location.pathname").rsplit("/", 1)[1]
    browser.type("#field-why", "it is newer")
    browser.click("button.primary")
    browser.wait(lambda: "Refused by" in shown(browser))
    assert kept.pointers.production == before
    assert [one.action for one in kept.pointers.concerning(version)] == ["refuse"]
    browser.type("#field-why", "by hand")
    browser.click("input[name=force]")
    browser.click("button.primary")
    browser.wait(lambda: "by force" in shown(browser))
    assert kept.pointers.production == version
    for theme in ("light", "dark"):
        browser.emulate(390, 844, scheme=theme)
        assert browser.barriers(axe) == []
    browser.emulate(1280, 900)
    browser.open(f"{console.url}/models")
    assert browser.barriers(axe) == []
    browser.type("#field-why", "too many alerts")
    browser.click("button.danger")
    browser.call("POST", "/alert/accept")
    browser.wait(lambda: "is in production again" in shown(browser))
    last = kept.pointers.changes[-1]
    assert (last.action, last.version, last.by, last.note) == (
        "rollback",
        before,
        "admin",
        "too many alerts",
    )
    assert browser.console() == []


def test_the_threshold_moves_in_money(console: ConsoleSite, browser: Browser) -> None:
    version = Models(console.settings.models).versions[0]
    console.sign_in(browser, "modeller")
    browser.open(f"{console.url}/models/{version}")
    first = browser.text("#declined")
    browser.run(
        "const it = document.getElementById('slider'); it.value = 3;"
        "it.dispatchEvent(new Event('input'))"
    )
    assert browser.text("#declined") != first
    assert browser.run("return window.owned") is None
    assert browser.console() == []


def test_notes_and_merchants_stay_text(console: ConsoleSite) -> None:
    visit = console.visit("modeller")
    page = visit.page("/models")
    assert_inert(page)
    assert "&lt;script&gt;window.owned" in page
    for version in Models(console.settings.models).versions:
        assert_inert(visit.page(f"/models/{version}"))
    for text in HOSTILE:
        assert_inert(visit.http.get(f"/models/{text}").text)


def test_what_cannot_be_done_is_said_where_it_was_tried(console: ConsoleSite) -> None:
    visit = console.visit("admin")
    version = Models(console.settings.models).pointers.production
    path = f"/models/{version}/promote"
    asked = visit.send(path, to="production", why="", delay="")
    assert (asked.status_code, problem_in(asked.text)) == (
        422,
        "expected the reason: the history keeps it.",
    )
    asked = visit.send(path, to="production", why="kept <b>text</b>", delay="soon")
    assert problem_in(asked.text).startswith("expected a number of days")
    asked = visit.send("/models/rollback", what="production", why="why", seen="another")
    assert problem_in(asked.text).startswith("version another was measured")
    assert visit.http.get("/models/none").status_code == 404
