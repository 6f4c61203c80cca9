"""The overview and the pages of payments, as HTTP gives them and as a browser shows them."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

from browser import Browser
from console.payment_seed import HOST, MANY, STRANGE_ID, STRANGE_MERCHANT
from console.site import ConsoleSite, Visit, problem_in
from patience import until

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
    for nothing in ("nobody", "%00", "%F0%9F%92%B3", "'%20OR%201=1"):
        assert "No payment is like this" in visit.page(f"/payments?q={nothing}")


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
