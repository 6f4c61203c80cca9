"""Cases over HTTP: who may, who comes second, pages, and many people at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from act.records import open_cases
from serve.service import Service
from shroff.act import Desk
from shroff.client import AsyncClient, Client, ReviewCase
from shroff.control import Keys, Scope
from shroff.errors import AccessDenied, BadPayment, CaseConflict, NotFound
from shroff.package import Bundle

PEOPLE = 20
CASES = 60


class Office:
    """A service with keys, and a client of each person's own."""

    def __init__(self, service: Service, keys: dict[str, str]) -> None:
        self.service = service
        self.control = control_of(service.home)
        self.keys = keys

    def client(self, name: str) -> Client:
        return Client(self.service.url, key=self.keys[name], timeout=30)

    def ask(self, name: str, method: str, path: str, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {self.keys[name]}"} | options.pop("headers", {})
        return self.service.request(method, path, headers=headers, **options)


@pytest.fixture(scope="module")
def office(
    bundle_folder: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("office")
    keys = Keys(control_of(home))
    scopes: dict[str, list[Scope]] = {"shop": ["decide", "label", "read"]}
    scopes |= {name: ["review"] for name in ("ada", "bob", *(f"person-{n}" for n in range(PEOPLE)))}
    made = {name: keys.create(name, allowed) for name, allowed in scopes.items()}
    open_cases(control_of(home), bundle, CASES)
    with Service(bundle_folder, home, keys=True) as service:
        yield Office(service, made)


def control_of(home: Path) -> str:
    return f"sqlite:///{home / 'control.db'}"


def test_of_two_people_the_second_gets_409_and_what_was_done(office: Office) -> None:
    shown = office.ask("bob", "GET", "/v1/cases/1")
    assert shown.headers["etag"] == '"1"'
    with office.client("ada") as ada:
        mine = ada.cases.claim(1, version=1)
        assert (mine.holder, mine.version, mine.status) == ("ada", 2, "open")
        # a note is no news for who decides: the version stays
        assert ada.cases.note(1, "called the customer", version=2).version == 2
        ada.cases.claim(1, version=2)
    second = office.ask(
        "bob", "POST", "/v1/cases/1/decide", headers={"if-match": '"1"'}, json={"outcome": "fraud"}
    )
    assert second.status_code == 409
    assert second.headers["content-type"] == "application/problem+json"
    problem = second.json()
    assert problem["type"] == "/problems/case-conflict"
    assert "is open and at version 3, not 1; since then ada: claimed at" in problem["detail"]
    wrong = office.ask("bob", "POST", "/v1/cases/1/decide", json={"outcome": "stolen"})
    assert wrong.status_code == 400
    assert "an outcome of fraud, genuine, unclear, refunded" in wrong.json()["detail"]
    with office.client("bob") as bob, pytest.raises(CaseConflict, match="ada has claimed case 1"):
        bob.cases.decide(1, "fraud", version=3)


def test_who_offers_a_version_reads_it(office: Office) -> None:
    described = office.service.request("GET", "/openapi.json").json()["paths"]
    asks = {
        path
        for path, methods in described.items()
        for one in methods.get("post", {}).get("parameters", ())
        if one["name"] == "If-Match"
    }
    bodies: dict[str, dict[str, str]] = {
        "claim": {},
        "release": {},
        "assign": {"to": "bob", "reason": "r"},
        "snooze": {"until": "2098-01-01T00:00:00Z"},
        "escalate": {"reason": "r"},
        "note": {"note": "n"},
        "decide": {"outcome": "fraud"},
        "reopen": {"reason": "r"},
    }
    assert asks == {f"/v1/cases/{{case}}/{verb}" for verb in bodies}
    for verb, body in bodies.items():
        refused = office.ask(
            "ada", "POST", f"/v1/cases/1/{verb}", headers={"if-match": "three"}, json=body
        )
        assert (refused.status_code, "`If-Match: " in refused.json()["detail"]) == (400, True)


def test_the_key_names_who_did_it_and_no_body_can(office: Office) -> None:
    with office.client("ada") as ada:
        assigned = ada.cases.assign(2, "bob", reason="knows the shop")
        assert (assigned.holder, assigned.version) == ("bob", 2)
        last = ada.cases.history(2)[-1]
    assert (last.by, last.step, last.to, last.note) == ("ada", "assigned", "bob", "knows the shop")
    forged = office.ask("ada", "POST", "/v1/cases/2/note", json={"note": "x", "by": "bob"})
    assert forged.status_code == 400
    with office.client("shop") as shop, pytest.raises(AccessDenied, match="review"):
        shop.cases.page()


def test_pages_are_by_worth_and_filtered(office: Office) -> None:
    with office.client("ada") as ada:
        seen: list[ReviewCase] = []
        after = None
        while True:
            page = ada.cases.page(limit=25, after=after)
            seen += page.cases
            if (after := page.next) is None:
                break
        assert len(seen) == len({one.id for one in seen})
        assert [one.worth for one in seen] == sorted((one.worth for one in seen), reverse=True)
        (found,) = ada.cases.page(subject="c7").cases
        assert (found.subject, found.kind, found.queue) == ("c7", "card_id", "review")
        assert ada.cases.page(assignee="bob").cases[0].id == 2
        assert ada.cases.page(queue="nothing").cases == ()
        (load,) = ada.cases.queues()
    assert (load.name, load.open, load.overdue) == ("review", len(seen), 0)
    assert load.waiting == len(seen) - 2
    for query in ("limit=0", "limit=x", "status=lost", "after=nowhere", "after=nan:1"):
        assert office.ask("ada", "GET", f"/v1/cases?{query}").status_code == 400, query


def test_steps_that_people_take(office: Office) -> None:
    with office.client("ada") as ada:
        claimed = ada.cases.next()
        assert claimed is not None
        number = claimed.case.id
        assert claimed.history[-1].step == "claimed"
        ada.cases.escalate(number, reason="a large one")
        slept = ada.cases.snooze(number, "2098-01-01T00:00:00Z", note="the bank calls back")
        assert (slept.level, slept.holder, slept.wake) == (1, None, "2098-01-01T00:00:00.000+00:00")
        ada.cases.claim(number)
        ada.cases.release(number)
        payment = claimed.payments[0].payment_id
        closed = ada.cases.decide(number, "unclear", labels={payment: True})
        assert (closed.status, closed.outcome) == ("closed", "unclear")
        assert [one.id for one in ada.cases.page(status="closed").cases] == [number]
        undone = ada.cases.undo(number)
        assert (undone.status, undone.holder, undone.outcome) == ("open", "ada", None)
        closed = ada.cases.decide(number, "unclear", labels={payment: True})
        again = ada.cases.reopen(number, reason="there is news", version=closed.version)
        assert again.status == "open"
        with pytest.raises(BadPayment, match="in the future"):
            ada.cases.snooze(number, "2001-01-01T00:00:00Z")
        with pytest.raises(NotFound):
            ada.cases.show(4711)
    two = {"if-match": f'"{again.version}"'}
    body = {"expected_version": 1}
    refused = office.ask("ada", "POST", f"/v1/cases/{number}/claim", headers=two, json=body)
    assert (refused.status_code, "got two" in refused.text) == (400, True)


def test_several_cases_are_closed_at_their_versions_or_none(office: Office) -> None:
    with office.client("ada") as ada:
        with pytest.raises(CaseConflict, match="case 4 is open and at version 1, not 9"):
            ada.cases.decide_all({3: 1, 4: 9}, "genuine")
        assert ada.cases.show(3).case.status == "open"
        assert len(ada.cases.decide_all({3: 1, 4: 1}, "genuine", note="a known shop")) == 2


def test_the_client_of_asyncio_has_the_same_verbs(office: Office) -> None:
    async def work() -> None:
        client = AsyncClient(office.service.url, key=office.keys["bob"], timeout=30)
        shown = await client.cases.show(5)
        await client.cases.claim(5, version=shown.case.version)
        await client.cases.release(5)
        assert (await client.cases.history(5))[-1].by == "bob"
        assert (await client.cases.page(limit=1)).next is not None
        await client.close()

    asyncio.run(work())


def test_twenty_people_at_once_decide_nothing_twice(
    office: Office, pay: Callable[..., dict[str, Any]]
) -> None:
    with office.client("ada") as ada:
        waiting = ada.cases.queues()[0].waiting

    def shift(name: str) -> list[int]:
        done = []
        with office.client(name) as own:
            while (found := own.cases.next()) is not None:
                own.cases.decide(found.case.id, "genuine", version=found.case.version)
                done.append(found.case.id)
        return done

    with ThreadPoolExecutor(PEOPLE) as people, office.client("shop") as paying:
        shifts = people.map(shift, [f"person-{n}" for n in range(PEOPLE)])
        # payments go on meanwhile
        assert paying.decide(pay()).payment_id
        done = Counter(one for own in shifts for one in own)
    assert (len(done), set(done.values())) == (waiting, {1})
    desk = Desk(office.control)
    assert desk.verify() is not None
    closings = Counter(
        step.case for number in done for step in desk.case(number)[2] if step.outcome == "genuine"
    )
    assert closings == done
