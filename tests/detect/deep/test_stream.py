"""Rows larger than memory: a detector learns in chunks, in bounded memory; two workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from patience import PATIENCE
from servers import free_port
from shroff.arrays import Labels, Matrix
from shroff.detect import GAN, DeepSVDD
from shroff.detect.deep.inputs import Inputs
from shroff.detect.deep.stream import SAMPLE_ROWS, Parquet, Survey
from shroff.errors import BadFile, DataError


def rows(count: int, *, seed: int = 0) -> tuple[Matrix, Labels]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 4))
    fraud = rng.random(count) < 0.02
    X[fraud, :2] += 6.0
    X[rng.random(count) < 0.05, 2] = np.nan
    return np.column_stack([X, rng.integers(0, 3, count)]).astype(np.float32), fraud


def written(path: Path, count: int, *, seed: int = 0) -> Path:
    X, fraud = rows(count, seed=seed)
    frame = pl.DataFrame({f"x{at}": column for at, column in enumerate(X.T)}).fill_nan(None)
    frame.with_columns(label=pl.Series(fraud.astype(np.int8))).write_parquet(
        path, row_group_size=4_096
    )
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("stream") / "rows.parquet", 30_000)


def test_pieces_are_the_file(file: Path) -> None:
    X, fraud = rows(30_000)
    pieces = list(Parquet(file, chunk=7_000).chunks())
    assert [len(y) for _, y in pieces] == [7_000, 7_000, 7_000, 7_000, 2_000]
    assert np.array_equal(np.concatenate([x for x, _ in pieces]), X, equal_nan=True)
    assert np.array_equal(np.concatenate([y for _, y in pieces]), fraud)
    mixed = list(Parquet(file, chunk=7_000).chunks(order=np.random.default_rng(1)))
    assert sorted(len(y) for _, y in mixed) == [2_000, 7_000, 7_000, 7_000, 7_000]
    assert not np.array_equal(mixed[0][0], pieces[0][0], equal_nan=True)


@pytest.mark.parametrize("dtype", [pl.Boolean, pl.Float64, pl.UInt8])
def test_a_label_may_have_any_type_of_numbers(tmp_path: Path, dtype: pl.DataType) -> None:
    path = tmp_path / "rows.parquet"
    table = pl.DataFrame({"x": [1.0, 2.0], "label": pl.Series([0, 1]).cast(dtype)})
    table.write_parquet(path)
    ((_, labels),) = Parquet(path, chunk=2).chunks()
    assert labels.tolist() == [False, True]


def test_inputs_learned_in_pieces_are_those_of_the_whole(file: Path) -> None:
    X, _ = rows(30_000)
    whole, source = Inputs.learn(X, {4: 3}), Parquet(file, chunk=4_001)
    pieces = Inputs.over(lambda: (x for x, _ in source.chunks()), 5, {4: 3})
    assert np.allclose(pieces.mean, whole.mean, rtol=1e-12)
    assert np.allclose(pieces.inverse_std, whole.inverse_std, rtol=1e-12)
    assert (pieces.numeric, pieces.gaps) == (whole.numeric, whole.gaps)
    assert np.allclose(pieces.tables[4], whole.tables[4])


def test_the_sample_is_even(file: Path) -> None:
    X, fraud = rows(30_000)
    found = Survey.of(Parquet(file, chunk=4_096), {4: 3}, seed=0)
    assert (found.normal_rows, len(found.normal), len(found.fraud)) == (
        int((~fraud).sum()),
        SAMPLE_ROWS,
        int(fraud.sum()),
    )
    place = {row.tobytes(): at for at, row in enumerate(X)}
    places = np.array([place[row.tobytes()] for row in found.normal])
    assert np.all(np.diff(places) > 0)
    assert places.mean() == pytest.approx(15_000, rel=0.02)


@pytest.mark.parametrize(
    "detector",
    [
        GAN(epochs=1),
        DeepSVDD(epochs=1, scaling="quantile", contamination=0.02),
        GAN(epochs=1, scaling="surprise", contamination=0.02),
    ],
    ids=["gan", "deep_svdd", "gan of surprises"],
)
def test_a_file_several_times_the_buffer_is_learned(
    detector: GAN | DeepSVDD, file: Path, tmp_path: Path
) -> None:
    judged = written(tmp_path / "judged.parquet", 5_000, seed=1)
    found = detector.train_and_evaluate(Parquet(file, chunk=4_096), judged, nominal={4: 3})
    assert (found.rows, found.frauds) == (5_000, int(rows(5_000, seed=1)[1].sum()))
    assert found.roc_auc > 0.99


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="no such file"):
        GAN().train_and_evaluate(tmp_path / "none.parquet", tmp_path / "none.parquet")
    pl.DataFrame({"x": ["a"]}).write_parquet(tmp_path / "text.parquet")
    with pytest.raises(BadFile, match="expected numbers in column `x`"):
        GAN().train_and_evaluate(tmp_path / "text.parquet", tmp_path / "text.parquet")
    pl.DataFrame({"x": [1.0, 2.0], "label": [0, 2]}).write_parquet(tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="expected 0 or 1"):
        GAN().train_and_evaluate(tmp_path / "labels.parquet", tmp_path / "labels.parquet")


PEAKS = """
import sys
from pathlib import Path
from shroff.detect import DeepSVDD
from shroff.detect.deep.stream import Parquet
for path in sys.argv[1:]:
    source = Parquet(path, chunk=8_192)
    small = DeepSVDD(epochs=1, batch_size=4_096, n_centres=8, n_neurons=16, n_layers=1)
    small.train_and_evaluate(source, source)
    # not `ru_maxrss`, which begins with what the process that started this one had
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    print("peak", int(status["VmHWM"].split()[0]) // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    paths = []
    for count in (50_000, 600_000):
        rng = np.random.default_rng(0)
        columns = {f"x{at}": rng.standard_normal(count, np.float32) for at in range(40)}
        columns["label"] = (rng.random(count) < 0.01).astype(np.int8)
        paths.append(tmp_path / f"{count}.parquet")
        pl.DataFrame(columns).write_parquet(paths[-1], row_group_size=8_192)
        del columns
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, *map(str, paths)], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    few, many = (int(words[1]) for words in lines if words[0] == "peak")
    # 550,000 rows more are 88 MB as float32, twice as much in double precision
    assert many - few < 65, (few, many)


WORKER = """
import json, sys
from detect.deep.test_stream import rows
from shroff.detect import DeepSVDD
from shroff.detect.deep.stream import Parquet
judged = rows(2_000, seed=1)
detector = DeepSVDD(epochs=1, batch_size=1_024)
rows = Parquet(sys.argv[1], chunk=4_096)
found = detector.train_and_evaluate(rows, lambda: judged, nominal={4: 3})
print(json.dumps({"auc": found.roc_auc, "scores": detector.score(judged[0][:20]).tolist()}))
"""


def test_two_workers_learn_one_network(file: Path) -> None:
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    workers = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        environment = os.environ | {
            "TF_CONFIG": config,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        words, pipe = [sys.executable, "-c", WORKER, str(file)], subprocess.PIPE
        workers.append(
            subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True)
        )
    try:
        ends = [worker.communicate(timeout=PATIENCE) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], ends[0][1][-2_000:]
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in ends)
    assert first == second
    assert first["auc"] > 0.99
