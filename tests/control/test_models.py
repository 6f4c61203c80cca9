"""Published models: kept as they were, pointed to by one rename, back by one word."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_schema

from serve.fixtures import fitted_model, make_bundle
from shroff.control.models import Models
from shroff.control.pointers import Role
from shroff.errors import BundleError, ConfigurationError, NotFound
from shroff.package import save


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three bundles that differ in their policy."""
    folder, model = tmp_path_factory.mktemp("bundles"), fitted_model()
    for number in range(3):
        policy = {"review_at": 0.1 * (number + 1), "decline_at": 0.9}
        save(
            make_bundle(model, policy=policy, created=f"2024010{number}T000000Z"),
            folder / str(number),
        )
    return [folder / str(number) for number in range(3)]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_bundle_is_kept_byte_for_byte_and_once(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    kept = models.publish(bundles[0])
    assert content(models.folder / "versions" / kept.version) == content(bundles[0])
    before = models.pointers
    assert models.publish(bundles[0]) == kept
    assert models.pointers == before
    assert models.production() == kept


def test_what_somebody_put_into_a_bundle_is_not_kept_with_it(
    bundles: list[Path], tmp_path: Path
) -> None:
    bundle, models = tmp_path / "bundle", Models(tmp_path / "models")
    shutil.copytree(bundles[0], bundle)
    (bundle / "notes").mkdir()
    (bundle / "notes" / "why.md").write_text("because")
    (bundle / "shadow").symlink_to("/etc/passwd")
    os.mkfifo(bundle / "endless")
    place = models.folder / "versions" / models.publish(bundle).version
    assert content(place) == content(bundles[0])
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}


def test_rollback_goes_back_through_all_that_was_in_production(
    bundles: list[Path], tmp_path: Path
) -> None:
    models = Models(tmp_path)
    first, second, third = [models.publish(bundle).version for bundle in bundles]
    assert models.versions == [first, second, third]
    assert [models.rollback(), models.rollback()] == [second, first]
    with pytest.raises(NotFound, match="no earlier version"):
        models.rollback()
    assert models.publish(bundles[2]).version == third
    assert models.rollback() == first
    assert [(change.action, change.version) for change in models.pointers.changes] == [
        ("publish", first),
        ("publish", second),
        ("publish", third),
        ("rollback", second),
        ("rollback", first),
        ("publish", third),
        ("rollback", first),
    ]


def test_a_shadow_comes_and_goes_and_may_be_promoted(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    first = models.publish(bundles[0]).version
    second = models.publish(bundles[1], role="shadow").version
    assert (models.pointers.production, models.pointers.shadow) == (first, second)
    models.publish(bundles[1])
    assert (models.pointers.production, models.pointers.shadow) == (second, None)
    models.publish(bundles[2], role="shadow")
    models.withdraw()
    assert models.pointers.shadow is None


def test_many_publishers_take_turns(bundles: list[Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Models(tmp_path).publish(bundles[number % 3]), range(24)))
    pointers = Models(tmp_path).pointers
    assert len(Models(tmp_path).versions) == 3
    assert [change.version for change in pointers.changes if change.version is not None][
        -1
    ] == pointers.production
    assert len(pointers.earlier) == len(pointers.changes) - 1


def test_what_cannot_be_used_is_refused(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    with pytest.raises(ConfigurationError, match="no model is in production yet"):
        models.production()
    with pytest.raises(BundleError, match="expected a bundle"):
        models.publish(tmp_path)
    with pytest.raises(NotFound, match="no published model"):
        models.load("20240101T000000Z-00000000")
    for version in (
        "../../etc",
        "/etc",
        "20240101T000000Z-0000000g",
        "20240101T000000Z-00000000\n",
        "\0",
    ):
        with pytest.raises(NotFound, match="no published model"):
            models.load(version)
        with pytest.raises(NotFound, match="no published policy"):
            models.policy(version)
    kept = models.publish(bundles[0])
    (models.folder / "versions" / kept.version / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        models.production()
    (models.folder / "pointers.json").write_text(json.dumps({"production": 3}))
    with pytest.raises(BundleError, match="damaged"):
        models.production()


def test_the_history_says_who_and_why(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    models.publish(bundles[0], by="ada", note="the first")
    models.publish(bundles[1], by="bob")
    models.rollback(by="eve", note="too many reviews")
    models.publish(bundles[1], role="shadow", by="bob")
    models.withdraw(by="ada", note="done")
    assert [
        (change.role, change.action, change.by, change.note) for change in models.pointers.changes
    ] == [
        ("production", "publish", "ada", "the first"),
        ("production", "publish", "bob", None),
        ("production", "rollback", "eve", "too many reviews"),
        ("shadow", "publish", "bob", None),
        ("shadow", "withdraw", "ada", "done"),
    ]
    for note in ("", "x" * 501):
        with pytest.raises(ConfigurationError, match="a note of 1 to 500"):
            models.publish(bundles[2], note=note)
    with pytest.raises(ConfigurationError, match="a note without a card number"):
        models.publish(bundles[2], note="see 4111 1111 1111 1111")


def test_pointers_of_an_earlier_release_are_read(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    version = models.publish(bundles[0]).version
    old = {
        "at": "2026-01-01T00:00:00+00:00",
        "role": "production",
        "action": "publish",
        "version": version,
    }
    pointers = {"production": version, "shadow": None, "earlier": [], "changes": [old]}
    (tmp_path / "pointers.json").write_text(json.dumps(pointers))
    models.publish(bundles[1], by="ada")
    assert [change.by for change in models.pointers.changes] == [None, "ada"]
    assert models.rollback() == version


def test_a_bundle_of_another_schema_is_published_only_when_that_is_accepted(
    bundles: list[Path], tmp_path: Path
) -> None:
    models, other = Models(tmp_path / "models"), tmp_path / "other"
    made = make_bundle(fitted_model())
    save(
        replace(
            made, schema=replace_schema(made.schema, numeric=["points"], timezone="Europe/Paris")
        ),
        other,
    )
    first = models.publish(bundles[0]).version
    sentence = (
        "numeric gains `points`; numeric loses `items`; timezone becomes `Europe/Paris`, was none"
    )
    roles: tuple[Role, ...] = ("production", "shadow")
    for role in roles:
        with pytest.raises(ConfigurationError, match=sentence):
            models.publish(other, role=role)
    assert models.pointers.production == first
    assert models.versions == [first], "what is refused is not kept"
    models.publish(other, accept_schema=True)
    with pytest.raises(ConfigurationError, match="numeric gains `items`"):
        models.rollback()
    assert models.rollback(accept_schema=True) == first


def test_a_bundle_in_the_place_of_another_is_not_taken_for_it(
    bundles: list[Path], tmp_path: Path
) -> None:
    models = Models(tmp_path)
    first, second = (models.publish(bundle).version for bundle in bundles[:2])
    shutil.rmtree(tmp_path / "versions" / first)
    shutil.copytree(tmp_path / "versions" / second, tmp_path / "versions" / first)
    with pytest.raises(BundleError, match="not the bundle that was published as this version"):
        models.rollback()


def test_a_draft_that_a_crash_left_is_no_version(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    version = models.publish(bundles[0]).version
    shutil.copytree(bundles[1], tmp_path / "versions" / f".{version}.k3")
    assert models.versions == [version]


def test_a_damaged_model_in_production_can_be_replaced(bundles: list[Path], tmp_path: Path) -> None:
    models = Models(tmp_path)
    first = models.publish(bundles[0]).version
    (tmp_path / "versions" / first / "schema.json").write_bytes(b"{}")
    assert models.publish(bundles[1]).version == models.pointers.production
