"""TensorFlow Serving's REST interface: predict (rows as `instances`, columns as `inputs`), status,
metadata.

Its versions are integers: here the digits of the time when the bundle was made. The bundle's own
version works too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shroff.collect.wire import live_scales
from shroff.errors import BadPayment, NotFound
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Interface, Operation, Reply
from shroff.serve.problem import Kind
from shroff.serve.protocols.rows import Cell, Outcome, judge, transpose

_SIGNATURE: Final = "serving_default"


class PredictRequest(msgspec.Struct):
    """Rows in `instances` or columns in `inputs`, one of the two."""

    instances: list[dict[str, Cell]] | None = None
    inputs: dict[str, list[Cell]] | None = None
    signature_name: str = _SIGNATURE


class Predictions(msgspec.Struct):
    """Outcomes, row by row."""

    predictions: list[Outcome]


class Outputs(msgspec.Struct):
    """Outcomes, column by column."""

    outputs: dict[str, list[float | str | None]]


class Status(msgspec.Struct):
    """The error of a version."""

    error_code: str
    error_message: str


class VersionStatus(msgspec.Struct):
    """A version, and its state: `AVAILABLE` or `LOADING`."""

    version: str
    state: str
    status: Status


class ModelStatus(msgspec.Struct):
    """The deployed versions: one."""

    model_version_status: list[VersionStatus]


class ModelSpec(msgspec.Struct):
    """Which model."""

    name: str
    signature_name: str
    version: str


class Metadata(msgspec.Struct):
    """The model's inputs and outputs."""

    model_spec: ModelSpec
    metadata: dict[str, Any]


class PredictError(msgspec.Struct):
    """An error."""

    error: str


def interface(scorer: Scorer) -> Interface:
    """The interface over a scorer."""

    async def predict(call: Call) -> Reply:
        _require_model(scorer.bundle, call.names)
        request = await call.lenient_json(PredictRequest)
        if (request.instances is None) == (request.inputs is None):
            raise BadPayment(
                "expected rows in `instances` or columns in `inputs`, got neither or both."
            )
        if request.signature_name != _SIGNATURE:
            raise BadPayment(f"unknown signature; the model has `{_SIGNATURE}`.")
        rows = request.instances or [] if request.inputs is None else transpose(request.inputs)
        call.count(len(rows) - 1)
        outcomes = await judge(scorer, rows)
        if request.inputs is None:
            return Reply.json(Predictions(outcomes))
        fields = Outcome.__struct_fields__
        return Reply.json(
            Outputs({name: [getattr(outcome, name) for outcome in outcomes] for name in fields})
        )

    async def status(call: Call) -> Reply:
        _require_model(scorer.bundle, call.names)
        state, fault = (
            ("AVAILABLE", Status("OK", ""))
            if scorer.unready is None
            else ("LOADING", Status("UNAVAILABLE", scorer.unready))
        )
        return Reply.json(ModelStatus([VersionStatus(number(scorer.bundle), state, fault)]))

    async def metadata(call: Call) -> Reply:
        _require_model(scorer.bundle, call.names)
        return Reply.json(_metadata(scorer))

    operations = []
    for place, suffix in (
        ("/v1/models/{name}", ""),
        ("/v1/models/{name}/versions/{version}", "Version"),
    ):
        operations += [
            Operation(
                method="POST",
                path=f"{place}:predict",
                name=f"predict{suffix}",
                summary="Decide payments, or score ready-made inputs (TensorFlow Serving)",
                handler=predict,
                scope="decide",
                takes={JSON: (PredictRequest,)},
                gives={JSON: (Predictions, Outputs)},
                fails=(problem.BAD_PAYMENT, problem.PAYMENT_CONFLICT, problem.UNAVAILABLE),
                any_media=True,
            ),
            Operation(
                method="GET",
                path=place,
                name=f"modelStatus{suffix}",
                summary="Whether the model is there",
                handler=status,
                scope="read",
                gives={JSON: (ModelStatus,)},
            ),
            Operation(
                method="GET",
                path=f"{place}/metadata",
                name=f"modelMetadata{suffix}",
                summary="What the model takes and answers",
                handler=metadata,
                scope="read",
                gives={JSON: (Metadata,)},
            ),
        ]
    return Interface(
        "TensorFlow Serving",
        tuple(operations),
        _fail,
        PredictError,
        prefix="/v1/models/",
        names="[^:]+",
    )


def number(bundle: Bundle) -> str:
    """The bundle's version as a whole number."""
    return "".join(filter(str.isdigit, bundle.created)) or "1"


def _fail(_: Kind, detail: str) -> PredictError:
    return PredictError(detail)


def _require_model(bundle: Bundle, names: Mapping[str, str]) -> None:
    if names["name"] != bundle.name or names.get("version", bundle.version) not in (
        bundle.version,
        number(bundle),
    ):
        raise NotFound(
            f"there is no such model; deployed is `{bundle.name}`, version {number(bundle)}."
        )


def _metadata(scorer: Scorer) -> Metadata:
    scales = live_scales(scorer.reader.schema)
    inputs = {
        name: _tensor(name, "DT_DOUBLE" if scale in ("amount", "numeric") else "DT_STRING")
        for name, scale in scales.items()
    }
    outputs = {
        name: _tensor(name, "DT_DOUBLE" if name == "probability" else "DT_STRING")
        for name in Outcome.__struct_fields__
    }
    signature = {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}
    return Metadata(
        ModelSpec(scorer.bundle.name, "", number(scorer.bundle)),
        {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    )


def _tensor(name: str, dtype: str) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"name": f"{_SIGNATURE}_{name}:0", "dtype": dtype, "tensor_shape": shape}
