"""Finished fits: what is kept of one is the fit, and it stands only for what it follows from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiment.test_run import log, plan
from shroff import Cost
from shroff.detect import Blend, BoostedTrees, LogisticRegression, Rules
from shroff.errors import BadFile
from shroff.evaluate import RandomSplit
from shroff.experiment import Dataset, Run, train
from shroff.experiment.fits import Fits


def trained(
    folder: Path | None, *detectors: Any, data: Dataset, **given: Any
) -> tuple[Run, list[str]]:
    """A run and the detectors that it fitted."""
    steps: list[str] = []
    options: dict[str, Any] = {"cost": Cost(), "k": 3, **given}
    kept = None if folder is None else Fits(folder)
    run = train(data, detectors, RandomSplit(seed=1), fits=kept, progress=steps.append, **options)
    return run, [step.removeprefix("train ") for step in steps if step.startswith("train ")]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset.build(log(), plan, card="card")


def test_a_fit_that_is_kept_is_the_fit(tmp_path: Path, data: Dataset) -> None:
    detectors = (Rules(["amount > 80"]), LogisticRegression(), BoostedTrees(n_trees=30))
    fresh, made = trained(tmp_path, *detectors, data=data)
    again, remade = trained(tmp_path, *detectors, data=data)
    assert made == ["rules", "logistic_regression", "boosted_trees"]
    assert remade == []
    for one, other in zip(fresh.trained, again.trained, strict=True):
        assert replace(other, detector=one.detector, judged=one.judged) == one
        assert np.array_equal(other.judged, one.judged)
        graphs = [each.detector.to_onnx().SerializeToString() for each in (one, other)]
        assert graphs[0] == graphs[1]
        table = data.table if not one.detector.conditions else data.conditions(["amount > 80"], {})
        X = one.preparation.matrix(table[:100])
        assert np.allclose(other.detector.score(X), one.detector.score(X), rtol=1e-5)
    assert again.best.name == fresh.best.name


def test_what_a_search_found_is_kept_too(tmp_path: Path, data: Dataset) -> None:
    fresh, _ = trained(tmp_path, LogisticRegression(), data=data, tune=2)
    again, remade = trained(tmp_path, LogisticRegression(), data=data, tune=2)
    assert remade == []
    assert again.trained[0].tuning == fresh.trained[0].tuning is not None


def test_what_follows_from_something_else_is_fitted_again(tmp_path: Path, data: Dataset) -> None:
    def fitted(detector: Any, data: Dataset = data, **given: Any) -> bool:
        return bool(trained(tmp_path, detector, data=data, **given)[1])

    assert fitted(LogisticRegression())
    assert not fitted(LogisticRegression())
    assert fitted(LogisticRegression(C=2.0))
    assert fitted(Blend([LogisticRegression(), LogisticRegression(C=0.5)]))
    assert fitted(Blend([LogisticRegression(), LogisticRegression(C=0.25)]))
    assert not fitted(Blend([LogisticRegression(), LogisticRegression(C=0.25)]))
    assert fitted(LogisticRegression(), cost=Cost(review=1.0))
    assert fitted(LogisticRegression(), capacity=3)
    assert fitted(LogisticRegression(), thorough=True)
    assert fitted(LogisticRegression(), data=Dataset.build(log(1), plan, card="card"))
    # another order of payments
    turned = replace(data, table=data.table.reverse())
    assert fitted(LogisticRegression(), data=turned)


def test_a_fit_that_is_not_as_it_was_written_is_a_sentence(tmp_path: Path, data: Dataset) -> None:
    trained(tmp_path, LogisticRegression(), data=data)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    content = kept.read_bytes()
    # a changed figure, half a file, nothing
    for at in (0, 40, len(content) // 2, len(content) - 1):
        kept.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(BadFile, match="expected a finished fit, got a damaged one; remove it"):
            trained(tmp_path, LogisticRegression(), data=data)
    for changed in (content[:-9], b"", content + b" "):
        kept.write_bytes(changed)
        with pytest.raises(BadFile, match="got a damaged one"):
            trained(tmp_path, LogisticRegression(), data=data)
    kept.unlink()
    for make, got in ((os.mkfifo, "a named pipe"), (os.mkdir, "a folder")):
        make(kept)
        with pytest.raises(BadFile, match=f"expected a regular file, got {got}"):
            trained(tmp_path, LogisticRegression(), data=data)
        (kept.unlink if kept.is_fifo() else kept.rmdir)()
    kept.symlink_to("/dev/zero")
    with pytest.raises(BadFile, match="got a symbolic link"):
        trained(tmp_path, LogisticRegression(), data=data)
