"""Rules and lists in the console: written, tried, agreed to by a second person, and decided by."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from browser import Browser
from console.seed import people
from console.site import ConsoleSite, Visit, problem_in, running
from patience import until
from serve.fixtures import POLICY, make_bundle
from serve.service import Service
from shroff.client import Client
from shroff.control import Lists
from shroff.control.models import Models
from shroff.control.users import Users
from shroff.package import save
from shroff.settings import Settings

Pay = Callable[..., dict[str, Any]]
EVIL = "<img src=x onerror=hacked=1>'\"</script><script>hacked=1</script>{{7*7}}"


@pytest.fixture(scope="module")
def shop(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that follows the models of its home, whose labels are in at once."""
    home = tmp_path_factory.mktemp("rules")
    policy = msgspec.structs.replace(POLICY, lists={**POLICY.lists, EVIL: [EVIL]})
    bundle = make_bundle(
        model,
        currency="EUR",
        policy=msgspec.to_builtins(policy),
        metrics={"split": "time:2024-01-01/5/0/60", "detectors": {}},
    )
    save(bundle, home / "bundle")
    Models(home / "models").publish(home / "bundle")
    with Service(None, home) as service:
        yield service


@pytest.fixture(scope="module")
def desk(shop: Service) -> Iterator[ConsoleSite]:
    settings = Settings(home=shop.home)
    people(settings)
    Users(settings.control).add("bob", "admin", password=None)
    with running(settings) as site:
        yield site
        assert site.log.read_text() == ""


@pytest.fixture(scope="module")
def decided(shop: Service) -> list[str]:
    """Payments that the service decided, of which every third was a fraud."""
    ids = [f"r{number}" for number in range(30)]
    with Client(shop.url) as client:
        for number, name in enumerate(ids):
            client.decide(payment(name, amount=60.0 + number % 3))
            client.label(name, number % 3 == 2)
    return ids


def payment(name: str, **fields: Any) -> dict[str, Any]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    usual = {"payment_id": name, "created_at": moment, "amount": 60.0, "currency": "EUR"}
    usual |= {"card_id": name, "merchant_id": "m1", "host_id": "10.0.0.1", "mcc": "5411"}
    return usual | {"request_country": "DK", "account_country": "DK", "items": 1} | fields


def proposal_of(visit: Visit, **fields: str) -> str:
    """Propose a rule; the address of the proposal."""
    rule = {"name": "r", "condition": "amount > 900", "action": "review"} | fields
    answer = visit.send("/rules/propose", rule)
    assert answer.status_code == 303, problem_in(answer.text)
    return answer.headers["location"]


def test_a_rule_goes_from_draft_to_live_by_two_people_and_the_service_decides_by_it(
    shop: Service, desk: ConsoleSite, decided: list[str], browser: Browser, axe: str
) -> None:
    desk.sign_in(browser, "modeller")
    browser.open(f"{desk.url}/rules/edit")
    browser.type("#field-name", "dear")
    browser.type("#condition", "amoun")
    browser.wait(lambda: shown(browser, '[role="option"]'))
    browser.wait(lambda: "unknown column amoun" in browser.text("#fault"))
    write(browser, "\ue015\ue007")  # arrow down, enter
    assert browser.run("return document.querySelector('#condition').value") == "amount"
    write(browser, " > 61.5")
    browser.wait(lambda: shown(browser, ".fits"))
    choose(browser, "#field-action", "decline")
    browser.click('button[formaction$="/rules/try"]')
    browser.wait(lambda: shown(browser, "#trial .figures"))
    tried = browser.text("#trial")
    assert re.search(r"It holds at 10 payments .* 10 frauds, 0 genuine", tried)
    assert "Newly caught" in tried
    barriers(browser, axe)
    browser.click("form#rule-form button.primary")
    browser.wait(lambda: "/proposals/" in browser.run("return location.pathname"))
    address = browser.run("return location.pathname")
    browser.click('button[value="shadow"]')
    browser.wait(lambda: "shadow" in text_of(browser, "h1"))
    assert "An admin who did not make it agrees" in browser.text("main")
    refused = desk.visit("modeller").send(f"{address}/consent", to="live")
    assert refused.status_code == 403
    assert rules_of(shop) == ["blocked_host"]
    with Client(shop.url) as client:
        client.decide(payment("seen-in-shadow", amount=75.0))
    desk.sign_in(browser, "admin")
    browser.open(f"{desk.url}{address}")
    browser.wait(lambda: shown(browser, "#trial"))
    barriers(browser, axe)
    browser.click('button[value="live"]')
    browser.wait(lambda: "live" in text_of(browser, "h1"))
    assert rules_of(shop) == ["blocked_host", "dear"]
    with Client(shop.url) as client:
        numbers = iter(range(10_000))
        until(
            lambda: client.decide(payment(f"then{next(numbers)}", amount=75.0)).rules == ("dear",)
        )
        answer = client.decide(payment("last", amount=75.0))
        assert answer.action == "decline"
    browser.open(f"{desk.url}/rules")
    browser.wait(lambda: "Over the last 31 days" in text_of(browser, "#figures"))
    assert "modeller, agreed by admin" in browser.text("main")
    barriers(browser, axe)
    assert complaints(browser) == []


def test_nobody_agrees_to_what_they_wrote_and_another_admin_rolls_back(
    shop: Service, desk: ConsoleSite
) -> None:
    admin, bob = desk.visit("admin"), desk.visit("bob")
    address = proposal_of(admin, name="mine", condition="card_count_1d > 90")
    assert admin.send(f"{address}/consent", to="live").status_code == 409
    assert admin.send(f"{address}/move", to="shadow").status_code == 303
    own = admin.send(f"{address}/consent", to="live")
    assert own.status_code == 403
    assert "a second person's consent, got admin" in problem_in(own.text)
    page = unescape(admin.page(address))
    assert "You made it: another admin agrees" in page
    assert '<a href="/rules" aria-current="page">' in page
    # the first page says so to who may write rules
    assert f'href="{address}"' in bob.page("/")
    assert address not in desk.visit("analyst").page("/")
    before = rules_of(shop)
    assert bob.send(f"{address}/consent", to="live").status_code == 303
    assert rules_of(shop) == [*before, "mine"]
    assert admin.send("/rules/rollback", note="too many").status_code == 303
    assert rules_of(shop) == before
    late = proposal_of(admin, name="late", condition="card_count_1d > 91")
    assert bob.send("/rules/move", rule="blocked_host", step="remove").status_code == 303
    assert bob.send(f"{late}/move", to="odd").status_code == 422
    assert bob.http.get("/rules/edit?rule=gone").status_code == 404
    assert bob.send("/proposals/999/move", to="shadow").status_code == 404
    silent = bob.send(f"{late}/consent", to="refused")
    assert "a reason for refusing" in problem_in(silent.text)
    assert bob.send(f"{late}/consent", to="refused", note="no").status_code == 303
    assert "no" in bob.page(late)


def test_a_proposal_over_an_older_policy_is_rebased(desk: ConsoleSite, decided: list[str]) -> None:
    admin, bob = desk.visit("admin"), desk.visit("bob")
    first, second = (
        proposal_of(admin, name=name, condition="card_count_1d > 92") for name in ("one", "two")
    )
    for address in (first, second):
        assert admin.send(f"{address}/move", to="shadow").status_code == 303
    assert bob.send(f"{first}/consent", to="live").status_code == 303
    stale = bob.send(f"{second}/consent", to="live")
    assert stale.status_code == 409
    assert "rebase it" in problem_in(stale.text)
    again = admin.send(f"{second}/move", to="rebased").headers["location"]
    assert again not in (first, second)
    assert "Rebased from" in admin.page(again)
    # the console reads the ledger's last days first
    until(lambda: "What it would have done" in admin.page(f"{again}/trial"))
    until(lambda: "Over the last 31 days" in admin.page("/rules/figures"))
    limits = admin.send("/rules/limits", review_at="0.2", decline_at="0.9", note="fewer")
    assert "Set review_at = 0.2." in admin.page(limits.headers["location"])
    for name, text in (
        ("review_at", "high"),
        ("review_at", "0,2"),
        ("decline_at", "nan"),
        ("reviews_per_day", "1,5"),
        ("reviews_per_day", "1e99999999"),
    ):
        bad = admin.send("/rules/limits", {name: text})
        assert bad.status_code == 422
        assert f"Expected a number in {name.replace('_', ' ')}" in problem_in(bad.text)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("", "write a condition"),
        ("ammount > 5", "did you mean `amount`"),
        ("amount >", "is not a SQL condition"),
        ("amount + 1", "true or false, got a number"),
        ("(" * 200 + "amount", "nested deeper"),
    ],
)
def test_what_is_wrong_is_said_and_the_text_kept(
    desk: ConsoleSite, condition: str, sentence: str
) -> None:
    visit = desk.visit("modeller")
    checked = visit.send("/rules/check", condition=condition, position=str(len(condition)))
    said = unescape(re.sub("</?code>", "`", checked.text))
    assert (checked.status_code, sentence in said) == (200, True)
    rule = {"name": "r", "condition": condition, "action": "review", "note": "why"}
    for path in ("/rules/propose", "/rules/try"):
        answer = visit.send(path, rule)
        assert answer.status_code == 422
        assert 'value="why"' in answer.text
        assert condition in unescape(answer.text)


def test_lists_are_edited_searched_and_tell_their_history(desk: ConsoleSite) -> None:
    admin, address = desk.visit("admin"), "/lists/values?name=blocked"
    desk_lists = Lists(desk.settings.control)
    for value, until_day in (("10.9.9.1", ""), ("10.9.9.2", "2099-01-31")):
        fields = {"list": "blocked", "value": value, "until": until_day, "note": "card testing"}
        assert admin.send("/lists/edit", fields, step="add").headers["location"] == address
    shown_list = admin.page(address)
    assert "2099-01-31 23:59" in shown_list
    assert "card testing" in shown_list
    found = admin.page(f"{address}&q=9.9.2")
    assert "10.9.9.2</code></th>" in found
    assert "10.9.9.1</code></th>" not in found
    admin.send("/lists/edit", list="blocked", value="10.9.9.1", step="remove", note="mistaken")
    assert "10.9.9.1</code></th>" not in admin.page(address)
    assert "mistaken" in admin.page(address)
    hashed = admin.send("/lists/edit", list="blocked", value="10.7.7.7", personal="yes", step="add")
    assert hashed.status_code == 303
    assert "10.7.7.7" not in admin.page(address)
    # a personal value is found as it is sent, and no address has it
    of_hash = admin.send("/lists/values", name="blocked", q="10.7.7.7")
    assert (of_hash.status_code, of_hash.text.count("</code></th>")) == (200, 1)
    for number in range(101):
        desk_lists.edit("blocked", "10.8.8.8", "add", by=f"a{number}")
    assert "2099-01-31 23:59" in admin.page(f"{address}&q=9.9.2")
    bad = {"list": "blocked", "value": "4111111111111111", "note": "a card", "step": "add"}
    refused = admin.send("/lists/edit", bad)
    assert refused.status_code == 422
    assert "no card number" in problem_in(refused.text)
    assert 'value="a card"' in refused.text
    assert admin.send("/lists/edit", bad | {"list": "gone"}).status_code == 404
    address = proposal_of(admin, name="mail", condition="email IN blocked")
    admin.send(f"{address}/move", to="shadow")
    assert desk.visit("bob").send(f"{address}/consent", to="live").status_code == 303
    open_value = {"list": "blocked", "value": "ada@example.org", "step": "add"}
    refused = admin.send("/lists/edit", open_value)
    assert "the personal column email" in problem_in(refused.text)
    assert 'value="yes" checked' in refused.text
    token = "0f" * 32
    for sent in (open_value | {"personal": "yes"}, open_value | {"value": token}):
        assert admin.send("/lists/edit", sent).status_code == 303
    assert token in admin.page("/lists/values?name=blocked")
    missing = admin.send("/lists/edit", list="blocked", value="10.0.0.77", step="remove")
    assert missing.status_code == 303
    assert "10.0.0.77 was not on the list" in admin.page("/lists/values?name=blocked")
    pasted = {"list": "blocked", "values": f"{token}\r\n a@b.example\r\n\r\n", "note": "batch 7"}
    refused = admin.send("/lists/import", pasted)
    assert "line 2: expected a value of the personal column email" in problem_in(refused.text)
    assert "a@b.example" in refused.text
    # 64 hex digits may be a hash that a receipt shows, or what payments are sent with
    for page, sent in (
        ("/lists/edit", open_value | {"value": token}),
        ("/lists/import", pasted),
    ):
        refused = admin.send(page, sent | {"personal": "yes"})
        assert "got 64 hex digits" in problem_in(refused.text)
    sent = pasted | {"personal": "yes", "values": "ada@example.org\r\n a@b.example\r\n"}
    assert admin.send("/lists/import", sent).status_code == 303
    assert "blocked: 1 added, 1 on it already." in admin.page("/lists/values?name=blocked")
    odd = admin.send("/lists/edit", bad | {"value": token, "until": "soon"})
    assert "Expected a date" in problem_in(odd.text)


def test_no_text_that_somebody_wrote_becomes_markup(
    desk: ConsoleSite, browser: Browser, axe: str
) -> None:
    admin = desk.visit("admin")
    name = EVIL[:60]
    address = proposal_of(
        admin, name=name, condition=f"mcc = '{EVIL.replace(chr(39), chr(39) * 2)}'", note=EVIL
    )
    assert admin.send(f"{address}/move", to="shadow", note=EVIL).status_code == 303
    desk.visit("bob").send(f"{address}/consent", to="live", note=EVIL)
    admin.send("/lists/edit", list=EVIL, value=EVIL + "2", note=EVIL, step="add")
    desk.sign_in(browser, "admin")
    evil = admin.page("/lists").split("/lists/values?name=")
    listed = [unescape(each.split('"')[0]) for each in evil[1:]]
    edit = re.findall(r'/rules/edit[?]rule=[^"]+', admin.page("/rules"))[-1]
    for path in (
        "/rules",
        address,
        edit,
        "/lists",
        *(f"/lists/values?name={each}" for each in listed),
    ):
        html = admin.page(path)
        assert "<img" not in html
        assert "<script>hacked" not in html
        assert "{{7*7}}" in unescape(html) or path == "/lists/values?name=blocked"
        browser.open(f"{desk.url}{path}")
        barriers(browser, axe)
        assert browser.run("return typeof hacked") == "undefined"
    checked = admin.send("/rules/check", condition=EVIL, position="9").text
    assert "<img" not in checked
    assert complaints(browser) == []


def barriers(browser: Browser, axe: str) -> None:
    """None, on the open page in both themes."""
    for scheme in ("light", "dark"):
        browser.emulate(1280, 900, scheme=scheme)
        assert browser.barriers(axe) == []


def complaints(browser: Browser) -> list[str]:
    """What the browser's console was told; a style sheet that is opened alone has no icon."""
    return [one for one in browser.console() if "favicon.ico" not in one]


def shown(browser: Browser, selector: str) -> bool:
    return bool(browser.run("return document.querySelector(arguments[0]) !== null", selector))


def write(browser: Browser, keys: str) -> None:
    """By the keyboard, where the focus is."""
    strokes = [{"type": kind, "value": one} for one in keys for kind in ("keyDown", "keyUp")]
    browser.call("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": strokes}])


def text_of(browser: Browser, selector: str) -> str:
    """Of an element that may be swapped meanwhile."""
    return str(browser.run("return document.querySelector(arguments[0])?.innerText", selector))


def choose(browser: Browser, selector: str, value: str) -> None:
    browser.run("document.querySelector(arguments[0]).value = arguments[1]", selector, value)


def rules_of(shop: Service) -> list[str]:
    policy = Models(Path(shop.home) / "models").in_production()[1].policy
    return [rule.name for rule in policy.rules]
