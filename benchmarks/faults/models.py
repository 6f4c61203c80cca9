"""Faults of what is published: bundles that are evil, models that do not end or give no number."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from benchmarks.fuzz import bundles
from serve.fixtures import fitted_model, make_bundle
from shroff.control.models import Models
from shroff.control.pointers import Signature
from shroff.detect import Calibration
from shroff.errors import ShroffError
from shroff.package import load as load_bundle
from shroff.package import save

_EVIL: Final = 15
_SPOILERS: Final = (
    bundles.manifests,
    bundles.graphs,
    bundles.protobufs,
    bundles.files,
    bundles.folders,
)


def evil(place: Place) -> Verdict:
    """Publish spoilt bundles under load, and then a good one."""
    models = Models(place.folder / "models")
    models.publish(place.bundle)

    def happen(_: Service, load: Load) -> str:
        refused = 0
        for number in range(_EVIL):
            case = place.folder / f"evil-{number}"
            shutil.copytree(place.bundle, case)
            _SPOILERS[number % len(_SPOILERS)](Random(number), case)
            try:
                models.publish(case, accept_schema=True)
            except ShroffError:
                refused += 1
            load.wait(50)
        _publish_good(models, place, load)
        return (
            f"{_EVIL} spoilt bundles, {refused} refused by `publish`; then a good one, which "
            "decides"
        )

    return place.suffer("evil bundle", happen, published=True)


def endless(place: Place) -> Verdict:
    """Publish a model that does not end, and put it into production past `publish`."""
    return _forced(place, "endless model", endless_model)


def no_number(place: Place) -> Verdict:
    """Publish a model that gives no number, and put it into production past `publish`."""
    return _forced(place, "model without numbers", model_without_numbers)


def _forced(place: Place, fault: str, make: Callable[[], bytes]) -> Verdict:
    models = Models(place.folder / "models")
    models.publish(place.bundle)
    bad = place.folder / "bad"
    save(make_bundle(make()), bad)

    def happen(service: Service, load: Load) -> str:
        try:
            models.publish(bad)
        except ShroffError as error:
            said = str(error)
        else:
            raise RuntimeError("it is published as if it were well")
        load.wait(50)
        before = len(service.log)
        _point(models, bad)
        load.until(lambda: " warning: " in service.log[before:])
        load.wait(50)
        _publish_good(models, place, load)
        return (
            f"`publish` refuses it (“{said[:60]}…”); put in place by hand, the service keeps "
            "its model; a good one"
        )

    return place.suffer(fault, happen, published=True)


def _point(models: Models, bundle: Path) -> None:
    """Put a bundle into production as somebody would who can write the folder."""
    version = load_bundle(bundle).version
    shutil.copytree(bundle, models.folder / "versions" / version)
    pointers = models.pointers.with_model("publish", version, None, Signature())
    draft = models.folder / "draft"
    draft.write_bytes(msgspec.json.encode(pointers))
    draft.rename(models.folder / "pointers.json")


def _publish_good(models: Models, place: Place, load: Load) -> None:
    good = place.folder / "good"
    save(make_bundle(fitted_model(), calibration=Calibration(1.0, -0.7)), good)
    version = models.publish(good).version.encode()
    load.until(lambda: version in load.told.last)


def endless_model() -> bytes:
    """A loop of 2^62 steps around a sum."""
    one = helper.make_tensor_value_info("step", TensorProto.INT64, [])
    whether = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    still = helper.make_tensor_value_info("still", TensorProto.BOOL, [])
    before = helper.make_tensor_value_info("before", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("after", TensorProto.FLOAT, None)
    steps = [
        helper.make_node("Identity", ["on"], ["still"]),
        helper.make_node("Neg", ["before"], ["after"]),
    ]
    body = helper.make_graph(steps, "body", [one, whether, before], [still, after])
    nodes = [
        helper.make_node("ReduceSum", ["X", "axes"], ["sum"], keepdims=0),
        helper.make_node("Loop", ["count", "true", "sum"], ["score"], body=body),
    ]
    constants = {"axes": np.array([1]), "count": np.array(2**62), "true": np.array(True)}
    return _model(nodes, constants)


def model_without_numbers() -> bytes:
    """A sum times no number."""
    nodes = [
        helper.make_node("ReduceSum", ["X", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "none"], ["score"]),
    ]
    return _model(nodes, {"axes": np.array([1]), "none": np.array(np.nan, dtype=np.float32)})


def _model(nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 10])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
