"""A bundle as a SavedModel for TensorFlow Serving: `NAME/VERSION/`, with a request to warm up.

Its signature `serving_default` takes a tensor per feature, float64 or string, [rows], and gives
`probability`, float64 [rows]: preparation, network and calibration are in the graph, so that
TensorFlow needs nothing of ours. A missing number is NaN, a missing text empty.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from shroff.detect.preparation import MISSING, Nominal, Numeric
from shroff.errors import BundleError, MissingExtra, one_line
from shroff.package.bundle import Bundle
from shroff.package.draft import drafted, require_absent, require_features
from shroff.package.tensorflow_ops import Tensor, TensorflowScore

SIGNATURE: Final = "serving_default"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write_saved_model(bundle: Bundle, folder: Path) -> Path:
    """Write a network's SavedModel below a folder of models; returns its folder.

    Raises:
        BundleError: this version is there already, the model is no network, or an input has a name
            that TensorFlow does not take.
        MissingExtra: TensorFlow is not installed.
    """
    require_features(bundle)
    _require_names(bundle)
    place = folder / bundle.name / "".join(filter(str.isdigit, bundle.created))
    require_absent(place)
    score = TensorflowScore(bundle.model, bundle.name)
    tf = _tensorflow()  # last, as it takes seconds to load
    with drafted(place) as draft:
        module = _module(tf, bundle, score)
        tf.saved_model.save(module, str(draft), signatures={SIGNATURE: module.serve})
        (draft / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(
            str(draft / "assets.extra" / "tf_serving_warmup_requests")
        ) as out:
            out.write(_warmup(tf, bundle))
    return place


def _require_names(bundle: Bundle) -> None:
    for name in bundle.preparation.names:
        if not _NAME.fullmatch(name) or name == "self":
            raise BundleError(
                f"the input `{one_line(name)}` has a name that no signature of TensorFlow takes "
                "(expected a letter, then letters, digits and `_`): package it with `--flavour "
                "pyfunc`."
            )


def _tensorflow() -> Any:
    # silences TensorFlow's notices on standard error; must be set before it loads
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tf = import_module("tensorflow")
    except ImportError as error:
        raise MissingExtra(
            "a SavedModel is written with TensorFlow: `pip install 'shroff[deep]'`."
        ) from error
    tf.get_logger().setLevel("ERROR")
    return tf


def _module(tf: Any, bundle: Bundle, score: TensorflowScore) -> Any:
    preparation, calibration = bundle.preparation, bundle.calibration
    module = tf.Module()
    # kept in the module: a function that is saved must find its tables there
    module.tables = [_table(tf, one) for one in preparation.nominal]

    def serve(features: dict[str, Tensor]) -> dict[str, Tensor]:
        columns = [_scaled(tf, features[one.name], one) for one in preparation.numeric]
        for one, table in zip(preparation.nominal, module.tables, strict=True):
            text = features[one.name]
            codes = table.lookup(tf.where(tf.equal(text, ""), tf.constant(MISSING), text))
            columns.append(tf.cast(codes, tf.float32))
        scores = tf.cast(score(tf, tf.stack(columns, axis=1)), tf.float64)
        return {"probability": tf.sigmoid(calibration.a * scores + calibration.b)}

    specs = {
        one.name: tf.TensorSpec([None], tf.float64 if kind is Numeric else tf.string, one.name)
        for kind, inputs in ((Numeric, preparation.numeric), (Nominal, preparation.nominal))
        for one in inputs
    }
    module.serve = tf.function(serve, input_signature=[specs], autograph=False)
    return module


def _scaled(tf: Any, values: Tensor, one: Numeric) -> Tensor:
    return tf.cast((values - one.mean) / one.std, tf.float32)


def _table(tf: Any, one: Nominal) -> Any:
    codes = np.arange(1, len(one.values) + 1, dtype=np.int64)
    entries = tf.lookup.KeyValueTensorInitializer(tf.constant(one.values, tf.string), codes)
    return tf.lookup.StaticHashTable(entries, default_value=0)


def _warmup(tf: Any, bundle: Bundle) -> bytes:
    """A `PredictionLog` with one usual payment; TensorFlow Serving's `prediction_log.proto`,
    `predict.proto` and `model.proto` number the fields.
    """
    row: dict[str, Any] = {
        **{one.name: np.array([one.mean]) for one in bundle.preparation.numeric},
        **{one.name: np.array([[*one.values, ""][0]]) for one in bundle.preparation.nominal},
    }
    inputs = b"".join(
        _field(2, _field(1, name.encode()) + _field(2, _tensor(tf, value)))
        for name, value in row.items()
    )
    spec = _field(1, bundle.name.encode()) + _field(3, SIGNATURE.encode())
    request = _field(1, spec) + inputs
    return _field(6, _field(1, request))


def _tensor(tf: Any, value: Any) -> bytes:
    return bytes(tf.make_tensor_proto(value, shape=[1]).SerializeToString())


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, as protocol buffers write one."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
