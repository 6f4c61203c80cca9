"""The bundle: a folder with an ONNX model and JSON, complete and checked, or refused.

    manifest.json       format, name, time, versions, data fingerprint and extent,
                        SHA-256 of every other file
    model.onnx          input X float32 [N, inputs], output score float32 [N]
    schema.json         what the columns of a payment are
    features.json       the feature groups
    inputs.json         means, scales, vocabularies, usual values (the preparation),
                        calibration, conditions
    policy.json         rules, lists, costs, thresholds
    thresholds.json     held-out scores in bins and by day, to choose thresholds and the price
                        of a review from; what was chosen
    reference.json      counts of each input and of the score, for monitoring
    metrics.json        figures on the training and the test part
    vectors-1.arrow …   vectors of tokens, if features read some

Nothing in it is executable: it is read as data, never unpickled. Files that the manifest does not
list are not read. A bundle is written to a temporary folder and renamed, so a folder with a
manifest is a whole bundle.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from shroff.collect import Schema, money
from shroff.collect.extent import Extent
from shroff.detect.calibration import Calibration, CalibrationJson
from shroff.detect.preparation import Preparation, PreparationJson
from shroff.embed.learned import TokenVectors, parse_vectors
from shroff.errors import BundleError, ConfigurationError, DataError
from shroff.evaluate import DailyCosts, HeldOut
from shroff.evaluate.reference import TrainingReference
from shroff.features.group import FeatureGroup, card_key, with_vectors
from shroff.features.plan import Plan
from shroff.package.files import MANIFEST, VECTORS, BundleManifest, Files, read_files

FORMAT: Final = 2
_LIBRARIES: Final = ("shroff", "numpy", "onnx", "onnxruntime", "polars")


class _Inputs(msgspec.Struct, frozen=True):
    preparation: PreparationJson
    calibration: CalibrationJson
    conditions: Annotated[
        tuple[Annotated[str, Meta(max_length=50_000)], ...], Meta(max_length=1_000)
    ]


class _Thresholds(msgspec.Struct, frozen=True):
    held_out: HeldOut | None = None
    chosen: tuple[str, ...] = ()
    daily: DailyCosts | None = None


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A packaged model and everything else that a decision needs.

    `conditions`: SQL conditions that are the model's inputs, for a model of rules; otherwise the
    inputs are columns and features by the names of `preparation`. `policy` is plain JSON, read by
    the stage that decides. `currency` is that of all amounts: the base of the schema's exchange
    rates, or that of the training payments; None if there were several, and nothing reads amounts.
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
    """Columns of long numbers, whose live values are not checked for card numbers."""
    history: Extent | None = None
    """The payments over which training computed features; None if unknown."""
    held_out: HeldOut | None = None
    """Held-out scores, to choose another policy's thresholds from; None in older bundles."""
    daily: DailyCosts | None = None
    """The same payments by day, to find the price of a review from; None in older bundles."""
    reference: TrainingReference | None = None
    """What the inputs and the score were like, for monitoring; None in older bundles."""
    chosen: tuple[str, ...] = ()
    """What training chose, by field of the policy; the project gave the others."""
    vectors: tuple[TokenVectors, ...] = ()
    """The vectors of tokens that features read."""
    created: str = ""
    digest: str = ""
    """SHA-256 of the manifest, which identifies the bundle."""

    @property
    def card_column(self) -> str | None:
        """The column that cards are told apart by: the project's, or the key of the entity `card`;
        None without one.
        """
        declared = self.metrics.get("card")
        known = isinstance(declared, str) and declared in self.schema.scales
        return str(declared) if known else card_key(self.groups)

    @property
    def joined_on(self) -> str:
        """The column on which the project joined a second table.

        Raises:
            ConfigurationError: it joined none.
        """
        on = self.metrics.get("join")
        if not isinstance(on, str):
            raise ConfigurationError(
                "expected one table, as the bundle names no column to join a second one on: leave "
                "out --join."
            )
        return on

    @property
    def version(self) -> str:
        """A short name of this bundle: when it was made, and the first digits of its digest."""
        return f"{self.created}-{self.digest[:8]}"


def require_free(folder: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that holds anything but a bundle, or a bundle that must not be overwritten.

    Raises:
        BundleError: the folder is taken.
    """
    target = Path(folder)
    if target.is_symlink():
        raise BundleError(f"{target} is a symbolic link; name the folder itself.")
    if not target.exists():
        return
    if not (target / "manifest.json").exists():
        raise BundleError(f"{target} exists and is no bundle; name another folder or remove it.")
    if not overwrite:
        raise BundleError(
            f"{target} holds a bundle already; name another folder, or pass --overwrite to replace "
            "it."
        )


def save(bundle: Bundle, folder: str | Path) -> Bundle:
    """Write a bundle whole or not at all, replacing one in the folder; returns it as `load` would.

    Raises:
        BundleError: the folder exists and is not a bundle.
    """
    target = Path(folder)
    require_free(target, overwrite=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        _packed(bundle, target).write(draft)
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


def read(folder: str | Path) -> Files:
    """Read the files of a bundle, each checked against the manifest; see `unpack`.

    Raises:
        BundleError: no bundle there, of another format, or a file that is missing, altered, too
            large or no file.
    """
    return read_files(Path(folder), FORMAT)


def load(folder: str | Path) -> Bundle:
    """Read a bundle and check every file against the manifest.

    Raises:
        BundleError: no bundle there, of another format, or a file that is missing, altered, too
            large or no file.
    """
    return unpack(read(folder))


def unpack(files: Files) -> Bundle:
    """The bundle in files that were read.

    Raises:
        BundleError: this release cannot read it.
    """
    manifest = files.manifest
    if manifest.currency is not None and manifest.currency not in money.NUMERIC:
        raise BundleError(
            f"{files.folder / MANIFEST}: expected a currency by its ISO 4217 code, or none."
        )
    try:
        inputs = files.decode("inputs.json", _Inputs)
        thresholds = (
            files.decode("thresholds.json", _Thresholds)
            if "thresholds.json" in files.content
            else _Thresholds()
        )
        vectors = tuple(
            parse_vectors(files.content[name], files.folder / name)
            for name in VECTORS
            if name in files.content
        )
        definitions = files.decode("features.json", tuple[FeatureGroup, ...])
        schema = files.decode("schema.json", Schema)
        groups = with_vectors(definitions, [one.table for one in vectors])
        # features must find the columns, and the components of vectors, that they read
        read = Plan(groups, schema).vectors
        if unread := {one.table.name for one in vectors} - read.keys():
            raise BundleError(
                f"{files.folder}: expected vectors that features read, got `{min(unread)}`, which "
                "none reads; train it again."
            )
        return Bundle(
            name=manifest.name,
            schema=schema,
            groups=groups,
            vectors=vectors,
            preparation=Preparation.from_json(inputs.preparation),
            calibration=Calibration.from_json(inputs.calibration),
            conditions=inputs.conditions,
            policy=files.decode("policy.json", dict[str, Any]),
            metrics=files.decode("metrics.json", dict[str, Any]),
            fingerprint=manifest.fingerprint,
            currency=manifest.currency,
            numbers=manifest.numbers,
            history=manifest.history,
            model=files.model(),
            held_out=thresholds.held_out,
            daily=thresholds.daily,
            chosen=thresholds.chosen,
            reference=(
                files.decode("reference.json", TrainingReference)
                if "reference.json" in files.content
                else None
            ),
            created=manifest.created,
            digest=files.digest,
        )
    except (ConfigurationError, DataError) as error:
        # the definitions do not fit together
        raise BundleError(f"{files.folder}: {error}") from None


def _packed(bundle: Bundle, folder: Path) -> Files:
    content = _files(bundle)
    manifest = BundleManifest(
        format=FORMAT,
        name=bundle.name,
        created=bundle.created or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        fingerprint=bundle.fingerprint,
        currency=bundle.currency,
        numbers=bundle.numbers,
        history=bundle.history,
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        files={name: hashlib.sha256(one).hexdigest() for name, one in content.items()},
    )
    return Files(folder, manifest, _json(manifest), content)


def _files(bundle: Bundle) -> dict[str, bytes]:
    if len(bundle.vectors) > len(VECTORS):
        raise BundleError(
            f"expected features that read at most {len(VECTORS)} vectors, got "
            f"{len(bundle.vectors)}."
        )
    vectors = {name: one.content for name, one in zip(VECTORS, bundle.vectors, strict=False)}
    return {
        "model.onnx": bundle.model,
        "schema.json": _json(bundle.schema),
        "features.json": _json([_definitions(group) for group in bundle.groups]),
        **vectors,
        "inputs.json": _json(
            {
                "preparation": bundle.preparation.to_json(),
                "calibration": bundle.calibration.to_json(),
                "conditions": bundle.conditions,
            }
        ),
        "policy.json": _json(bundle.policy),
        "thresholds.json": _json(_Thresholds(bundle.held_out, bundle.chosen, bundle.daily)),
        "metrics.json": _json(bundle.metrics),
        **(
            {}
            if bundle.reference is None
            else {"reference.json": msgspec.json.encode(bundle.reference)}
        ),
    }


def _definitions(group: FeatureGroup) -> dict[str, Any]:
    """A group without its schema and vectors, which have their own files."""
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(group, of=None, vectors=()))
    del plain["vectors"]
    return plain


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)
