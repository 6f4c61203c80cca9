"""Models for other servers: MLflow and TensorFlow give our probabilities, without Shroff."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from typer.testing import CliRunner

from commands import answer
from patience import until
from serve.fixtures import PREPARATION, make_bundle
from shroff.arrays import Floats
from shroff.cli import app
from shroff.decide.model import Model
from shroff.detect import GAN, MLP, DeepSVDD, Detector, LogisticRegression, Preparation
from shroff.detect.preparation import Numeric
from shroff.errors import BundleError
from shroff.package import Bundle, save, write_pyfunc, write_saved_model

NUMERIC = [one.name for one in PREPARATION.numeric]
NOMINAL = [one.name for one in PREPARATION.nominal]
ROWS = 400

TENSORFLOW_ALONE = """
import json, sys
sys.modules["shroff"] = None  # an import of it fails
import numpy as np, tensorflow as tf
rows = json.load(sys.stdin)
for place in sys.argv[1:]:
    serve = tf.saved_model.load(place).signatures["serving_default"]
    inputs = {name: tf.constant(values, tf.string if isinstance(values[0], str) else tf.float64)
              for name, values in rows.items()}
    print(json.dumps(serve(**inputs)["probability"].numpy().tolist()))
"""


def made_rows() -> pl.DataFrame:
    """Features as `shroff features` writes them: numbers missing, huge and tiny, texts that
    training saw, and others.
    """
    random = np.random.default_rng(0)
    numbers = {
        one.name: one.mean + one.std * random.standard_cauchy(ROWS) for one in PREPARATION.numeric
    }
    texts = {
        one.name: random.choice([*one.values[:2], "another", ""], ROWS)
        for one in PREPARATION.nominal
    }
    missing = random.random((ROWS, len(NUMERIC) + len(NOMINAL))) < 0.1
    return pl.DataFrame(numbers | texts).with_columns(
        pl.when(pl.Series(missing[:, at])).then(None).otherwise(
            pl.col(name) if name in NUMERIC else pl.col(name).replace("", None)
        ).alias(name)
        for at, name in enumerate([*NUMERIC, *NOMINAL])
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return made_rows()


def fitted(detector: Detector, rows: pl.DataFrame, folder: Path) -> Bundle:
    """The bundle of a detector that learned the rows, in `folder`."""
    X = PREPARATION.matrix(rows)
    fraud = np.nan_to_num(X[:, 0]) > 0.5
    detector.fit(X, fraud, nominal=PREPARATION.nominal_codes)
    graph = detector.to_onnx().SerializeToString()
    return save(make_bundle(graph, name=detector.name, created="20240102T030405Z"), folder)


def probabilities(bundle: Bundle, rows: pl.DataFrame) -> Floats:
    """What the service gives."""
    model = Model(bundle.model, bundle.preparation)
    return bundle.calibration.probability(model.score(bundle.preparation.matrix(rows)))


def test_a_model_server_of_mlflow_gives_our_probabilities_to_the_bit(
    rows: pl.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    bundle = fitted(LogisticRegression(), rows, tmp_path / "bundle")
    made = answer(
        "package", tmp_path / "bundle", "--flavour", "pyfunc", "--out", tmp_path / "model"
    )
    assert made["version"] == bundle.version
    (tmp_path / "uvicorn").write_text(f'#!/bin/sh\nexec {sys.executable} -m uvicorn "$@"\n')
    (tmp_path / "uvicorn").chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("models", "serve", "-m", tmp_path / "model", "--env-manager", "local", "-p", port)
    log = tmp_path / "serve.log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "mlflow", *map(str, words)],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "HOME": str(tmp_path),
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            stdout=file,
            stderr=file,
        ) as process,
    ):
        try:
            until(lambda: answered(port), said=log.read_text)
            got = asked(port, {"columns": rows.columns, "data": [list(row) for row in rows.rows()]})
        finally:
            process.terminate()
    assert got == probabilities(bundle, rows).tolist()


def answered(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def asked(port: int, table: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"dataframe_split": table}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


def test_the_packaged_loader_needs_nothing_of_ours_and_says_what_a_table_lacks(
    rows: pl.DataFrame, tmp_path: Path
) -> None:
    bundle = fitted(MLP(epochs=2, hidden=(8,)), rows, tmp_path / "bundle")
    write_pyfunc(bundle, tmp_path / "model")
    rows.write_parquet(tmp_path / "rows.parquet")
    done = subprocess.run(
        [sys.executable, "-c", PANDAS_ALONE, tmp_path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    alone, *wrong = done.stdout.splitlines()
    assert json.loads(alone) == probabilities(bundle, rows).tolist()
    assert wrong == [
        "expected a table with the column `amount`, got one without it.",
        "expected numbers in the column `amount`.",
    ]
    again = write_pyfunc(bundle, tmp_path / "again")
    files = [one.relative_to(again) for one in sorted(again.rglob("*")) if one.is_file()]
    assert all(
        (again / one).read_bytes() == (tmp_path / "model" / one).read_bytes() for one in files
    )


PANDAS_ALONE = """
import json, sys
sys.modules["shroff"] = None
sys.path.insert(0, sys.argv[1] + "/model/code")
import pandas as pd
from shroff_portable.pyfunc import _load_pyfunc
model = _load_pyfunc(sys.argv[1] + "/model/data")
rows = pd.read_parquet(sys.argv[1] + "/rows.parquet")
print(json.dumps(model.predict(rows[rows.columns[::-1]]).tolist()))
for wrong in (rows.drop(columns="amount"), rows.assign(amount="12,50")):
    try:
        model.predict(wrong)
    except ValueError as error:
        print(error)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tensorflow_alone_gives_our_probabilities(rows: pl.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    detectors = [
        MLP(epochs=2, hidden=(8,)),
        GAN(epochs=1, n_neurons=8),
        DeepSVDD(epochs=1, n_neurons=8, scaling="quantile"),
    ]
    bundles = [fitted(one, rows, tmp_path / one.name) for one in detectors]
    places = [write_saved_model(one, tmp_path / "models") for one in bundles]
    assert places[0] == tmp_path / "models" / "mlp" / "20240102030405"
    given = {
        name: rows[name].fill_null(float("nan") if name in NUMERIC else "").to_list()
        for name in rows.columns
    }
    done = subprocess.run(
        [sys.executable, "-c", TENSORFLOW_ALONE, *places],
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for bundle, line in zip(bundles, done.stdout.splitlines(), strict=True):
        np.testing.assert_allclose(json.loads(line), probabilities(bundle, rows), rtol=0, atol=1e-6)
    request = warmup(places[0])
    assert (request.model_spec.name, request.model_spec.signature_name) == (
        "mlp",
        "serving_default",
    )
    assert set(request.inputs) == set(rows.columns)


def warmup(place: Path) -> Any:
    """The request to warm up, read by messages that are declared as TensorFlow Serving's are."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="w", syntax="proto3")
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)
    kind = descriptor_pb2.FieldDescriptorProto
    optional, repeated = kind.LABEL_OPTIONAL, kind.LABEL_REPEATED

    def message(name: str, *fields: tuple[str, int, str | None, Any]) -> None:
        made = file.message_type.add(name=name)
        for field, number, of, label in fields:
            type_ = kind.TYPE_STRING if of is None else kind.TYPE_MESSAGE
            made.field.add(name=field, number=number, type=type_, type_name=of, label=label)

    message("ModelSpec", ("name", 1, None, optional), ("signature_name", 3, None, optional))
    message("PredictRequest", ("model_spec", 1, ".w.ModelSpec", optional),
            ("inputs", 2, ".w.PredictRequest.InputsEntry", repeated))  # fmt: skip
    entry = file.message_type[-1].nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=optional)
    entry.field.add(name="value", number=2, type=kind.TYPE_MESSAGE, label=optional,
                    type_name=".tensorflow.TensorProto")  # fmt: skip
    message("PredictLog", ("request", 1, ".w.PredictRequest", optional))
    message("PredictionLog", ("predict_log", 6, ".w.PredictLog", optional))
    pool = descriptor_pool.Default()
    pool.Add(file)
    log = message_factory.GetMessageClass(pool.FindMessageTypeByName("w.PredictionLog"))
    records = tf.data.TFRecordDataset(str(place / "assets.extra" / "tf_serving_warmup_requests"))
    (content,) = [one.numpy() for one in records]
    return log.FromString(content).predict_log.request


def test_what_has_no_place_there_is_refused_with_the_way_that_has(
    bundle_folder: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    from shroff.detect import BoostedTrees

    trees = fitted(BoostedTrees(), rows, tmp_path / "trees")
    with pytest.raises(BundleError, match=r"`boosted_trees` is no network .* `--flavour pyfunc`"):
        write_saved_model(trees, tmp_path / "models")
    rules = make_bundle(trees.model, conditions=("amount > 5",), name="rules")
    with pytest.raises(BundleError, match="`rules` reads SQL conditions"):
        write_pyfunc(rules, tmp_path / "rules")
    odd = Preparation(numeric=(Numeric("Amount (EUR)"),))
    with pytest.raises(
        BundleError, match=r"the input `Amount \(EUR\)` has a name that no signature"
    ):
        write_saved_model(make_bundle(trees.model, preparation=odd), tmp_path / "models")
    assert not (tmp_path / "models").exists()
    words = ["package", str(bundle_folder), "--flavour", "pyfunc", "--out", str(tmp_path / "trees")]
    done = CliRunner().invoke(app, words)
    assert "trees is there already" in str(done.exception)
