"""The page of models: what it shows, and two people's e2e of promotion and rollback."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import httpx
import msgspec
import pytest

from browser import Browser
from console.hostile import HOSTILE, assert_inert
from console.model_seed import record_run
from console.site import ConsoleSite, problem_in, visiting
from serve.fixtures import fitted_model, make_bundle
from shroff.console import ConsoleBackend
from shroff.console.packaged import report_of
from shroff.control.models import Models
from shroff.control.users import Users
from shroff.detect import Calibration
from shroff.errors import ConfigurationError
from shroff.experiment import RunRecord
from shroff.package import load, save
from shroff.settings import Settings


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
    # names of detectors break at their underscores only
    wraps = "return getComputedStyle(document.querySelector('main th code')).overflowWrap"
    assert browser.run(wraps) == "normal"
    browser.type("#field-why", "it is newer")
    browser.click("button.primary")
    browser.wait(lambda: "Refused by" in shown(browser))
    # and what to do next
    assert "or allow more milliseconds" in shown(browser)
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
        "Expected the reason: the history keeps it.",
    )
    asked = visit.send(path, to="production", why="kept <b>text</b>", delay="soon")
    assert problem_in(asked.text).startswith("Expected a number of days")
    asked = visit.send("/models/rollback", what="production", why="why", seen="another")
    assert problem_in(asked.text).startswith("Version another was measured")
    assert visit.http.get("/models/none").status_code == 404


def test_the_first_model_comes_to_production_by_the_page(tmp_path: Path) -> None:
    """Once: the next one is compared with it, and its own policy needs a second person here."""
    settings = Settings(home=tmp_path, consent="policy")
    Users(settings.control).add("ada", "admin")
    bundles = [_packaged(settings, day) for day in (1, 2)]
    with visiting(ConsoleBackend(settings), "ada") as visit:

        def send(version: str, step: str, **fields: str) -> httpx.Response:
            return visit.send(f"/models/{version}/{step}", **fields)

        assert "Put it into production" in visit.page(f"/models/{bundles[0]}")
        refused = send(bundles[0], "publish", why="")
        assert problem_in(refused.text) == "Expected the reason: the history keeps it."
        early = send(bundles[0], "promote", to="production", why="first")
        assert early.status_code == 303
        assert send(bundles[0], "publish", why="the first one").status_code == 303
        made = Models(settings.models).pointers.changes[-1]
        assert (made.action, made.version, made.by) == ("publish", bundles[0], "ada")
        shown = visit.page(f"/models/{bundles[1]}")
        assert "Measure and promote" in shown
        assert 'name="own_policy"' not in shown
        late = send(bundles[1], "publish", why="also the first one")
        assert problem_in(late.text).startswith(
            f"Expected no model in production, and {bundles[0]}"
        )
        own = send(bundles[1], "promote", to="production", why="mine", own_policy="on")
        assert "a second person's consent" in problem_in(own.text)
        # nothing of it moved, and what was typed is there
        assert Models(settings.models).pointers.production == bundles[0]
        assert 'value="mine"' in own.text


def _packaged(settings: Settings, day: int) -> str:
    """The version of a bundle that a run packaged and nobody published."""
    folder = settings.home / f"bundle{day}"
    made = make_bundle(
        fitted_model(), created=f"2024010{day}T000000Z", calibration=Calibration(1.0, -0.1 * day)
    )
    save(made, folder)
    version = load(folder).version
    record_run(settings, folder, version, day)
    return version


def test_a_report_is_made_again_where_its_record_changed(
    console: ConsoleSite, tmp_path: Path
) -> None:
    name = ConsoleBackend(console.settings).packaged.all()[0].run
    copytree(console.settings.home / "runs" / name, tmp_path / name)
    assert report_of(tmp_path, name)
    file = tmp_path / name / "run.json"
    record = msgspec.json.decode(file.read_bytes(), type=RunRecord)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, ended=None)))
    with pytest.raises(ConfigurationError, match="did not finish"):
        report_of(tmp_path, name)
