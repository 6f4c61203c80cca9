"""The stage's public face, and what the serving process loads of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shroff.detect


def test_every_public_name_is_there() -> None:
    assert dir(shroff.detect) == sorted(shroff.detect.__all__)
    for name in shroff.detect.__all__:
        assert getattr(shroff.detect, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Boosted'"):
        _ = shroff.detect.Boosted


def test_serving_loads_no_training_library() -> None:
    program = (
        "import sys, shroff.detect.preparation, shroff.detect.calibration\nfrom shroff.detect "
        "import Calibration, Preparation\nPreparation.plain(['x']).vector({'x': 1.0}), "
        "Calibration(1.0, 0.0).one(0.5)\nheavy = {'sklearn', 'scipy', 'lightgbm', 'onnx', "
        "'polars', 'pandas'} & set(sys.modules)\nsys.exit(', '.join(sorted(heavy)) or 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
