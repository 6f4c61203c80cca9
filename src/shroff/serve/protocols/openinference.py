"""Open Inference Protocol 2 with binary tensors, as MLServer, Triton and KServe speak it.

Tensors are ready-made inputs of the model: they are scored, and not counted as payments. There is
one tensor per input, `FP64 [n]` or `BYTES [n]`, named as in the model's metadata; or a single
tensor `X`, `FP32 [n, inputs]`, the matrix that the ONNX model reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from shroff import __version__
from shroff.arrays import Matrix
from shroff.decide.decider import Decider
from shroff.detect.preparation import Preparation
from shroff.errors import BadPayment, NotFound
from shroff.ledger.answer import encode
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Interface, Operation, Reply
from shroff.serve.problem import Kind
from shroff.serve.protocols.rows import inputs_of, rate, transpose
from shroff.serve.protocols.tensors import InputTensor, Parameters, binary, read
from shroff.serve.time_slices import TimeSlices

BINARY: Final = "application/octet-stream"
_HEADER: Final = b"inference-header-content-length"
_WHOLE: Final = "X"
_OUTPUTS: Final = {"probability": "FP64", "score": "FP64", "action": "BYTES"}


class TensorMetadata(msgspec.Struct):
    """An input or output; -1 is the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ServerMetadata(msgspec.Struct):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ModelMetadata(msgspec.Struct):
    """A model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(msgspec.Struct):
    """The process runs."""

    live: bool = True


class Ready(msgspec.Struct):
    """All is well."""

    ready: bool = True


class ModelReady(msgspec.Struct):
    """The model can score."""

    name: str
    ready: bool = True


class WantedOutput(msgspec.Struct):
    """A requested output."""

    name: str
    parameters: Parameters = Parameters()


class InferParameters(msgspec.Struct, frozen=True):
    """The parameters of a request that are used here."""

    binary_data_output: bool = False


class InferRequest(msgspec.Struct):
    """Inputs to score; a request that names no outputs gets all."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: InferParameters = InferParameters()
    outputs: list[WantedOutput] = []


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """An output: its values in `data`, or as bytes after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[float | str | None] | None = None


class InferResponse(msgspec.Struct, omit_defaults=True):
    """Outputs, a value for each row."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | None = None


class InferError(msgspec.Struct):
    """An error."""

    error: str


def interface(scorer: Scorer) -> Interface:
    """The interface over a scorer."""

    async def server(_: Call) -> Reply:
        return Reply.json(ServerMetadata("shroff", __version__, ["binary_tensor_data"]))

    async def live(_: Call) -> Reply:
        return Reply.json(Live())

    async def ready(_: Call) -> Reply:
        scorer.require_well()
        return Reply.json(Ready())

    async def model(call: Call) -> Reply:
        _require_model(scorer, call.names)
        return Reply.json(_metadata(scorer))

    async def model_ready(call: Call) -> Reply:
        _require_model(scorer, call.names)
        scorer.require_well()
        return Reply.json(ModelReady(scorer.bundle.name))

    async def infer(call: Call) -> Reply:
        _require_model(scorer, call.names)
        return await _infer(scorer, call)

    def get(path: str, name: str, summary: str, gives: Any, **options: Any) -> Operation:
        return Operation(
            method="GET", path=path, name=name, summary=summary, gives={JSON: (gives,)}, **options
        )

    down = (problem.UNAVAILABLE,)
    operations = [
        get(
            "/v2",
            "serverV2",
            "The server (Open Inference Protocol)",
            ServerMetadata,
            handler=server,
            scope="read",
        ),
        get(
            "/v2/health/live", "liveV2", "Whether the process runs", Live, handler=live, scope=None
        ),
        get(
            "/v2/health/ready",
            "readyV2",
            "Whether all is well",
            Ready,
            handler=ready,
            scope=None,
            fails=down,
        ),
    ]
    for place, suffix in (
        ("/v2/models/{name}", ""),
        ("/v2/models/{name}/versions/{version}", "Version"),
    ):
        operations += [
            get(
                place,
                f"model{suffix}V2",
                "What the model reads and gives",
                ModelMetadata,
                handler=model,
                scope="read",
            ),
            get(
                f"{place}/ready",
                f"modelReady{suffix}V2",
                "Whether the model can score",
                ModelReady,
                handler=model_ready,
                scope="read",
                fails=down,
            ),
            Operation(
                method="POST",
                path=f"{place}/infer",
                name=f"infer{suffix}V2",
                summary="Score ready-made inputs; nothing is counted or kept",
                handler=infer,
                scope="decide",
                takes={JSON: (InferRequest,), BINARY: (msgspec.Raw,)},
                gives={JSON: (InferResponse,), BINARY: (msgspec.Raw,)},
                fails=(problem.BAD_PAYMENT, problem.UNAVAILABLE),
                any_media=True,
            ),
        ]
    return Interface(
        "Open Inference", tuple(operations), _fail, InferError, prefix="/v2/", names="[^:]+"
    )


def _fail(_: Kind, detail: str) -> InferError:
    return InferError(detail)


def _require_model(scorer: Scorer, names: Mapping[str, str]) -> None:
    if (
        names["name"] != scorer.bundle.name
        or names.get("version", scorer.bundle.version) != scorer.bundle.version
    ):
        raise NotFound(
            f"there is no such model; deployed is `{scorer.bundle.name}`, {scorer.bundle.version}."
        )


def _metadata(scorer: Scorer) -> ModelMetadata:
    bundle = scorer.bundle
    inputs = [TensorMetadata(one.name, "FP64", [-1]) for one in bundle.preparation.numeric]
    inputs += [TensorMetadata(one.name, "BYTES", [-1]) for one in bundle.preparation.nominal]
    outputs = [TensorMetadata(name, kind, [-1]) for name, kind in _OUTPUTS.items()]
    return ModelMetadata(bundle.name, [bundle.version], "shroff", inputs, outputs)


async def _infer(scorer: Scorer, call: Call) -> Reply:
    header = call.headers.get(_HEADER)
    length = len(call.body) if header is None else _length(header, len(call.body))
    request = await call.lenient_json(InferRequest, call.body[:length])
    wanted = {one.name: one.parameters.binary_data for one in request.outputs} or dict.fromkeys(
        _OUTPUTS
    )
    if not wanted.keys() <= _OUTPUTS.keys():
        raise BadPayment(f"unknown output; the model has {', '.join(_OUTPUTS)}.")
    # read once: the model may be replaced between two slices
    bundle, decider = scorer.bundle, scorer.decider
    matrix = await _matrix(bundle, decider, request.inputs, call.body[length:])
    call.count(len(matrix) - 1)
    ratings = await rate(decider, matrix)
    blobs: list[bytes] = []
    outputs = []
    for name, as_bytes in wanted.items():
        values: list[float | str | None] = [getattr(rating, name) for rating in ratings]
        output = OutputTensor(name, [len(values)], _OUTPUTS[name])
        if request.parameters.binary_data_output if as_bytes is None else as_bytes:
            blobs.append(binary(output.datatype, values))
            output.parameters = Parameters(binary_data_size=len(blobs[-1]))
        else:
            output.data = values
        outputs.append(output)
    head = encode(InferResponse(bundle.name, bundle.version, outputs, request.id))
    if not blobs:
        return Reply(head)
    return Reply(b"".join((head, *blobs)), BINARY, headers=((_HEADER, b"%d" % len(head)),))


def _length(header: bytes, size: int) -> int:
    if not header.isdigit() or len(header) > 9 or int(header) > size:
        raise BadPayment(
            f"expected `Inference-Header-Content-Length` of at most the body's {size:,} bytes, got "
            "another."
        )
    return int(header)


async def _matrix(
    bundle: Bundle, decider: Decider, inputs: Sequence[InputTensor], raw: bytes
) -> Matrix:
    """The model's inputs, float32 [n, inputs], from tensors and the bytes after the JSON."""
    preparation = bundle.preparation
    columns = preparation.names
    names = [tensor.name for tensor in inputs]
    whole = names == [_WHOLE] and _WHOLE not in columns
    if not whole and sorted(names) != sorted(columns):
        missing = [f"`{name}`" for name in columns if name not in names]
        what = f"without {', '.join(missing)}" if missing else "with others or one twice"
        raise BadPayment(
            f"expected the model's {len(columns)} inputs, each once, or one `{_WHOLE}`, got inputs "
            f"{what}."
        )
    values, at = {}, 0
    for tensor in inputs:
        size = tensor.parameters.binary_data_size
        if size is not None and not 0 <= size <= len(raw) - at:
            raise BadPayment(
                f"input `{tensor.name}`: expected its bytes behind the JSON, got fewer."
            )
        values[tensor.name] = read(tensor, None if size is None else raw[at : at + size])
        at += size or 0
    if at < len(raw):
        raise BadPayment("expected the bytes of the inputs behind the JSON, got more.")
    if whole:
        return _as_it_is(inputs[0], values[_WHOLE], preparation)
    prepared, ready_made, slices = [], inputs_of(bundle), TimeSlices()
    for row in transpose(values):
        prepared.append(decider.prepare([ready_made(row)]))
        await slices.next()
    return np.concatenate(prepared) if prepared else np.empty((0, len(columns)), np.float32)


def _as_it_is(tensor: InputTensor, values: Sequence[Any], preparation: Preparation) -> Matrix:
    width = len(preparation.names)
    if len(tensor.shape) != 2 or tensor.shape[1] != width or tensor.datatype == "BYTES":
        raise BadPayment(
            f"input `{_WHOLE}`: expected numbers of shape [n, {width}], got another shape or type."
        )
    try:
        with np.errstate(over="ignore"):
            matrix = np.array(
                [np.nan if v is None else v for v in values], dtype=np.float32
            ).reshape(tensor.shape)
    except OverflowError:
        raise BadPayment(
            f"input `{_WHOLE}`: expected ordinary numbers, got one far too large."
        ) from None
    for column, codes in preparation.nominal_codes.items():
        if not np.isin(matrix[:, column], np.arange(codes)).all():
            raise BadPayment(
                f"input `{_WHOLE}`: expected codes from 0 to {codes - 1} in column {column}, got "
                "another."
            )
    return matrix
