"""Records of runs: what they say of a run that goes on, ends, fails or is killed, and what differs
between two.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from commands import answer
from commands import run as command
from patience import until
from shroff.errors import BadFile, DataError, NotFound
from shroff.experiment import RunRecord, Runs, differences

FOREVER = """
import sys, time
from pathlib import Path
from shroff.experiment import Runs
with Runs(Path(sys.argv[1])).begin({}, {}):
    print("begun", flush=True)
    time.sleep(600)
"""


def test_a_run_is_seen_while_it_runs_and_how_it_ended(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    with runs.begin({"tune": 0}, {}) as recording:
        assert runs.status(runs.find(recording.record.run)) == "running"
        step = recording.timing(lambda name: None)
        step("read")
        step("train")
        recording.figures = {"best": "rules"}
    (record,) = runs.all()
    assert (runs.status(record), record.figures, list(record.seconds)) == (
        "finished",
        {"best": "rules"},
        ["read", "train"],
    )
    with pytest.raises(DataError), runs.begin({}, {}):
        raise DataError("expected a label, got none.")
    failed = runs.all()[-1]
    assert (runs.status(failed), failed.failure) == ("failed", "expected a label, got none.")
    assert runs.latest() == record


def test_a_killed_run_is_seen_as_such(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOREVER, tmp_path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        runs = Runs(tmp_path)
        (record,) = runs.all()
        assert runs.status(record) == "running"
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: runs.status(record) == "killed")
    with pytest.raises(NotFound, match="no finished run"):
        runs.latest()


def test_a_run_is_found_by_how_its_name_begins(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    names = []
    for _ in range(2):
        with runs.begin({}, {}) as recording:
            names.append(recording.record.run)
    assert runs.find(names[0]).run == names[0]
    with pytest.raises(NotFound, match="2 runs whose names begin with `20`"):
        runs.find("20")
    with pytest.raises(NotFound, match="has no run `nonsense`; `shroff runs list`"):
        runs.find("nonsense")
    (tmp_path / names[0] / "run.json").write_text("{}")
    with pytest.raises(BadFile, match="expected the record of a run"):
        runs.find(names[0])


def _write_bad_records(runs: Runs) -> list[str]:
    """Records that nobody could have written, beside one good run; and their names."""
    with runs.begin({}, {}) as recording:
        recording.figures = {"best": "rules"}
    good = json.loads((runs.folder / recording.record.run / "run.json").read_bytes())
    for name, record in {
        "empty": "{}",
        "deep": "[" * 100_000,
        "other": json.dumps(good),
        "cut": json.dumps(good)[:50],
    }.items():
        (runs.folder / name).mkdir()
        (runs.folder / name / "run.json").write_text(record)
    (runs.folder / "pipe").mkdir()
    os.mkfifo(runs.folder / "pipe" / "run.json")
    (runs.folder / "link").mkdir()
    (runs.folder / "link" / "run.json").symlink_to("/dev/zero")
    return ["cut", "deep", "empty", "link", "other", "pipe"]


def test_bad_records_hide_no_good_one(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    bad = _write_bad_records(runs)
    records, unreadable = runs.scan()
    assert unreadable == bad
    assert runs.latest() == records[0]
    assert len(records) == 1
    for name in bad:
        with pytest.raises(BadFile, match=f"{name}/run.json: "):
            runs.find(name)


def test_a_lock_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    with runs.begin({}, {}) as recording:
        written = (recording.folder / "run.json").read_bytes()
    (recording.folder / "run.json").write_bytes(written)
    (recording.folder / "lock").unlink()
    os.mkfifo(recording.folder / "lock")
    assert runs.status(runs.find(recording.record.run)) == "killed"


def test_a_record_without_its_parts_is_listed_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    _write_bad_records(Runs(folder))
    lacking: dict[str, dict[str, Any]] = {
        "figures": {"figures": {"best": "rules"}},
        "inputs": {"inputs": {"data": {}}},
        "machine": {"machine": {}},
        "types": {"figures": {"best": ["rules"]}},
        "bundle": {"bundle": {}},
    }
    for name, parts in lacking.items():
        (folder / name).mkdir()
        record: dict[str, Any] = {
            "run": name,
            "began": "",
            "parameters": {},
            "inputs": {},
            "code": {},
        }
        machine = {"system": "x", "cores": 2}
        (folder / name / "run.json").write_text(json.dumps(record | {"machine": machine} | parts))
    rows = answer("runs", "list", home=tmp_path)["runs"]
    assert len(rows) == 7 + len(lacking)
    assert sum(row["status"] == "unreadable" for row in rows) >= 6 + 4
    command("runs", "list", home=tmp_path)
    # the name of a file is shown in the list only
    for name in lacking.keys() - {"inputs"}:
        with pytest.raises(BadFile, match=rf"{name}: the figures are not as this release"):
            command("runs", "show", name, home=tmp_path)


def test_what_a_record_says_commands_no_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07[/red]\x9b2J\u202e"
    record = RunRecord(
        run="evil",
        began=evil,
        parameters={"a": evil, evil: 1},
        inputs={"data": {"file": evil, "sha256": evil}, evil: {"source": evil}},
        code={evil: evil},
        machine={"system": evil, "cores": evil},
        seconds={evil: 1.0},
        failure=evil,
        ended=evil,
        bundle={"folder": evil, "version": evil},
    )
    for name in ("evil", "evil\x1b[2J"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        written = msgspec.json.encode(structs.replace(record, run=name))
        (tmp_path / "runs" / name / "run.json").write_bytes(written)
    for words in (("list",), ("show", "evil"), ("compare", "evil", "evil\x1b")):
        printed = command("runs", *words, home=tmp_path)
        assert all(one == "\n" or one.isprintable() for one in printed), words


def test_a_run_prints_as_one_line(tmp_path: Path) -> None:
    with Runs(tmp_path).begin({}, {}) as recording:
        recording.figures = {"best": "rules", "detectors": {"rules": {"test": list(range(9_999))}}}
        recording.bundle = {"folder": "b", "version": "v1", "content": "0"}
    (record,) = Runs(tmp_path).all()
    best = "best='rules', version='v1'"
    assert repr(record) == f"RunRecord(run={record.run!r}, state='done', {best})"


def test_only_what_differs_is_a_difference(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for rows, better in ((10, 0.5), (20, 0.5)):
        with runs.begin({"tune": 0}, {"data": {"bytes": rows}}) as recording:
            recording.figures = {"detectors": {"rules": {"test": {"recall": better}}}}
            recording.bundle = {"folder": str(rows), "version": str(rows), "content": "same"}
    assert differences(*runs.all()) == {"inputs.data.bytes": (10, 20)}


def test_a_changed_parameter_of_a_detector_is_one_difference(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for rounds in (200, 300):
        trees = [{"name": "boosted_trees", "rounds": each} for each in (100, rounds)]
        with runs.begin({"detectors": [{"name": "rules"}, *trees]}, {}):
            pass
    assert differences(*runs.all()) == {"parameters.detectors.boosted_trees-2.rounds": (200, 300)}


def test_no_difference_is_shown_as_two_equal_texts(tmp_path: Path) -> None:
    """Long names and values are not cut, and numbers have the digits in which they differ."""
    long = "card_count_1h_where_result_eq_failed_and_amount_gt_500"
    name = "expected_calibration_error_of_payments_with_a_very_long_name"
    runs = Runs(tmp_path / "runs")
    for figure, inputs in ((0.12345678, ["amount"]), (0.12345679, ["amount", long])):
        with runs.begin({}, {}) as recording:
            recording.figures = {"inputs": inputs, "detectors": {"rules": {name: figure}}}
    one, other = runs.all()
    shown = command("runs", "compare", one.run, other.run, home=tmp_path)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    whole = ["".join(column) for column in zip(*filter(None, cells), strict=True)]
    assert f"figures.detectors.rules.{name}" in whole[0]
    assert "0.12345678" in whole[1]
    assert "0.12345679" in whole[2]
    assert long in whole[2]
    assert "amount" not in whole[1]


def test_records_are_for_their_owner_only(tmp_path: Path, any_umask: None) -> None:
    with Runs(tmp_path / "runs").begin({}, {}) as recording:
        folder = recording.folder
    assert (folder.stat().st_mode & 0o777, (folder / "run.json").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_records_are_read_without_what_trains(tmp_path: Path) -> None:
    code = (
        "import sys; from shroff.cli import app; app(['runs', 'list'], standalone_mode=False);"
        "print({'sklearn', 'scipy', 'numba', 'pandas', 'lightgbm'} & sys.modules.keys())"
    )
    home = os.environ | {"SHROFF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=home, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
