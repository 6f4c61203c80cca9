"""The house as a whole: its public face, what importing it loads, and what its README shows."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import shroff
from longest import LONGEST, TESTS, sort_longest_first

SILENCING = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """Their top-level names."""
    return {name.split(".")[0] for name in modules}


def test_every_public_name_is_there() -> None:
    assert list(shroff.__all__) == sorted(shroff.__all__)
    assert set(dir(shroff)) == set(shroff.__all__)
    for name in shroff.__all__:
        assert getattr(shroff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = shroff.nonsense


def test_importing_shroff_loads_two_small_modules_and_the_standard_library() -> None:
    """What is loaded does not depend on how busy the machine is, as the time does."""
    more = loaded_by("import shroff") - loaded_by("pass")
    assert {name for name in more if name.split(".")[0] not in sys.stdlib_module_names} == {
        "shroff",
        "shroff.lazy",
    }
    assert len(more) < 60


@pytest.mark.parametrize(
    "statement", ["import shroff.decide.model", "import shroff.portable.pyfunc"]
)
def test_onnx_runtime_reports_to_nobody(statement: str, tmp_path: Path) -> None:
    """It makes a number of the machine when it loads, unless it is told not to."""
    told = {name: value for name, value in os.environ.items() if name not in SILENCING}
    code = f"{statement}; import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=told | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
    assert [file for file in tmp_path.rglob("*") if "onnxruntime" in file.name] == []


def test_a_model_is_tried_by_a_process_that_loads_little() -> None:
    ours = {name for name in loaded_by("import shroff.sandbox.__main__") if "shroff" in name}
    assert {name for name in ours if not name.startswith("shroff.sandbox")} == {
        "shroff",
        "shroff.lazy",
    }


def test_showing_findings_loads_neither_what_trains_nor_what_checks_detectors() -> None:
    found = packages(loaded_by("import shroff.evaluate.report"))
    assert "shroff" in found
    assert found & {"sklearn", "scipy", "lightgbm", "onnx", "onnxruntime", "numba"} == set()


def test_definitions_load_no_training_library() -> None:
    statement = (
        "from shroff import Cost, Entity, FeatureGroup, Policy, Project, Rule, Schema, "
        "calendar, sql"
    )
    training = {
        "keras",
        "tensorflow",
        "torch",
        "pyspark",
        "redis",
        "mlflow",
        "lightgbm",
        "sklearn",
        "onnx",
    }
    assert packages(loaded_by(statement)) & training == set()


def test_serving_loads_polars_when_it_is_given_a_table() -> None:
    loaded = loaded_by("import shroff.cli.service, shroff.kafka.figures, shroff.serve.server")
    assert "polars.dataframe" not in loaded
    # each takes a start longer than all of a state: a terminal, a server that is not used, a split
    assert "sqlalchemy.dialects.postgresql" not in loaded
    assert packages(loaded) & {"rich", "redis", "psycopg"} == set()
    assert {"shroff.evaluate.split", "shroff.features.engines.online.redis"} & loaded == set()
    assert "polars.dataframe" in loaded_by("import shroff.serve.server, polars; polars.DataFrame")


def test_a_deferred_package_is_loaded_once_and_whole_for_all_threads() -> None:
    """Half of it would be an `AttributeError` in the thread that comes second."""
    statement = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from shroff.lazy import deferred\n"
        "deferred('polars')\n"
        "import polars\n"
        "assert 'DataFrame' not in vars(polars)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda name: getattr(polars, name), ['DataFrame', 'len'] * 4))\n"
        "assert found == [polars.DataFrame, polars.len] * 4\n"
        "from polars.testing import assert_frame_equal\n"
        "polars.testing"
    )
    assert "polars.testing" in loaded_by(statement)
    within = "from shroff.lazy import deferred; deferred('polars'); import polars.testing"
    assert "polars.dataframe" in loaded_by(within), "what is within a package needs the package"


def test_help_loads_no_command() -> None:
    statement = (
        "import contextlib, io, shroff.cli; sys.argv[1:] = ['--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    shroff.cli.main()\n"
    )
    ours = {name for name in loaded_by(statement) if name.startswith("shroff.cli")}
    assert ours == {"shroff.cli", "shroff.cli.commands"}
    assert packages(loaded_by(statement)) & {"rich", "polars", "sqlalchemy", "sqlglot"} == set()


def test_the_longest_files_are_there_and_come_first(request: pytest.FixtureRequest) -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    items = list(request.session.items)
    sort_longest_first(items)
    assert sorted(item.nodeid for item in items) == sorted(
        item.nodeid for item in request.session.items
    )
    # the tests of a file stay together, in their order
    paths = [path for path, _ in groupby(items, key=lambda item: item.path)]
    assert len(paths) == len(set(paths))
