"""Published policies: in force beside each model that they fit, and back by one word."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decide.test_standing import OPEN, held_out
from serve.fixtures import POLICY, VELOCITY, card, fitted_model, make_bundle
from shroff import FeatureGroup, Policy, Rule
from shroff.control.models import Models
from shroff.decide.standing import fit
from shroff.errors import BundleError, ConfigurationError, NotFound, UnknownColumn
from shroff.package import load, save

MORE = FeatureGroup("velocity", version=2, features=[*VELOCITY.definitions, card.count("2d")])
STRICT, LENIENT = (
    msgspec.structs.replace(POLICY, review_at=at, decline_at=0.95) for at in (0.1, 0.6)
)
BUSY = msgspec.structs.replace(OPEN, rules=[Rule("busy", "card_count_2d > 3")])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models whose held-out scores differ, and one with a feature more."""
    folder, model = tmp_path_factory.mktemp("bundles"), fitted_model()
    made = (
        make_bundle(model, currency="EUR", held_out=held_out(), created="20240101T000000Z"),
        make_bundle(model, currency="EUR", held_out=held_out(0.2), created="20240102T000000Z"),
        make_bundle(
            model, currency="EUR", held_out=held_out(), groups=(MORE,), created="20240103T000000Z"
        ),
    )
    for number, bundle in enumerate(made):
        save(bundle, folder / str(number))
    return [folder / str(number) for number in range(3)]


@pytest.fixture
def models(bundles: list[Path], tmp_path: Path) -> Models:
    made = Models(tmp_path / "models")
    made.publish(bundles[0])
    return made


def in_force(models: Models) -> Policy:
    return models.in_production()[1].policy


def test_each_policy_is_kept_and_rollback_restores_the_former(models: Models) -> None:
    first = models.publish_policy(STRICT, by="ada", note="fraud wave")
    second = models.publish_policy(LENIENT, by="bob")
    assert models.publish_policy(LENIENT, by="eve").version == second.version, (
        "it is in force already"
    )
    assert models.rollback_policy(by="ada", note="too lenient").version == first.version
    assert in_force(models) == STRICT
    assert models.rollback_policy().version == models.pointers.production, "the model's own"
    assert in_force(models) == POLICY
    with pytest.raises(NotFound, match="no earlier policy"):
        models.rollback_policy()
    assert models.publish_policy(STRICT).version == first.version, (
        "the same policy has the same version"
    )
    told = [
        (change.action, change.version, change.by, change.note)
        for change in models.pointers.changes[1:]
    ]
    assert told == [
        ("publish", first.version, "ada", "fraud wave"),
        ("publish", second.version, "bob", None),
        ("rollback", first.version, "ada", "too lenient"),
        ("rollback", None, None, None),
        ("publish", first.version, None, None),
    ]
    assert models.policy(second.version).policy == LENIENT


def test_a_misfit_changes_nothing(models: Models) -> None:
    before = models.pointers
    with pytest.raises(UnknownColumn, match="card_count_2d"):
        models.publish_policy(BUSY)
    assert models.pointers == before
    with pytest.raises(ConfigurationError, match="no model is in production"):
        Models(models.folder / "none").publish_policy(STRICT)


def test_a_published_policy_stays_beside_the_next_model(
    models: Models, bundles: list[Path]
) -> None:
    given = models.publish_policy(STRICT)
    second = models.publish(bundles[1])
    assert models.pointers.policy == given.version
    chosen = models.publish_policy(OPEN)
    assert chosen.policy == fit(OPEN, second).policy
    models.rollback()
    assert in_force(models) == fit(OPEN, load(bundles[0])).policy, "chosen again for this model"
    assert models.in_production()[1].version != chosen.version
    models.publish(bundles[1])
    assert models.in_production()[1] == chosen


def test_a_policy_that_does_not_fit_the_next_model_is_asked_about(
    models: Models, bundles: list[Path]
) -> None:
    first = models.publish_policy(STRICT)
    models.publish(bundles[2])
    models.publish_policy(BUSY)
    with pytest.raises(ConfigurationError, match=r"does not fit .*card_count_2d.*--own-policy"):
        models.publish(bundles[1])
    third = models.pointers.production
    models.rollback()
    assert models.in_production()[1] == first, "the one by which that model decided last"
    models.publish(bundles[2])
    models.publish_policy(BUSY)
    models.publish(bundles[1], own_policy=True)
    assert in_force(models) == POLICY
    assert models.rollback() == third
    assert in_force(models) == POLICY, "a published policy stays where it fits"
    assert models.rollback_policy().policy.rules == tuple(BUSY.rules)
    with pytest.raises(ConfigurationError, match="a shadow decides nothing"):
        models.publish(bundles[1], role="shadow", own_policy=True)


def test_an_altered_policy_is_refused_and_can_be_replaced(
    models: Models, bundles: list[Path]
) -> None:
    published = models.publish_policy(STRICT)
    path = models.folder / "policies" / f"{published.version}.json"
    path.write_bytes(path.read_bytes().replace(b"0.95", b"0.99"))
    with pytest.raises(BundleError, match="SHA-256 differs"):
        models.in_production()
    with pytest.raises(BundleError, match="SHA-256 differs"):
        models.publish(bundles[1])
    path.write_bytes(b"{")
    with pytest.raises(BundleError, match="damaged"):
        models.in_production()
    models.publish_policy(LENIENT)
    assert in_force(models) == LENIENT
    with pytest.raises(NotFound, match="no published policy of version"):
        models.policy("../pointers")


def test_many_publishers_take_turns(models: Models) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda number: models.publish_policy((STRICT, LENIENT)[number % 2]), range(24))
        )
    assert len(models.pointers.earlier_policies) == len(models.pointers.changes) - 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(["strict", "open", "back", "model 0", "model 1", "model back"]), max_size=12
    )
)
def test_whatever_is_done_what_decides_fits_and_can_be_told_again(
    bundles: list[Path], tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    models = Models(tmp_path_factory.mktemp("models"))
    models.publish(bundles[0])
    stack: list[Policy] = [POLICY]
    for step in steps:
        match step.split():
            case ["back"] if len(stack) > 1:
                models.rollback_policy()
                stack.pop()
            case ["model", number] if number.isdigit():
                models.publish(bundles[int(number)])
            case ["model", _] if models.pointers.earlier:
                models.rollback()
            case [("strict" | "open") as name]:
                policy = {"strict": STRICT, "open": OPEN}[name]
                models.publish_policy(policy)
                stack += [policy] if policy != stack[-1] else []
        bundle, standing = models.in_production()
        expected = POLICY if len(stack) == 1 else stack[-1]
        assert standing.policy == fit(expected, bundle).policy
        last = models.pointers.changes[-1]
        assert last.policy == models.pointers.policy
