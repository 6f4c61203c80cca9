"""The house as a whole: its public face, what importing it loads, and what its README shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shroff

HEAVY = ("keras", "tensorflow", "torch", "pyspark", "redis", "mlflow", "lightgbm", "sklearn", "polars", "numba", "onnx")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_public_name_is_there() -> None:
    assert list(shroff.__all__) == sorted(shroff.__all__)
    assert set(dir(shroff)) == set(shroff.__all__)
    for name in shroff.__all__:
        assert getattr(shroff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = shroff.nonsense


def test_importing_shroff_loads_nothing_heavy() -> None:
    assert loaded_by("import shroff") & set(HEAVY) == set()


def test_definitions_load_no_training_library() -> None:
    statement = "from shroff import Cost, Entity, FeatureGroup, Policy, Project, Rule, Schema, calendar, sql"
    training = {"keras", "tensorflow", "torch", "pyspark", "redis", "mlflow", "lightgbm", "sklearn", "onnx"}
    assert loaded_by(statement) & training == set()
