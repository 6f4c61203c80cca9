"""The overview and the pages of payments, as HTTP gives them and as a browser shows them."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from shutil import copytree
from urllib.parse import quote

import pytest

from browser import Browser
from console.payment_seed import HOST, MANY, PRIVATE, STRANGE_ID, STRANGE_MERCHANT
from console.site import ConsoleSite, Visit, problem_in, visiting
from patience import until
from shroff.clock import system_time
from shroff.collect.personal import tokenizer
from shroff.console import ConsoleBackend
from shroff.console.following import IndexThread, RepeatedWork
from shroff.errors import SourceUnavailable
from shroff.index import IndexFile
from shroff.monitor.latency import waited
from shroff.settings import Settings

RECEIPT = f"/payments/receipt?id={quote(STRANGE_ID, safe='')}"


def found(visit: Visit, **asked: str) -> list[str]:
    """The ids of a page of the search."""
    answer = visit.http.get("/payments", params=asked)
    assert answer.status_code == 200, answer.text
    return [unescape(one) for one in re.findall(r'<code title="([^"]*)">', answer.text)]


def settled(visit: Visit) -> Visit:
    """Wait until the index has what was seeded."""
    until(lambda: found(visit, q="c-777") == [STRANGE_ID])
    return visit


def test_payments_are_found_by_what_people_know(console: ConsoleSite) -> None:
    visit = settled(console.visit("analyst"))
    for asked in (STRANGE_ID, STRANGE_MERCHANT, HOST, "c-777"):
        assert found(visit, q=asked) == [STRANGE_ID], asked
    assert found(visit, least="777.25", most="777.25") == [STRANGE_ID]
    assert found(visit, q="grocer", least="79") == [f"many-{MANY - 1}"]
    assert found(visit, q="grocer", until="2024-01-01") == []
    assert found(visit, action="challenge") == []
    newest = found(visit, q="grocer")
    assert newest == [f"many-{n}" for n in reversed(range(MANY - 50, MANY))]
    page = visit.http.get("/payments", params={"q": "grocer"}).text
    older = re.search(r'<a class="button" href="([^"]+)"', page)
    assert older is not None
    rest = visit.page(unescape(older[1]))
    assert [unescape(one) for one in re.findall(r'<code title="([^"]*)">', rest)] == [
        f"many-{n}" for n in reversed(range(MANY - 50))
    ]
    shown = visit.page("/payments?q=c-777")
    assert "fraud</span> failed" in shown, "the label that stands, and the result"
    assert "no label" in visit.page("/payments?q=grocer"), "neither is known"
    for nothing in ("nobody", "%00", "%F0%9F%92%B3", "'%20OR%201=1"):
        assert "No payment is like this" in visit.page(f"/payments?q={nothing}")


def test_no_address_names_what_may_be_somebodys(console: ConsoleSite) -> None:
    visit = settled(console.visit("analyst"))
    long = visit.send("/payments", q="x" * 1_001)
    assert "a value of a key, of at most 1,000 characters, got 1,001" in problem_in(long.text)
    assert "No payment is like this" not in long.text  # nobody has looked
    token = tokenizer(console.settings.hmac_key())(PRIVATE)
    of_ada = tokenizer(console.settings.hmac_key())("ada@example.org")
    for typed, kept in (
        ("c-777", "c-777"),
        (PRIVATE, token),
        (token, token),
        # a personal column is no key; capitals are tried after what was typed
        ("Ada@Example.org", of_ada),
        ("GROCER", "grocer"),
    ):
        led = visit.send("/payments", q=typed, least="1")
        assert (led.status_code, led.headers["location"]) == (303, f"/payments?q={kept}&least=1")
    assert "private" in found(visit, q=token)
    nothing = visit.send("/payments", q="nobody@example.org")
    assert (nothing.status_code, "No payment is like this" in nothing.text) == (200, True)
    assert 'value="nobody@example.org"' in nothing.text
    assert visit.send("/payments", q="nobody", least="a lot").status_code == 422
    assert visit.send("/payments").headers["location"] == "/payments"


def test_a_field_that_cannot_be_read_is_named_and_kept(console: ConsoleSite) -> None:
    visit = console.visit("analyst")
    for asked, field in (
        ("least=a%22lot", "The least amount"),
        ("most=1e400", "The greatest amount"),
        ("since=yesterday", "From"),
        ("until=2024-02-31", "Until"),
        ("action=maybe", "Decision"),
        ("after=x.1", "search again"),
        ("after=99999999999999999999.1", "search again"),
    ):
        answer = visit.http.get(f"/payments?{asked}")
        assert answer.status_code == 422, asked
        assert field in problem_in(answer.text), asked
    assert 'value="a&#34;lot"' in visit.page("/payments?least=a%22lot", 422)


def test_a_receipt_has_everything_and_is_replayed(console: ConsoleSite) -> None:
    visit = settled(console.visit("analyst"))
    page = visit.page(RECEIPT)
    for shown in ("777.25 EUR", "failed", "shop", "payments by this card in 1 hour", "token"):
        assert shown in page, shown
    assert HOST in page
    assert "ada@example.org" not in page
    again = visit.send(RECEIPT)
    assert again.status_code == 200
    assert "equal to the bit" in again.text
    assert re.search(r"Its features were computed from [\d,]+ records of the ledger", again.text)
    missing = visit.http.get("/payments/receipt?id=none")
    assert (missing.status_code, problem_in(missing.text)) == (
        404,
        "The ledger has no payment with this id.",
    )
    assert visit.http.get("/payments/receipt").status_code == 404
    assert visit.send("/payments/receipt?id=none").status_code == 404


def test_pages_in_a_browser_run_nothing_of_a_payment(
    console: ConsoleSite, browser: Browser, axe: str
) -> None:
    settled(console.visit("analyst"))
    console.sign_in(browser, "analyst")
    for theme, width in (("light", 1280), ("dark", 390)):
        browser.emulate(width, 1_200, scheme=theme)
        for path in ("/", "/payments?q=c-777", RECEIPT):
            browser.open(f"{console.url}{path}")
            assert browser.run("return window.owned") is None
            assert browser.barriers(axe) == [], path
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), path
    browser.emulate(1280, 900)
    browser.open(f"{console.url}{RECEIPT}")
    browser.click("form[action*='/payments/receipt'] button")
    browser.wait(lambda: "equal to the bit" in browser.text("main"))
    assert browser.barriers(axe) == []
    assert browser.console() == []


def test_pages_say_what_the_index_lacks(console: ConsoleSite, tmp_path: Path) -> None:
    settled(console.visit("analyst"))
    backend = ConsoleBackend(console.settings, clock=lambda: system_time() + 60_000_000)
    empty = IndexFile(tmp_path / "index.db")
    given = (console.settings, empty, backend.production, lambda: backend.ledger)
    records = backend.ledger.head().seq
    late = IndexThread(*given, clock=backend.clock)
    assert late.behind().startswith(f"The index is being built: it has 0 of {records} records")
    assert backend.following.behind() == ""
    # a new installation, without a model and a ledger, lacks nothing
    new = ConsoleBackend(Settings(home=tmp_path / "new"))
    assert new.following.behind() == ""
    assert "being built" not in console.visit("analyst").page("/payments")


def test_a_thread_outlives_what_nobody_expected() -> None:
    done: list[str] = []

    def work() -> None:
        done.append("")
        raise ValueError("4111111111111111")

    repeated = RepeatedWork("odd", work, pause_seconds=0.0)
    repeated.start()
    until(lambda: len(done) > 1)
    repeated.stop()
    assert str(repeated.failure).startswith("This is a defect of Shroff")


def test_a_service_that_answers_with_a_page_is_no_service(console: ConsoleSite) -> None:
    with pytest.raises(SourceUnavailable, match="got another text"):
        waited(f"{console.url}/sign-in?next=", "")


def test_an_altered_model_takes_down_only_what_needs_it(
    console: ConsoleSite, tmp_path: Path
) -> None:
    settled(console.visit("analyst"))
    own = console.settings
    copytree(own.models, tmp_path / "models")
    backend = ConsoleBackend(Settings(home=tmp_path, control=own.control, ledger=own.ledger))
    version = str(backend.models.pointers.production)
    (tmp_path / "models" / "versions" / version / "model.onnx").write_bytes(b"no")
    with visiting(backend, "modeller") as visit:
        until(lambda: "in production cannot be read" in visit.page("/"))
        for path in ("/", "/payments", RECEIPT):
            assert str(tmp_path) not in visit.page(path), path
        assert "model.onnx" in visit.page("/features", 422)
        assert "No model is in production" not in visit.page("/rules")


def test_the_overview_says_what_there_is_without_script(console: ConsoleSite) -> None:
    visit = settled(console.visit("analyst"))
    page = visit.page("/")
    assert "Payments and decisions" in page
    assert "As a table" in page
    for window in ("1d", "7d", "26w", "nonsense"):
        assert "data-chart" in visit.page(f"/?window={window}")
    part = visit.http.get("/", headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert "Cases waiting" in part


def test_the_overview_is_told_of_news(console: ConsoleSite) -> None:
    visit = console.visit("analyst")
    with visit.http.stream("GET", "/overview/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.iter_lines()
        assert "connected" in next(line for line in lines if line.startswith("data:"))
