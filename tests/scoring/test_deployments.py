"""Published models while the service runs: swapped with no failed request, compared in the shadow,
refused if bad.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import patience
from package.test_trial import loop
from package.test_trial import model as endless
from serve.audit import assert_equal_to_batch, body, read_ledger
from serve.fixtures import POLICY, VELOCITY, card, make_bundle, merchant
from serve.service import KEY, Service
from shroff import FeatureGroup
from shroff.client import Client
from shroff.control.models import Models
from shroff.control.pointers import Role
from shroff.detect.preparation import Numeric
from shroff.errors import BundleError, LedgerAway
from shroff.ledger import Ledger
from shroff.package import Bundle, save
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.scoring.shadow import Comparison

Pay = Callable[..., dict[str, Any]]
MORE = FeatureGroup(
    "velocity",
    version=2,
    description="The same and two more",
    features=[*VELOCITY.definitions, card.count("2d"), merchant.total("amount", "1d")],
)


def published(folder: Path, bundle: Bundle) -> Bundle:
    """A bundle as it is after it was saved and loaded again."""
    return save(bundle, folder)


@pytest.fixture
def candidate(model: bytes, tmp_path: Path) -> Bundle:
    """Declines everything that it does not approve."""
    strict = msgspec.structs.replace(POLICY, review_at=0.3, decline_at=0.3)
    return published(
        tmp_path / "candidate",
        make_bundle(model, name="strict", policy=msgspec.to_builtins(strict)),
    )


@asynccontextmanager
async def under_load(scorer: Scorer, pay: Pay) -> AsyncIterator[list[dict[str, Any]]]:
    """Payments, results and labels all the while; what was answered."""
    answered: list[dict[str, Any]] = []

    async def send(lane: int) -> None:
        number = 0
        while True:
            number += 1
            sent = pay(
                payment_id=f"{lane}-{number}",
                card_id=f"c{number % 7}",
                merchant_id=f"m{number % 3}",
            )
            answered.append(msgspec.json.decode(await scorer.decide(msgspec.json.encode(sent))))
            if number % 5 == 0:
                await scorer.learn("result", sent["payment_id"], "failed")
                await scorer.learn("label", sent["payment_id"], number % 2 == 0)

    lanes = [asyncio.create_task(send(lane)) for lane in range(8)]
    try:
        yield answered
    finally:
        done = [lane for lane in lanes if lane.done()]
        for lane in lanes:
            lane.cancel()
            with suppress(asyncio.CancelledError):
                await lane
        assert not done, "a request failed"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


def test_another_model_decides_from_the_next_payment_on(
    scorer: Scorer, candidate: Bundle, pay: Pay
) -> None:
    async def swap() -> list[dict[str, Any]]:
        async with under_load(scorer, pay) as answered:
            await until(lambda: len(answered) > 50)
            await scorer.adopt(candidate)
            then = len(answered)
            await until(lambda: len(answered) > then + 50)
        return answered

    versions = [answer["model"]["version"] for answer in asyncio.run(swap())]
    assert {versions[0], versions[-1]} == {versions[0], candidate.version}
    # answers of different lanes come in a slightly different order
    assert versions.count(candidate.version) > 40


def test_a_model_with_new_features_has_their_history(
    scorer: Scorer, model: bytes, tmp_path: Path, pay: Pay, ledger_url: str
) -> None:
    more = published(tmp_path / "more", make_bundle(model, groups=(MORE,)))

    async def swap() -> None:
        async with under_load(scorer, pay) as answered:
            await until(lambda: len(answered) > 100)
            await scorer.adopt(more)
            then = len(answered)
            await until(lambda: len(answered) > then + 100)

    asyncio.run(swap())
    scorer.close()
    entries = read_ledger(ledger_url)
    after = [
        entry
        for entry in entries
        if entry.kind == "payment" and body(entry)["model"] == more.version
    ]
    assert len(after) >= 100
    assert set(body(after[0])["features"]) == {feature.name for feature in MORE.definitions}
    assert_equal_to_batch(more, entries, since=after[0].seq)


@pytest.mark.parametrize(
    "changes", [{"numeric": ["items", "points"]}, {"timezone": "Asia/Tokyo"}, {"epoch": "ms"}]
)
def test_a_bundle_for_other_payments_needs_a_restart(
    scorer: Scorer, model: bytes, changes: dict[str, Any]
) -> None:
    made = make_bundle(model)
    other = replace(made, schema=msgspec.structs.replace(made.schema, **changes))
    with pytest.raises(BundleError, match="other fields of a payment"):
        asyncio.run(scorer.adopt(other))


def test_a_shadow_scores_the_same_and_decides_nothing(
    scorer: Scorer, candidate: Bundle, pay: Pay
) -> None:
    async def compare() -> tuple[list[dict[str, Any]], Comparison]:
        await scorer.compare(candidate)
        shadow = scorer.shadow
        assert shadow is not None
        sent = [pay(payment_id=f"p{n}", amount=10.0 + 60 * n, card_id=f"c{n}") for n in range(30)]
        answers = [
            msgspec.json.decode(await scorer.decide(msgspec.json.encode(one))) for one in sent
        ]
        await until(lambda: shadow.comparison.compared == len(sent))
        for number, answer in enumerate(answers):
            await scorer.learn("label", answer["payment_id"], number >= 15)
        return answers, shadow.comparison

    answers, found = asyncio.run(compare())
    assert {answer["model"]["name"] for answer in answers} == {"logistic_regression"}
    actions = [answer["action"] for answer in answers]
    assert {"approve", "review"} <= set(actions)
    strict = {"approve": "approve", "review": "decline", "decline": "decline"}
    assert found.agreement == {
        f"{action}/{strict[action]}": actions.count(action) for action in actions
    }
    assert (found.frauds, found.genuine, found.passed_over) == (15, 15, 0)
    assert found.by_production == found.by_shadow, "both stop the same payments"
    assert found.by_production.frauds_stopped == sum(action != "approve" for action in actions[15:])
    assert found.largest_difference == found.mean_difference == 0.0, "the same model"


def test_a_shadow_reads_only_what_is_computed(scorer: Scorer, model: bytes) -> None:
    names = make_bundle(model).preparation
    foreign = replace(names, numeric=(Numeric("card_count_2d", 0.0, 1.0), *names.numeric[1:]))
    with pytest.raises(BundleError, match="`card_count_2d`, which is not computed"):
        asyncio.run(scorer.compare(make_bundle(model, groups=(MORE,), preparation=foreign)))


def test_the_pointers_are_followed_and_a_bad_model_changes_nothing(
    bundle_folder: Path,
    candidate: Bundle,
    ledger_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = Models(tmp_path / "models")
    first = models.publish(bundle_folder)
    scorer = Scorer(models.production(), Ledger(ledger_url), key=KEY)
    scorer.start()
    deployments = Deployments(models, scorer)

    def look() -> tuple[str, bool]:
        asyncio.run(deployments.look())
        return scorer.bundle.version, scorer.shadow is not None

    assert look() == (first.version, False)
    models.publish(tmp_path / "candidate", role="shadow")
    assert look() == (first.version, True)
    models.publish(tmp_path / "candidate")
    assert look() == (candidate.version, False)
    models.rollback()
    assert look() == (first.version, False)
    (models.folder / "versions" / candidate.version / "model.onnx").write_bytes(b"damaged")
    (models.folder / "pointers.json").write_bytes(
        msgspec.json.encode({"production": candidate.version})
    )
    assert look() == (first.version, False)
    assert "SHA-256 differs" in str(deployments.failure)
    assert "what was published is not used" in caplog.text
    (models.folder / "pointers.json").write_bytes(b"{")
    assert look() == (first.version, False)
    scorer.close()


@pytest.mark.parametrize("role", ["production", "shadow"])
def test_a_model_that_may_not_run_is_not_taken_up(
    scorer: Scorer, tmp_path: Path, role: Role
) -> None:
    bad, before = save(make_bundle(endless(loop())), tmp_path / "bad"), scorer.bundle
    place = tmp_path / "models" / "versions" / bad.version
    shutil.copytree(tmp_path / "bad", place)  # `publish` would refuse it
    pointers = {"production": before.version, role: bad.version}
    (tmp_path / "models" / "pointers.json").write_bytes(msgspec.json.encode(pointers))
    deployments = Deployments(Models(tmp_path / "models"), scorer)
    asyncio.run(deployments.look())
    assert "has a loop" in str(deployments.failure)
    assert (scorer.bundle, scorer.shadow, scorer.decider.failure) == (before, None, None)


def test_a_model_is_taken_when_the_ledger_is_back(
    scorer: Scorer, candidate: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(tmp_path / "models")
    models.publish(tmp_path / "candidate")
    deployments = Deployments(models, scorer)

    async def away(*_: object) -> None:
        raise LedgerAway("the ledger cannot be read.")

    with monkeypatch.context() as patch:
        patch.setattr(scorer, "adopt", away)
        for _ in range(2):
            asyncio.run(deployments.look())
            assert (deployments.failure, deployments.failed) == ("the ledger cannot be read.", 1)
    asyncio.run(deployments.look())
    assert (scorer.bundle.version, deployments.failure) == (candidate.version, None)


def test_a_running_service_takes_what_is_published(
    bundle_folder: Path, candidate: Bundle, tmp_path: Path
) -> None:
    models = Models(tmp_path / "home" / "models")
    models.publish(bundle_folder)
    with Service(None, tmp_path / "home") as service, Client(service.url) as client:
        (before,) = client.models()
        models.publish(tmp_path / "candidate")
        patience.until(lambda: client.models()[0] != before, said=service.log.read_text)
        assert client.models()[0].version == candidate.version
