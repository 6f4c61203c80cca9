"""The pages of cases: a shift by keyboard, two people at once, hidden reasons, hostile values."""

from __future__ import annotations

import re
from collections import Counter
from html import escape, unescape

import pytest

from browser import Browser
from console.case_seed import IMAGE, SCRIPT
from console.site import ConsoleSite, problem_in
from patience import until
from shroff.act import Case, Desk, gather
from shroff.act.tables import CASES, stored
from shroff.control.database import Control
from shroff.ledger import Ledger

CONTROL = "\ue009"
ENTER = "\ue007"
ESCAPE = "\ue00c"


@pytest.fixture
def desk(console: ConsoleSite) -> Desk:
    settings = console.settings
    return Desk(settings.control, key=settings.hmac_key())


def waiting(desk: Desk, queue: str) -> Case:
    return desk.cases(queue=queue, waiting=True, limit=1)[0]


def closed(desk: Desk) -> dict[int, str | None]:
    return {one.id: one.outcome for one in desk.cases(closed=True, limit=100)}


def test_a_whole_shift_by_keyboard(console: ConsoleSite, browser: Browser, desk: Desk) -> None:
    console.sign_in(browser, "analyst")
    browser.emulate(1_280, 900)
    browser.open(f"{console.url}/cases?queue=shift")
    browser.press("?")
    assert "claim the next case" in browser.text("#keys")
    browser.press(ESCAPE)
    # down, down and up again, and into the second of the list
    for key in ("j", "j", "j", "k"):
        browser.press(key)
    second = desk.cases(queue="shift")[1]
    assert browser.run("return document.activeElement.textContent") == str(second.id)
    browser.press(ENTER)
    browser.wait(lambda: current(browser) == second.id)
    browser.press("b")
    browser.wait(lambda: shown(browser, "h1") == "Cases")
    before = len(closed(desk))
    browser.press("n")
    browser.wait(lambda: current(browser) != 0)
    # a key that is held, or Enter in the note, decides nothing
    browser.hold("f")
    browser.type("#decision-note", "genuine")
    browser.press(ENTER)
    browser.open(browser.run("return location.href"))
    assert len(closed(desk)) == before
    done: list[int] = []
    expected: dict[int, str] = {}
    for turn in range(20):
        browser.wait(lambda: current(browser) not in (0, *done))
        number = current(browser)
        if turn == 3:
            browser.press("m")
            for letter in "called":
                browser.press(letter)
            browser.press(ENTER, held=CONTROL)
            browser.wait(lambda: "called" in shown(browser, "#history + .wide"))
        if turn == 7:
            # a slip of the hand: the last one was fraud; back to it, and the one that was claimed
            # since waits again
            browser.press("z")
            browser.wait(lambda: current(browser) == done[-1])
            assert desk.case(number)[0].holder is None
            number = done.pop()
        key, outcome = ("f", "fraud") if turn % 3 == 0 else ("g", "genuine")
        browser.press(key)
        done.append(number)
        expected[number] = outcome
    browser.wait(lambda: len(closed(desk)) == before + 19)
    found = closed(desk)
    assert {number: found[number] for number in expected} == expected
    assert len(expected) == 19
    steps = Counter(one.step for number in done for one in desk.case(number)[2])
    assert (steps["undone"], steps["noted"], steps["closed"]) == (1, 1, 20)
    assert desk.verify() is not None
    assert browser.console() == []


def test_the_list_says_why(console: ConsoleSite, browser: Browser, axe: str, desk: Desk) -> None:
    case = waiting(desk, "strange")
    found = gather(desk, Ledger(console.settings.ledger), case.id).payments[0].record
    assert found is not None
    reason = found.answer.reasons[0].text
    row = row_of(console.visit("analyst").page("/cases"), case)
    assert f'title="{escape(reason)}"' in row
    assert reason.partition("; ")[0].replace("`", "") in text_of(row)
    # on a telephone too, in a second line
    console.sign_in(browser, "analyst")
    browser.emulate(390, 844)
    browser.open(f"{console.url}/cases")
    over = "const one = document.querySelector('[data-rows]').parentElement;"
    assert browser.run(f"{over} return one.scrollWidth - one.clientWidth") <= 0
    assert browser.run("return document.querySelector('tbody .why').offsetHeight") > 0
    assert browser.barriers(axe) == []


def row_of(html: str, case: Case) -> str:
    """The row of a case in a list."""
    (row,) = (one for one in html.split("<tr>") if f">{case.id}</a>" in one)
    return row


def text_of(html: str) -> str:
    """The text of a page, without what marks it up."""
    return unescape(re.sub("<[^>]*>", "", html))


def current(browser: Browser) -> int:
    """The case of the open page; 0 of another."""
    found = re.match(r"Case (\d+)", shown(browser, "h1"))
    return int(found[1]) if found else 0


def shown(browser: Browser, selector: str) -> str:
    """The text of an element, also while the page is left for another."""
    script = "return document.querySelector(arguments[0])?.textContent.trim() ?? ''"
    return str(browser.run(script, selector))


def test_two_people_at_once_lose_nothing(console: ConsoleSite, desk: Desk) -> None:
    ada, bob = console.visit("analyst"), console.visit("modeller")
    case = waiting(desk, "pairs")
    seen = {"version": str(case.version), "queue": "pairs"}
    page = f"/cases/{case.id}"
    assert ada.send(f"{page}/claim", seen).status_code == 303
    # who comes second is told in a sentence what was done, and by whom
    late = bob.send(f"{page}/decide", seen, outcome="fraud", note="mine")
    assert late.status_code == 409
    assert "since then analyst: claimed at" in problem_in(late.text)
    # a note is in nobody's way
    assert bob.send(f"{page}/note", seen, note="I know this card").status_code == 303
    strange = ada.send(f"{page}/assign", seen, to="nobody", note="theirs")
    assert strange.status_code == 422
    # others were added by other tests
    assert re.match("Expected somebody who may sign in: .*, analyst, ", problem_in(strange.text))
    refused = bob.send(f"{page}/escalate", note="please look", version=str(case.version + 1))
    assert refused.status_code == 409
    assert "analyst has claimed" in problem_in(refused.text)
    assert 'name="note" value="please look"' in refused.text
    assert 'id="decision-note" name="note" value="mine"' in late.text
    told = {"version": str(case.version + 1), "outcome": "genuine", "queue": "pairs"}
    assert ada.send(f"{page}/decide", told).headers["location"].startswith(page)
    assert "Undo case" in ada.page(page)
    # without a script: judged again, blind, by the other
    step = bob.send("/cases/next", queue="pairs")
    assert step.headers["location"] == f"{page}?queue=pairs"
    blind = bob.page(page)
    # but among those to whom it may be assigned
    assert "analyst" not in blind.replace("<option>analyst</option>", "")
    assert "I know this card" not in blind
    assert bob.http.get(f"{page}/pack").status_code == 409
    bob.send(f"{page}/decide", outcome="fraud", queue="pairs")
    assert (desk.case(case.id)[0].outcome, desk.agreement().cases) == ("genuine", 1)
    assert "Of 1 case both said the same of 0.0 %" in ada.page("/cases/reasons")
    taken = ada.send(f"{page}/undo")
    assert (taken.status_code, desk.case(case.id)[0].status) == (409, "closed")
    assert ada.send(f"{page}/reopen", note="there is news").status_code == 303
    assert ada.http.get("/cases/4711").status_code == ada.http.get("/cases/x").status_code == 404
    assert ada.send(f"{page}/nothing").status_code == 404
    assert ada.send(f"{page}/decide", outcome="stolen").status_code == 422


def test_a_case_that_is_given_back_leaves_the_last_decision_to_be_undone(
    console: ConsoleSite, desk: Desk
) -> None:
    visit, first = console.visit("analyst"), waiting(desk, "pairs")
    desk.claim(first.id, "analyst")
    closing = visit.send(f"/cases/{first.id}/decide", outcome="fraud", queue="pairs", advance="on")
    address = closing.headers["location"]
    following = address.partition("?")[0]
    for step in (f"{following}/note", f"{following}/release", "/cases/next"):
        assert f'name="done" value="{first.id}"' in visit.page(address)
        told = visit.send(step, queue="pairs", done=str(first.id), note="called")
        address = told.headers["location"]
        assert f"Undo case {first.id}" in text_of(visit.page(address))
    # and the list that a case leads back to
    (listed,) = re.findall(r'href="([^"]+)" data-key="b"', visit.page(address))
    assert f"Undo case {first.id}" in text_of(visit.page(unescape(listed)))
    visit.send(f"/cases/{first.id}/undo")
    assert desk.case(first.id)[0].status == "open"


def test_several_are_closed_at_once_or_none(console: ConsoleSite, desk: Desk) -> None:
    visit = console.visit("analyst")
    pairs = desk.cases(queue="pairs", waiting=True)[-2:]
    ticked = [f"{one.id}:{one.version}" for one in pairs]
    stale = visit.send("/cases/decide", outcome="fraud", case=[ticked[0], f"{pairs[1].id}:0"])
    assert stale.status_code == 409
    assert {desk.case(one.id)[0].status for one in pairs} == {"open"}
    assert visit.send("/cases/decide", outcome="fraud").status_code == 422
    closing = visit.send("/cases/decide", outcome="fraud", case=ticked)
    assert closing.status_code == 303
    assert {desk.case(one.id)[0].outcome for one in pairs} == {"fraud"}
    # all of them can be taken back, or none
    numbers = "-".join(str(number) for number in sorted(one.id for one in pairs))
    listed = visit.page(closing.headers["location"])
    assert f'name="done" value="{numbers}"' in listed
    assert "Undo 2 cases" in text_of(listed)
    for wrong, status in ((f"{numbers}-4711", 404), ("", 422)):
        assert visit.send("/cases/undo", done=wrong).status_code == status
    assert {desk.case(one.id)[0].status for one in pairs} == {"closed"}
    back = visit.send("/cases/undo", done=numbers, queue="pairs")
    assert back.headers["location"] == "/cases?queue=pairs"
    assert {desk.case(one.id)[0].holder for one in pairs} == {"analyst"}
    ticked = [f"{one.id}:{desk.case(one.id)[0].version}" for one in pairs]
    assert visit.send("/cases/decide", outcome="fraud", case=ticked).status_code == 303
    # what is undone is undone, whatever the form says of the case claimed since
    for one, leave in zip(pairs, ("4711", "9" * 5_000), strict=True):
        assert visit.send(f"/cases/{one.id}/undo", leave=leave).status_code == 303
        assert desk.case(one.id)[0].status == "open"
    ticked = [f"{one.id}:{desk.case(one.id)[0].version}" for one in pairs]
    # the list that was filtered is led back to, and shown with the sentence
    filters = {"queue": "pairs", "mine": "on", "subject": pairs[0].subject}
    refused = visit.send("/cases/decide", filters, outcome="fraud")
    for name, value in filters.items():
        assert f'type="hidden" name="{name}" value="{value}"' in refused.text
    assert visit.send("/cases/decide", outcome="fraud", queue="\0").status_code == 422
    led = visit.send("/cases/decide", filters, outcome="fraud", case=ticked)
    place = f"/cases?queue=pairs&mine=on&subject={pairs[0].subject}"
    assert led.headers["location"] == f"{place}&done={numbers}"
    subject = f"/cases?status=closed&amp;subject={pairs[0].subject}"
    assert f'href="{subject}"' in visit.page("/cases?status=closed")
    shown = visit.page(unescape(subject))
    assert f">{pairs[0].id}</a>" in shown
    assert f">{pairs[1].id}</a>" not in shown
    assert "No case is like that" in visit.page("/cases?subject=nobody&mine=on&overdue=on&after=x")
    led = visit.send("/cases", subject=pairs[0].subject, status="closed")
    assert led.headers["location"] == unescape(subject)
    nothing = visit.send("/cases", subject="ada@example.org")
    assert (nothing.status_code, "No case is like that" in nothing.text) == (200, True)
    # it stays in its field: neither this address names it, nor one that the page leads to
    assert 'value="ada@example.org"' in nothing.text
    assert not re.search('(href|action)="[^"]*ada', nothing.text)
    assert visit.send("/cases", queue="pairs").headers["location"] == "/cases?queue=pairs"


def test_whatever_an_address_or_a_form_says_is_answered(console: ConsoleSite) -> None:
    visit, huge = console.visit("analyst"), "9" * 30
    told = {
        f"/cases/{huge}": 404,
        f"/cases/{huge}/pack": 404,
        f"/cases?after=1:{huge}": 200,
        "/cases?after=nan:1": 200,
        f"/cases?done={huge}": 200,
        "/cases?subject=%00": 422,
        "/cases?queue=%E2%80%AE": 422,
        "/cases?subject=%ED%A0%80": 200,
    }
    found = {address: visit.http.get(address).status_code for address in told}
    assert found == told
    for step in ("claim", "decide", "undo", "note"):
        answer = visit.send(f"/cases/{huge}/{step}", outcome="fraud", version=huge, leave=huge)
        assert answer.status_code == 404, step
    assert visit.send("/cases/next", queue="\0").status_code == 422
    assert "at most 1,000 characters" in visit.send("/cases", subject="x" * 1_001).text
    assert visit.send("/cases", subject="x" * 1_000).status_code == 200
    assert "at most 1 MB" in visit.send("/cases", subject="x" * 2_000_000).text
    assert visit.send("/cases/decide", outcome="fraud", case=f"{huge}:1").status_code == 404


def test_hidden_reasons_are_not_in_the_page(console: ConsoleSite, desk: Desk) -> None:
    visit = console.visit("analyst")
    case = waiting(desk, "hidden")
    found = gather(desk, Ledger(console.settings.ledger), case.id)
    reasons = [
        reason
        for one in found.payments
        if one.record is not None
        for reason in one.record.answer.reasons
    ]
    assert reasons
    # tokens of personal values are shortened, and whole in titles
    token = re.compile("[0-9a-f]{64}")
    html, words = visit.page(f"/cases/{case.id}"), [one.text.replace("`", "") for one in reasons]
    assert "are hidden until it is decided" in html
    assert token.search(html)
    assert not token.search(text_of(html))
    assert not [one for one in words if one in text_of(html)]
    assert not [one for one in reasons if one.code in html or one.text in html]
    assert visit.http.get(f"/cases/{case.id}/pack").status_code == 409
    assert "/payments?q=" not in html
    assert ">hidden</span>" in row_of(visit.page("/cases?queue=hidden"), case)
    # nor on the pages of its payment, which name the rule that held
    receipt = "/payments/receipt?id=h0"
    until(lambda: "h0" in visit.page("/payments?q=h0"))
    for shown in (visit.page(receipt), visit.send(receipt).text, visit.page("/payments?q=h0")):
        assert "secret_rule" not in shown
    visit.send(f"/cases/{case.id}/decide", outcome="unclear")
    for shown in (visit.page(receipt), visit.page("/payments?q=h0")):
        assert "secret_rule" in shown
    html = visit.page(f"/cases/{case.id}")
    assert [one for one in words if one in text_of(html)] == words
    # from a value to all payments that have it
    assert '<a href="/payments?q=m1" title="All payments of m1">m1</a>' in html
    assert "rule <code>secret_rule</code>" in row_of(visit.page("/cases?status=closed"), case)
    pack = visit.http.get(f"/cases/{case.id}/pack")
    assert pack.headers["content-type"] == "application/zip"
    assert pack.content[:2] == b"PK"
    # a value that is kept shortened finds no payments
    assert ">All its payments</a>" in html
    short = stored("ø" * 900)
    subject = CASES.update().where(CASES.c.id == case.id)
    with Control(console.settings.control).transaction("shorten a subject") as connection:
        connection.execute(subject.values(subject=short))
    html = visit.page(f"/cases/{case.id}")
    assert ">All its payments</a>" not in html
    assert f'<span title="{short}">' in html
    assert f'title="All payments of {short}"' not in html
    with Control(console.settings.control).transaction("name it again") as connection:
        connection.execute(subject.values(subject=case.subject))


def test_nobody_is_kept_out_and_no_value_is_markup(
    console: ConsoleSite, browser: Browser, axe: str, desk: Desk
) -> None:
    """Names of merchants, hosts, cards and notes that are script: shown as text, in every part."""
    case = waiting(desk, "strange")
    desk.note(case.id, "analyst", note=f"{SCRIPT} {IMAGE}")
    console.sign_in(browser, "analyst")
    browser.console()  # what the style sheet, opened by itself, has no icon for
    pages = ("/cases", f"/cases/{case.id}?queue={SCRIPT}&done=1", "/cases/reasons")
    for theme in ("light", "dark"):
        browser.emulate(1_280, 900, scheme=theme)
        for page in pages:
            browser.open(f"{console.url}{page}")
            assert browser.barriers(axe) == [], (theme, page)
            assert browser.run("return document.title").endswith(" · Shroff")
            assert browser.run("return document.querySelector('main :is(script, img)')") is None
    browser.open(f"{console.url}{pages[1]}")
    assert SCRIPT in browser.text("main")
    assert "Links of the case" in browser.run(
        "return document.querySelector('svg.graph').outerHTML"
    )
    browser.emulate(390, 844)
    browser.open(f"{console.url}{pages[1]}")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(wide) <= 0
    assert browser.barriers(axe) == [], "a table that scrolls can be reached by keyboard"
    assert browser.console() == []
