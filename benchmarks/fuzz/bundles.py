"""Hostile bundles: published beside a service that runs, and loaded; each works or is refused in a
sentence.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import onnx
from onnx import numpy_helper

from benchmarks.fuzz.apart import Apart
from benchmarks.fuzz.neighbour import Neighbour
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.spoil import spoilt, spoilt_bytes
from benchmarks.fuzz.watch import Watch
from serve.fuzzable import fuzzable

_JSON: Final = (
    "schema.json",
    "features.json",
    "inputs.json",
    "policy.json",
    "thresholds.json",
    "metrics.json",
)
_OPERATORS: Final = (
    "Loop",
    "If",
    "Scan",
    "Expand",
    "Tile",
    "Range",
    "ConstantOfShape",
    "Identity",
    "Cast",
    "Nowhere",
)
_NUMBERS: Final = (float("nan"), float("inf"), -float("inf"), 3e38, 1e-45, 0.0)


def files(random: Random, bundle: Path) -> None:
    """Spoil any file, and leave the manifest as it was."""
    path = random.choice(sorted(bundle.iterdir()))
    path.write_bytes(spoilt_bytes(random, path.read_bytes()))


def manifests(random: Random, bundle: Path) -> None:
    """Spoil the manifest as JSON, or name other files in it."""
    path = bundle / "manifest.json"
    manifest = spoilt(random, json.loads(path.read_bytes()), random.choice((1, 1, 3)))
    if (
        random.random() < 0.3
        and isinstance(manifest, dict)
        and isinstance(manifest.get("files"), dict)
    ):
        name = random.choice(
            ("../x", "/etc/passwd", "x", "", "a/b", "manifest.json", "\x00", "x" * 300)
        )
        manifest["files"][name] = random.choice(("0" * 64, None, 5, ""))
    path.write_text(json.dumps(manifest))


def documents(random: Random, bundle: Path) -> None:
    """Spoil a file of JSON, and mend the manifest."""
    path = bundle / random.choice(_JSON)
    document = spoilt(random, json.loads(path.read_bytes()), random.choice((1, 1, 2, 5)))
    path.write_text(json.dumps(document))
    _mend(bundle)


def graphs(random: Random, bundle: Path) -> None:
    """Spoil the graph of the model: its nodes, numbers, shapes, names; and mend the manifest."""
    path = bundle / "model.onnx"
    model = onnx.load(path)
    for _ in range(random.choice((1, 1, 3))):
        random.choice((_node, _attribute, _initializer, _edge, _outside, _opset))(random, model)
    path.write_bytes(model.SerializeToString())
    _mend(bundle)


def protobufs(random: Random, bundle: Path) -> None:
    """Spoil the bytes of the model, and mend the manifest."""
    path = bundle / "model.onnx"
    path.write_bytes(spoilt_bytes(random, path.read_bytes()))
    _mend(bundle)


def folders(random: Random, bundle: Path) -> None:
    """Put in the place of a file what is none, or more beside it."""
    path = random.choice(sorted(bundle.iterdir()))
    content = path.read_bytes()
    path.unlink()
    random.choice(
        (
            lambda: None,
            path.mkdir,
            lambda: os.mkfifo(path),
            lambda: path.symlink_to("/dev/zero"),
            lambda: path.symlink_to(path),
            lambda: path.symlink_to("/etc/hostname"),
            lambda: (bundle / "other").write_bytes(content),
            lambda: path.with_name("\u202e").write_bytes(content),
            lambda: _endless(path),
        )
    )()


KINDS: Final[dict[str, Callable[[Random, Path], None]]] = {
    "bundle file": files,
    "bundle manifest": manifests,
    "bundle document": documents,
    "bundle graph": graphs,
    "bundle protobuf": protobufs,
    "bundle folder": folders,
}


def fuzz_bundles(
    home: Path, *, cases: int, seed: int, kinds: Sequence[str] = tuple(KINDS)
) -> Iterator[Outcome]:
    """Publish so many bundles, divided among the kinds, into the folder that a service with a
    neighbour follows.
    """
    rest = list(kinds)
    while rest:
        place = home / f"from-{rest[0].replace(' ', '-')}"
        with fuzzable(place) as (service, token), Apart("bundle", place) as apart:
            port, pid = service.address[1], service.process.pid
            with Neighbour(port, token, pid) as neighbour:
                watch, failed = Watch(pid, service.log, neighbour), False
                while rest and not failed:
                    kind = rest.pop(0)
                    with watch.over(kind) as seen:
                        for number in range(cases // len(kinds)):
                            case = place / "case"
                            shutil.copytree(place / "production", case)
                            KINDS[kind](Random(f"{seed} {kind} {number}"), case)
                            if wrong := apart.try_(case):
                                seen.failures[f"{wrong}: case {number} of seed {seed}"] += 1
                            shutil.rmtree(case)
                            seen.cases += 1
                    failed = bool(seen.failures)
                    yield seen.outcome()


def _endless(path: Path) -> None:
    """A file of a terabyte that takes no room."""
    path.touch()
    os.truncate(path, 1 << 40)


def _mend(bundle: Path) -> None:
    """Let the manifest have the digests that files have now."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"] = {
        name: sha256((bundle / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    path.write_text(json.dumps(manifest))


def _node(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    node.op_type = random.choice((*_OPERATORS, random.choice(model.graph.node).op_type))
    node.domain = random.choice((node.domain, "", "ai.onnx.ml", "nobody"))


def _attribute(random: Random, model: onnx.ModelProto) -> None:
    node = random.choice(model.graph.node)
    value = random.choice((0, -1, 2**40, 1e30, float("nan"), "x", [0] * 999, [1.5], ["x"]))
    name = random.choice([each.name for each in node.attribute] or ["axis"])
    kept = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def _initializer(random: Random, model: onnx.ModelProto) -> None:
    if model.graph.initializer:
        tensor = random.choice(model.graph.initializer)
        values = numpy_helper.to_array(tensor).copy()
        if values.dtype.kind == "f" and random.random() < 0.7:
            values[...] = random.choice(_NUMBERS)
        else:
            values = values.reshape(-1)[: random.randrange(values.size + 1)]
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _edge(random: Random, model: onnx.ModelProto) -> None:
    node, other = random.choice(model.graph.node), random.choice(model.graph.node)
    if node.input and other.output:
        node.input[random.randrange(len(node.input))] = random.choice(other.output)


def _outside(random: Random, model: onnx.ModelProto) -> None:
    """What the graph takes and gives: names, types and shapes."""
    ends = [*model.graph.input, *model.graph.output]
    end = random.choice(ends)
    end.name = random.choice((end.name, "x", ""))
    kind = end.type.tensor_type
    kind.elem_type = random.choice((kind.elem_type, 0, 8, 11, 99))
    for size in kind.shape.dim:
        size.dim_value = random.choice((size.dim_value, 0, -1, 1, 2**40))


def _opset(random: Random, model: onnx.ModelProto) -> None:
    model.opset_import[0].version = random.choice((0, 1, 9, 99, 2**40))
    model.ir_version = random.choice((model.ir_version, 0, 99))
