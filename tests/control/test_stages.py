"""Stages of models: a chained history of who moved what and why; what was in production when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fixtures import fitted_model, make_bundle
from shroff.control.history import GateResult
from shroff.control.models import Models
from shroff.control.pointers import Action, InForce, Measured, Pointers, Signature
from shroff.errors import BrokenChain, ConfigurationError
from shroff.package import save

GATES = (GateResult("latency", True, "fast", {"p99_ms": 1.25, "budget_ms": 10.0}),)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, model = tmp_path_factory.mktemp("bundles"), fitted_model()
    for number in range(3):
        save(make_bundle(model, created=f"2024010{number}T000000Z"), folder / str(number))
    return [folder / str(number) for number in range(3)]


@pytest.fixture
def models(bundles: list[Path], tmp_path: Path) -> Models:
    """A candidate that was promoted to production, and another candidate beside it."""
    kept = Models(tmp_path / "models")
    kept.publish(bundles[0], by="ada", note="the first")
    kept.publish(
        bundles[1], role="shadow", by="bob", measured=Measured(GATES, kept.pointers.production)
    )
    kept.publish(
        bundles[1], by="bob", note="better", measured=Measured(GATES, kept.pointers.production)
    )
    kept.publish(bundles[2], role="shadow")
    return kept


def altered(models: Models, change: Any) -> None:
    path = models.folder / "pointers.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_stages_and_gates_are_in_the_history(models: Models) -> None:
    pointers = models.pointers
    assert [pointers.stage(one) for one in models.versions] == [
        "retired",
        "production",
        "candidate",
    ]
    assert [(one.action, one.role, one.gates) for one in pointers.changes] == [
        ("publish", "production", ()),
        ("promote", "shadow", GATES),
        ("promote", "production", GATES),
        ("publish", "shadow", ()),
    ]
    models.withdraw()
    assert models.pointers.stage(models.versions[2]) == "withdrawn"


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored["changes"][0].update(by="eve"),
        lambda stored: stored["changes"][2]["gates"][0]["figures"].update(p99_ms=9.0),
        lambda stored: stored["changes"].pop(1),
        lambda stored: stored["changes"].pop(),
        lambda stored: stored["changes"].reverse(),
        lambda stored: stored["changes"].append(stored["changes"][0]),
        lambda stored: stored["changes"][3].pop("chain"),
        lambda stored: stored.update(production=stored["shadow"]),
        lambda stored: stored.update(shadow=None),
        lambda stored: stored.update(policy="20240101T000000Z-00000000"),
        lambda stored: stored.update(earlier=[stored["shadow"]]),
    ],
)
def test_a_tampered_history_is_noticed(models: Models, bundles: list[Path], change: Any) -> None:
    altered(models, change)
    with pytest.raises(BrokenChain, match="history of models was changed"):
        models.production()
    with pytest.raises(BrokenChain):
        models.publish(bundles[0])


def test_a_history_whose_end_was_cut_off_is_noticed_by_a_noted_head(models: Models) -> None:
    number, chain = models.pointers.head.split(":")
    models.pointers.require_noted(int(number), chain)
    before = (models.folder / "pointers.json").read_bytes()
    models.withdraw()
    number, chain = models.pointers.head.split(":")
    (models.folder / "pointers.json").write_bytes(before)
    with pytest.raises(BrokenChain, match="its end was cut off"):
        models.pointers.require_noted(int(number), chain)
    with pytest.raises(BrokenChain, match="written anew"):
        models.pointers.require_noted(4, "0" * 64)


def test_a_history_of_an_earlier_release_goes_on(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    first = models.publish(bundles[0], by="ada").version
    models.publish(bundles[1])

    def without_chain(stored: dict[str, Any]) -> None:
        for change in stored["changes"]:
            del change["chain"]
            change.update({"policy": None, "note": None})

    altered(models, without_chain)
    assert [one.chain for one in models.pointers.changes] == ["", ""]
    assert models.rollback() == first
    assert [bool(one.chain) for one in models.pointers.changes] == [False, False, True]
    altered(models, lambda stored: stored["changes"][0].update(by="eve"))
    with pytest.raises(BrokenChain, match="change 3 of 3"):
        models.production()


def test_gates_that_compared_with_another_model_move_nothing(
    models: Models, bundles: list[Path]
) -> None:
    before = models.pointers
    with pytest.raises(ConfigurationError, match="is in production by now: promote it again"):
        models.publish(bundles[2], measured=Measured(GATES, models.versions[0]))
    assert models.pointers == before


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["publish", "rollback", "shadow", "withdraw", "policy"]),
        st.sampled_from(["v1", "v2", "v3"]),
        st.integers(0, 2),
    ),
    max_size=15,
)


@given(MOVES)
def test_what_was_in_production_at_a_moment_is_what_the_pointers_were(
    moves: list[tuple[str, str, int]],
) -> None:
    """The oracle keeps the pointers of every second; the query reads only the last history."""
    now, pointers, made = datetime(2024, 1, 1, tzinfo=UTC), Pointers(), Signature("ada", "why")
    expected: dict[datetime, tuple[str | None, str | None, str | None]] = {now: (None, None, None)}
    action: Action
    for move, version, seconds in moves:
        now += timedelta(seconds=seconds + 1)
        if move == "publish":
            moved = pointers.with_model("publish", version, pointers.policy, made)
        elif move == "rollback" and pointers.earlier:
            moved = pointers.with_model("rollback", pointers.earlier[0], None, made)
        elif move == "policy":
            moved = pointers.with_policy("publish", f"p-{version}", made)
        elif move in ("shadow", "withdraw"):
            action = "publish" if move == "shadow" else "withdraw"
            moved = pointers.with_shadow(action, version if move == "shadow" else None, made)
        else:
            continue
        stamped = [
            *pointers.changes,
            msgspec.structs.replace(moved.changes[-1], at=now.isoformat()),
        ]
        pointers = msgspec.structs.replace(moved, changes=tuple(stamped))
        expected[now] = (pointers.production, pointers.policy, pointers.shadow)
    for moment, wanted in expected.items():
        for later in (timedelta(0), timedelta(milliseconds=900)):
            found = pointers.as_of(moment + later)
            assert (found.production, found.policy, found.shadow) == wanted
    assert pointers.as_of(None) == pointers.as_of(now)
    assert pointers.as_of(datetime(2023, 1, 1, tzinfo=UTC)) == InForce()
