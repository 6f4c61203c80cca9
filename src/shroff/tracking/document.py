"""A record as a run of MLflow: parameters, metrics, tags, and a nested run per detector."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from shroff.experiment import RunRecord

MLflowStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

_MAX_VALUE_CHARACTERS: Final = 500
"""What Azure ML, the strictest of those that speak MLflow's protocol, keeps of a parameter."""
_MAX_KEY_CHARACTERS: Final = 250
_KEY_SIGNS: Final = frozenset("_-. /")


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run in MLflow; `key` is the tag `shroff.run`, by which it is found again.

    `began` and `ended` are milliseconds since 1970.
    """

    key: str
    name: str
    status: MLflowStatus
    began: int
    ended: int | None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    nested: tuple[TrackedRun, ...] = ()


def experiment_of(record: RunRecord) -> str:
    """The folder of the run's project, or `shroff` where an older record has none."""
    return str(record.inputs.get("project", {}).get("folder") or "shroff")


def tracked(record: RunRecord, status: str) -> TrackedRun:
    """A record with its status, as a run with one nested run per detector."""
    figures = record.figures
    detectors: Mapping[str, Any] = figures.get("detectors", {})
    best = str(figures.get("best", ""))
    asked = {name: one for name, one in record.parameters.items() if name != "detectors"}
    read = {"inputs": record.inputs}
    began = _millis(record.began)
    # an end is recorded in whole seconds, and must not come before the beginning
    ended = None if record.ended is None else max(began, _millis(record.ended))
    state: MLflowStatus = status.upper()  # type: ignore[assignment]  # the same four words
    moment = f"{record.began[:10]} {record.began[11:16]}"
    metrics = {
        **(_numbers(detectors[best]) if best in detectors else {}),
        **_numbers({"parts": figures.get("parts", {}), "seconds": record.seconds}),
    }
    tags = {
        "mlflow.source.name": "shroff train",
        "mlflow.note.content": record.failure or record.refusal or figures.get("outlook", ""),
        "shroff.best": best,
        "shroff.bundle": (record.bundle or {}).get("version", ""),
        "shroff.bundle.content": (record.bundle or {}).get("content", ""),
        **{f"shroff.code.{name}": text for name, text in record.code.items()},
        **{f"shroff.machine.{name}": str(one) for name, one in record.machine.items()},
        **_digests(record.inputs),
    }
    nested = tuple(
        TrackedRun(
            key=f"{record.run}/{_key(name)}",
            name=f"{name} {moment}",
            status=state,
            params=_params({"detector": parameters, **read}),
            metrics=_numbers(found),
            tags={"shroff.detector": name, "shroff.best": "yes" if name == best else "no"},
            began=began,
            ended=ended,
        )
        for (name, found), parameters in zip(
            detectors.items(), record.parameters.get("detectors", ()), strict=False
        )
    )
    return TrackedRun(
        key=record.run,
        name=f"{best or 'train'} {moment}",
        status=state,
        params=_params(asked | read),
        metrics=metrics,
        tags={name: text for name, text in tags.items() if text},
        nested=nested,
        began=began,
        ended=ended,
    )


def _millis(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _digests(inputs: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that was read, and of the table that was learned from."""
    files = {role: one["sha256"] for role, one in inputs.items() if "sha256" in one}
    table = {"table": inputs["table"]} if "table" in inputs else {}
    return {f"shroff.{role}.sha256": str(digest) for role, digest in (files | table).items()}


def _params(values: Mapping[str, Any]) -> dict[str, str]:
    return {_key(name): _text(one) for name, one in _flat(values, ".") if one not in (None, "", [])}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers; a slash in its name puts a metric into a group of MLflow's charts."""
    return {
        _key(name): float(one)
        for name, one in _flat(values, "/")
        if isinstance(one, int | float) and math.isfinite(one)
    }


def _flat(values: Mapping[str, Any], mark: str, start: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in values.items():
        if isinstance(one, Mapping):
            yield from _flat(one, mark, f"{start}{name}{mark}")
        else:
            yield f"{start}{name}", one


def _key(name: str) -> str:
    """A name of the characters that MLflow takes, `_` for others."""
    kept = "".join(one if one.isalnum() or one in _KEY_SIGNS else "_" for one in name)
    return kept[:_MAX_KEY_CHARACTERS]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"{text[: _MAX_VALUE_CHARACTERS - 20]} … (see record.json)"
