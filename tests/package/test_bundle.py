"""The bundle: it loads as it was saved, and an altered one is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shroff import Entity, FeatureGroup, Schema
from shroff.detect import Calibration, LogisticRegression, Preparation
from shroff.errors import BundleError
from shroff.package import Bundle, check_model, load, save

rng = np.random.default_rng(0)
table = pl.DataFrame({"amount": rng.lognormal(3, 1, 400), "mcc": rng.choice(["5411", "7995"], 400)})
preparation = Preparation.learn(table, numeric=["amount"], nominal=["mcc"])
X = preparation.matrix(table)
y = (table["amount"] > 40).to_numpy()
detector = LogisticRegression().fit(X, y, nominal=preparation.nominal_codes)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    schema = Schema(id="id", time="time", amount="amount", nominal=["mcc"], keys=["card"])
    return Bundle(
        name="logistic_regression",
        schema=schema,
        groups=(FeatureGroup("velocity", Entity("card", "card").count(["1h", "1d"]), of=schema),),
        preparation=preparation,
        calibration=Calibration(1.5, -0.25),
        conditions=(),
        policy={"review_at": 0.5},
        metrics={"auc": 0.75},
        fingerprint="f" * 64,
        model=detector.to_onnx().SerializeToString(),
    )


def test_what_goes_in_comes_out(bundle: Bundle, tmp_path: Path) -> None:
    saved = save(bundle, tmp_path / "bundle")
    assert saved == load(tmp_path / "bundle")
    assert saved.groups[0].definitions == bundle.groups[0].definitions
    assert replace(saved, groups=bundle.groups, created="", digest="") == bundle
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_bundle_replaces_a_bundle_but_nothing_else(bundle: Bundle, tmp_path: Path) -> None:
    first = save(bundle, tmp_path / "bundle")
    second = save(replace(bundle, name="other"), tmp_path / "bundle")
    assert (first.name, second.name) == ("logistic_regression", "other")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is no bundle"):
        save(bundle, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    for name, to in (("link", "bundle"), ("dangling", "nowhere")):
        (tmp_path / name).symlink_to(to)
        with pytest.raises(BundleError, match="is a symbolic link; name the folder itself"):
            save(bundle, tmp_path / name)
    assert load(tmp_path / "link") == second


@pytest.mark.parametrize(
    "name",
    ["model.onnx", "schema.json", "features.json", "inputs.json", "policy.json", "metrics.json"],
)
def test_an_altered_file_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    save(bundle, tmp_path / "bundle")
    path = tmp_path / "bundle" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"`{name}` is not the file the bundle was made with"):
        load(tmp_path / "bundle")
    path.unlink()
    with pytest.raises(BundleError, match=f"a file `{name}`, found none"):
        load(tmp_path / "bundle")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json`, found none"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="expected JSON"):
        load(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(BundleError, match="expected a bundle of format 2, got 99; train it again"):
        load(tmp_path)
    with pytest.raises(BundleError, match=r"expected the folder of a bundle, .*, got a file"):
        load(tmp_path / "manifest.json")


def test_a_model_that_scores_otherwise_is_not_packaged() -> None:
    model = detector.to_onnx().SerializeToString()
    check_model(model, X, detector.score(X))
    with pytest.raises(BundleError, match=r"differs from the detector by up to 1\.0e-03"):
        check_model(model, X, detector.score(X) + 1e-3)
    with pytest.raises(BundleError, match="differs"):
        check_model(model, X, np.full(len(X), np.nan))
