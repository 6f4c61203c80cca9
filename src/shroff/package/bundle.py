"""The bundle: a folder with an ONNX model and JSON beside it, complete and checked, or refused.

    manifest.json       format, name, when, versions, data fingerprint and extent, SHA-256 of every other file
    model.onnx          input X float32 [N, inputs], output score float32 [N]
    schema.json         what the columns of a payment are
    features.json       the feature groups
    inputs.json         means, scales, vocabularies and how usual values are (the preparation), calibration, conditions
    policy.json         rules, lists, thresholds
    thresholds.json     what thresholds are chosen from: held-out scores in bins; and which were chosen
    metrics.json        figures on the training and the test part

Nothing in it is executable: it is read as data, never unpickled. A bundle is written beside its place and
renamed into it, so a folder with a manifest is a whole bundle.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from shroff.collect import Schema
from shroff.collect.extent import Extent
from shroff.detect.calibration import Calibration
from shroff.detect.preparation import Preparation
from shroff.errors import BundleError
from shroff.evaluate import HeldOut
from shroff.features.define import FeatureGroup

FORMAT: Final = 2
_LIBRARIES: Final = ("shroff", "numpy", "onnx", "onnxruntime", "polars")


class _Thresholds(msgspec.Struct, frozen=True):
    held_out: HeldOut | None = None
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A packaged model and everything a decision needs besides.

    `conditions`: SQL conditions that are the model's inputs, for a model of rules; otherwise the inputs are
    columns and features by the names of `preparation`. `policy` is plain JSON, read by the stage that decides.
    `currency` is the one that amounts are in: the base of the schema's exchange rates or else that of the payments it
    was trained on; None where they were in several, and nothing reads amounts.
    """

    name: str
    schema: Schema
    groups: tuple[FeatureGroup, ...]
    preparation: Preparation
    calibration: Calibration
    conditions: tuple[str, ...]
    policy: Mapping[str, Any]
    metrics: Mapping[str, Any]
    fingerprint: str
    model: bytes
    currency: str | None = None
    numbers: tuple[str, ...] = ()
    """Columns whose values are long numbers and no card numbers: no live value of theirs is taken for one."""
    history: Extent | None = None
    """The payments over which the features of training were computed; None where that is not known."""
    held_out: HeldOut | None = None
    """Held-out scores, from which another policy's thresholds are chosen; None in bundles that were made without."""
    chosen: tuple[str, ...] = ()
    """The thresholds of the policy that were chosen from them, by the names of its fields; the others were given."""
    created: str = ""
    digest: str = ""
    """SHA-256 of the manifest: names this very bundle."""

    @property
    def version(self) -> str:
        """A short name of this very bundle: when it was made, and the first digits of its digest."""
        return f"{self.created}-{self.digest[:8]}"


def require_free(folder: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that holds something else than a bundle, or a bundle that is not to be overwritten.

    Raises:
        BundleError: the folder is taken.
    """
    target = Path(folder)
    if not target.exists():
        return
    if not (target / "manifest.json").exists():
        raise BundleError(f"{target} exists and is no bundle; name another folder or remove it.")
    if not overwrite:
        raise BundleError(f"{target} holds a bundle already; name another folder, or pass --overwrite to replace it.")


def save(bundle: Bundle, folder: str | Path) -> Bundle:
    """Write a bundle whole or not at all, replacing one of the same folder; returns it as `load` would.

    Raises:
        BundleError: the folder exists and is not a bundle.
    """
    target = Path(folder)
    require_free(target, overwrite=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    files = _files(bundle)
    manifest = {
        "format": FORMAT,
        "name": bundle.name,
        "created": bundle.created or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "fingerprint": bundle.fingerprint,
        "currency": bundle.currency,
        "numbers": bundle.numbers,
        "history": bundle.history,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for name, content in {**files, "manifest.json": _json(manifest)}.items():
            _write(draft / name, content)
        if target.exists():
            old = draft.with_name(draft.name + ".old")
            target.rename(old)
            draft.rename(target)
            shutil.rmtree(old)
        else:
            draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return load(target)


def load(folder: str | Path) -> Bundle:
    """Read a bundle and check every file against the manifest.

    Raises:
        BundleError: no bundle there, of another format, or a file that is missing or altered.
    """
    source = Path(folder)
    manifest_bytes = _read(source, "manifest.json")
    manifest = _decode(manifest_bytes, source / "manifest.json")
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{source}: expected a bundle of format {FORMAT}, got {manifest.get('format')}; train it again."
        )
    content = {name: _checked(source, name, digest) for name, digest in manifest["files"].items()}
    try:
        inputs = _decode(content["inputs.json"], source / "inputs.json")
        thresholds = msgspec.json.decode(content.get("thresholds.json", b"{}"), type=_Thresholds)
        return Bundle(
            name=manifest["name"],
            schema=msgspec.json.decode(content["schema.json"], type=Schema),
            groups=msgspec.json.decode(content["features.json"], type=tuple[FeatureGroup, ...]),
            preparation=Preparation.from_json(inputs["preparation"]),
            calibration=Calibration.from_json(inputs["calibration"]),
            conditions=tuple(inputs["conditions"]),
            policy=_decode(content["policy.json"], source / "policy.json"),
            metrics=_decode(content["metrics.json"], source / "metrics.json"),
            fingerprint=manifest["fingerprint"],
            currency=manifest["currency"],
            numbers=tuple(manifest.get("numbers", ())),
            history=msgspec.convert(manifest.get("history"), Extent | None),
            model=content["model.onnx"],
            held_out=thresholds.held_out,
            chosen=thresholds.chosen,
            created=manifest["created"],
            digest=hashlib.sha256(manifest_bytes).hexdigest(),
        )
    except (KeyError, msgspec.MsgspecError) as error:
        raise BundleError(f"{source}: the bundle is not as this release writes it ({error}); train it again.") from None


def _files(bundle: Bundle) -> dict[str, bytes]:
    return {
        "model.onnx": bundle.model,
        "schema.json": _json(bundle.schema),
        "features.json": _json([msgspec.structs.replace(group, of=None) for group in bundle.groups]),
        "inputs.json": _json(
            {
                "preparation": bundle.preparation.to_json(),
                "calibration": bundle.calibration.to_json(),
                "conditions": bundle.conditions,
            }
        ),
        "policy.json": _json(bundle.policy),
        "thresholds.json": _json(_Thresholds(bundle.held_out, bundle.chosen)),
        "metrics.json": _json(bundle.metrics),
    }


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


def _decode(content: bytes, where: Path) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise BundleError(f"{where}: expected JSON; the file is damaged.") from None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError:
        raise BundleError(f"{folder}: expected a bundle with a file `{name}`, found none.") from None


def _checked(folder: Path, name: str, digest: str) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise BundleError(f"{folder}: `{name}` is not the file the bundle was made with (SHA-256 differs).")
    return content
