"""A published policy while the service runs: no failed request, its version in every record,
decisions made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from decide.test_standing import OPEN, held_out
from patience import PATIENCE, until
from scoring.test_deployments import under_load
from scoring.test_deployments import until as until_async
from serve.asking import decide
from serve.audit import assert_equal_to_batch, body, read_ledger
from serve.fixtures import POLICY, make_bundle
from serve.service import KEY, Service
from serve.several import ledger_url as shared_ledger
from serve.several import service as several
from serve.several import state_url
from shroff import Policy, Rule
from shroff.client import Client
from shroff.control import Keys, Lists, LiveLists
from shroff.control.models import Models
from shroff.decide.standing import fit
from shroff.errors import ConfigurationError
from shroff.ledger import Ledger
from shroff.monitor import replay_decision
from shroff.package import save
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from telemetry.scraped import Scrape
from web import TRUST

__all__ = ["shared_ledger", "state_url"]

Pay = Callable[..., dict[str, Any]]
EAGER: Policy = msgspec.structs.replace(POLICY, review_at=1e-9, decline_at=0.99)
SHOPS: Policy = msgspec.structs.replace(
    POLICY, rules=[Rule("cash", "mcc IN codes", action="decline")], lists={"codes": ["6011"]}
)


@pytest.fixture
def models(model: bytes, tmp_path: Path) -> Models:
    made = Models(tmp_path / "home" / "models")
    save(make_bundle(model, currency="EUR", held_out=held_out()), tmp_path / "bundle")
    made.publish(tmp_path / "bundle")
    return made


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    return Lists(f"sqlite:///{tmp_path / 'home' / 'control.db'}")


@pytest.fixture
def following(models: Models, lists: Lists, ledger_url: str) -> Any:
    """A scorer of what is in production, and what keeps it there."""
    bundle, standing = models.in_production()
    scorer = Scorer(bundle, Ledger(ledger_url), key=KEY, standing=standing, lists=LiveLists(lists))
    scorer.start()
    yield scorer, Deployments(models, scorer)
    scorer.close()


def test_no_request_fails_while_policies_change_and_each_record_names_its_own(
    following: tuple[Scorer, Deployments], models: Models, lists: Lists, pay: Pay, ledger_url: str
) -> None:
    scorer, deployments = following

    async def change() -> list[dict[str, Any]]:
        async with under_load(scorer, pay) as answered:
            for step in (
                lambda: models.publish_policy(EAGER),
                lambda: models.publish_policy(SHOPS),
                lambda: lists.edit("codes", "5411", "add", by="ada"),
                lambda: models.publish_policy(OPEN),
                models.rollback_policy,
                models.rollback_policy,
            ):
                await asyncio.to_thread(step)
                await deployments.look()
                await asyncio.to_thread(scorer.tend)
                scorer.follow_lists()
                then = len(answered)
                await until_async(lambda then=then: len(answered) > then + 30)  # type: ignore[misc]  # bound now
        return answered

    answered = asyncio.run(change())
    assert deployments.failure is None
    assert (deployments.policies, deployments.adopted) == (5, 0)
    scorer.close()
    entries = read_ledger(ledger_url)
    records = [body(entry) for entry in entries if entry.kind == "payment"]
    versions = list(dict.fromkeys(record["policy"] for record in records))
    assert len(versions) == 4
    assert versions[0] == models.pointers.production, "the model's own"
    assert {record["answer"]["policy"] == record["policy"] for record in records} == {True}
    assert {answer["policy"] for answer in answered} == set(versions)
    assert "approve" not in {
        record["action"] for record in records if record["policy"] == versions[1]
    }
    assert_equal_to_batch(scorer.bundle, entries)
    for record in [
        next(one for one in records if one["policy"] == version) for version in versions
    ] + records[-9:]:
        payment = record["payment"]["id"]
        found = replay_decision(
            payment, Ledger(ledger_url), models.load, policies=models.policy, edits=lists.edits
        )
        assert found.holds, [line for line in found.lines if not line.equal]
        assert found.policy == record["policy"]


def test_another_policy_does_not_replay_to_the_same(
    following: tuple[Scorer, Deployments], models: Models, pay: Pay, ledger_url: str
) -> None:
    scorer, deployments = following
    eager = models.publish_policy(EAGER)

    async def one() -> None:
        await deployments.look()
        await decide(scorer, pay(payment_id="p"))

    asyncio.run(one())
    lenient = msgspec.structs.replace(eager, policy=POLICY)
    found = replay_decision("p", Ledger(ledger_url), models.load, policies=lambda version: lenient)
    assert "action" in {line.name for line in found.lines if not line.equal}
    assert replay_decision("p", Ledger(ledger_url), models.load, policies=models.policy).holds


def test_lists_come_and_go_with_the_policy(
    following: tuple[Scorer, Deployments], models: Models, lists: Lists, pay: Pay
) -> None:
    scorer, deployments = following

    async def rules(**fields: Any) -> list[str]:
        await deployments.look()
        await asyncio.to_thread(scorer.tend)
        scorer.follow_lists()
        return list((await decide(scorer, pay(**fields)))["rules"])

    async def walk() -> None:
        lists.edit("blocked", "10.9.9.9", "add", by="ada")
        assert await rules(host_id="10.9.9.9") == ["blocked_host"]
        models.publish_policy(SHOPS)
        assert await rules(host_id="10.9.9.9") == []
        assert await rules(mcc="6011") == ["cash"]
        assert scorer.decider.lists.keys() == {"codes"}
        models.rollback_policy()
        assert await rules(host_id="10.9.9.9") == ["blocked_host"], (
            "edits of a list that is back hold again"
        )

    asyncio.run(walk())


def test_the_shadow_is_compared_under_the_policy_it_would_have(
    following: tuple[Scorer, Deployments], models: Models, model: bytes, tmp_path: Path
) -> None:
    scorer, deployments = following
    candidate = save(
        make_bundle(model, name="candidate", currency="EUR", held_out=held_out(0.2)),
        tmp_path / "candidate",
    )
    models.publish(tmp_path / "candidate", role="shadow")
    shown = []
    for policy in (None, SHOPS, OPEN):
        if policy is not None:
            models.publish_policy(policy)
        asyncio.run(deployments.look())
        assert scorer.shadow is not None
        shown.append(scorer.shadow.decider.policy)
    assert shown == [POLICY, SHOPS, fit(OPEN, candidate).policy]


def test_a_policy_that_cannot_be_used_changes_nothing(
    following: tuple[Scorer, Deployments], models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    scorer, deployments = following
    asyncio.run(deployments.look())
    version = models.publish_policy(EAGER).version
    (models.folder / "policies" / f"{version}.json").write_bytes(b"{}")
    asyncio.run(deployments.look())
    assert (scorer.decider.policy, deployments.policies, deployments.failed) == (POLICY, 0, 1)
    assert "what was published is not used" in caplog.text
    models.publish_policy(SHOPS)
    asyncio.run(deployments.look())
    assert (scorer.decider.policy, deployments.failure) == (SHOPS, None)
    misfit = msgspec.structs.replace(
        fit(POLICY, scorer.bundle), policy=Policy(rules=[Rule("r", "nothing > 1")])
    )
    with pytest.raises(ConfigurationError, match="unknown column `nothing`"):
        asyncio.run(scorer.adopt(scorer.bundle, misfit))
    assert scorer.decider.policy == SHOPS


def test_a_running_service_takes_and_shows_what_is_published(
    models: Models, tmp_path: Path, pay: Pay
) -> None:
    home = tmp_path / "home"
    key = Keys(f"sqlite:///{home / 'control.db'}").create("shop", ["decide", "read"])
    headers = {"authorization": f"Bearer {key}"}
    with Service(None, home, keys=True) as service, Client(service.url, key=key) as client:

        def shown() -> dict[str, Any]:
            answer: dict[str, Any] = service.request("GET", "/v1/policy", headers=headers).json()
            return answer

        own = client.decide(pay())
        assert own.policy == own.model.version == shown()["version"]
        published = models.publish_policy(EAGER, by="ada")
        until(lambda: shown()["version"] == published.version, said=service.log.read_text)
        assert (shown()["review_at"], shown()["lists"]) == (1e-9, ["blocked"])
        assert [rule["name"] for rule in shown()["rules"]] == ["blocked_host"]
        decided = client.decide(pay())
        assert (decided.action, decided.policy) == ("review", published.version)
        assert client.decision(decided.payment_id) == decided
        (deployed,) = service.request("GET", "/v1/models", headers=headers).json()
        assert (deployed["policy"], deployed["review_at"]) == (published.version, 1e-9)
        found = Scrape.of(service, **headers)
        assert found.value("shroff_policy_info", role="production", version=published.version) == 1
        assert found.value("shroff_policies_adopted_total") == 1
        assert service.request("GET", "/v1/policy").status_code == 401
    with Service(None, home) as service, Client(service.url) as client:
        assert client.decide(pay()).policy == published.version, (
            "a service that starts takes it up too"
        )


def test_all_workers_take_a_policy_up_and_no_request_fails(
    models: Models, tmp_path: Path, state_url: str, shared_ledger: str, pay: Pay
) -> None:
    with several(None, tmp_path / "home", state_url, shared_ledger, 2) as (url, _):

        def policies(payments: int) -> set[str]:
            """Which decided so many payments, each over a connection of its own."""
            answers = [
                httpx.post(f"{url}/v1/decisions", json=pay(), timeout=PATIENCE, verify=TRUST)
                for _ in range(payments)
            ]
            assert {answer.status_code for answer in answers} == {200}
            return {answer.json()["policy"] for answer in answers}

        assert policies(8) == {models.pointers.standing}
        changes = (
            partial(models.publish_policy, EAGER),
            partial(models.publish_policy, SHOPS),
            models.rollback_policy,
        )
        for change in changes:
            version = change().version
            until(lambda version=version: policies(12) == {version})  # type: ignore[misc]  # bound now
