"""Open Inference Protocol: the stock Triton client, binary and JSON, and one clear error for each
wrong tensor.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.fixtures import PREPARATION, make_bundle
from serve.protocols.conftest import SECRET, counted
from serve.service import Service
from shroff.decide.decider import Decider
from shroff.errors import BadPayment, BundleError, Unavailable
from shroff.package import Bundle
from shroff.serve.protocols.tensors import TYPES, InputTensor, binary, read

with warnings.catch_warnings():
    # gevent and the client's own modules, not the service
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

MODEL = "logistic_regression"
NUMBERS = [one.name for one in PREPARATION.numeric]
NAMES = [one.name for one in PREPARATION.nominal]
ROWS = 5


@pytest.fixture
def client(service: Service) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(service.url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def decider(bundle: Bundle) -> Decider:
    return Decider(bundle)


def columns() -> dict[str, np.ndarray[Any, Any]]:
    """Inputs by name, with a missing number and a name never seen."""
    random = np.random.default_rng(5)
    numbers = {
        one.name: random.normal(one.mean, 0.3 * one.std, ROWS) for one in PREPARATION.numeric
    }
    numbers[NUMBERS[5]][2] = np.nan
    names = {
        NAMES[0]: np.array(["5411", "6011", "7", "", "5411"], dtype=object),
        NAMES[1]: np.array(["Morning"] * ROWS, dtype=object),
    }
    return numbers | names


def rows() -> list[dict[str, Any]]:
    """The same row by row, as the model's preparation takes them."""
    return [
        {
            name: None if value == "" or value != value else value
            for name, value in zip(columns(), row, strict=True)
        }
        for row in zip(*columns().values(), strict=True)
    ]


def tensors(*, as_bytes: bool = True) -> list[Any]:
    made = []
    for name, column in columns().items():
        made.append(triton.InferInput(name, [ROWS], "FP64" if name in NUMBERS else "BYTES"))
        made[-1].set_data_from_numpy(column, binary_data=as_bytes)
    return made


def test_the_stock_client_finds_everything(
    client: triton.InferenceServerClient, service: Service
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(MODEL)
    (version,) = metadata["versions"]
    assert client.is_model_ready(MODEL, version)
    assert client.get_model_metadata(MODEL, version) == metadata
    assert [one["name"] for one in metadata["inputs"]] == [*NUMBERS, *NAMES]
    assert {one["datatype"] for one in metadata["inputs"]} == {"FP64", "BYTES"}
    assert not client.is_model_ready("another")
    with pytest.raises(
        InferenceServerException, match="there is no such model; deployed is `logistic_regression`"
    ):
        client.get_model_metadata(SECRET)


def test_the_stock_client_scores_with_its_defaults(
    client: triton.InferenceServerClient, service: Service, decider: Decider
) -> None:
    before = counted(service)
    answer = client.infer(MODEL, tensors(), request_id="r1")
    expected = decider.rate(decider.prepare(rows()))
    assert answer.as_numpy("probability").tolist() == [one.probability for one in expected]
    assert answer.as_numpy("score").tolist() == [one.score for one in expected]
    assert answer.as_numpy("action").tolist() == [one.action.encode() for one in expected]
    assert len({one.probability for one in expected}) == ROWS
    assert answer.get_response()["id"] == "r1"
    assert answer.get_output("probability")["parameters"]["binary_data_size"] == 8 * ROWS
    assert counted(service) == before


def test_json_and_binary_say_the_same(
    client: triton.InferenceServerClient, service: Service
) -> None:
    wanted = [
        triton.InferRequestedOutput("probability", binary_data=False),
        triton.InferRequestedOutput("action"),
    ]
    mixed = client.infer(MODEL, tensors(), outputs=wanted)
    assert mixed.get_output("score") is None
    assert "binary_data_size" not in mixed.get_output("probability").get("parameters", {})
    body = {
        "inputs": [
            {
                "name": name,
                "shape": [ROWS, 1],
                "datatype": "BYTES" if name in NAMES else "FP64",
                "data": [[None if value != value else value] for value in column.tolist()],
            }
            for name, column in columns().items()
        ]
    }
    # Triton's documentation shows curl, which says nothing true about the content type
    headers = {"content-type": "application/x-www-form-urlencoded"}
    plain = service.request(
        "POST", f"/v2/models/{MODEL}/infer", content=json.dumps(body), headers=headers
    )
    assert plain.headers["content-type"] == "application/json"
    outputs = {output["name"]: output for output in plain.json()["outputs"]}
    assert [output["shape"] for output in outputs.values()] == [[ROWS]] * 3
    assert outputs["probability"]["data"] == mixed.as_numpy("probability").tolist()
    assert [text.encode() for text in outputs["action"]["data"]] == mixed.as_numpy(
        "action"
    ).tolist()


@pytest.mark.parametrize("rows_", [0, 1, 200])
def test_the_models_own_matrix_is_taken_as_it_is(
    client: triton.InferenceServerClient, decider: Decider, rows_: int
) -> None:
    matrix = (
        np.random.default_rng(1).normal(size=(rows_, len(NUMBERS) + len(NAMES))).astype(np.float32)
    )
    matrix[:, len(NUMBERS) :] = 1
    whole = triton.InferInput("X", list(matrix.shape), "FP32")
    whole.set_data_from_numpy(matrix)
    if rows_:
        answer = client.infer(MODEL, [whole]).as_numpy("probability")
        assert answer.tolist() == [one.probability for one in decider.rate(matrix)]


def post(service: Service, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return service.request("POST", f"/v2/models/{MODEL}/infer", content=content, headers=headers)


def whole(**changes: Any) -> dict[str, Any]:
    return {
        "inputs": [{"name": "X", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10} | changes]
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "one JSON object"),
        (b"\xff\x00", "one JSON object"),
        ({}, "`inputs`"),
        ({"inputs": []}, "10 inputs, each once"),
        (
            {"inputs": [{"name": SECRET, "shape": [1], "datatype": "FP64", "data": [1]}]},
            "got inputs without `amount`",
        ),
        (whole(shape=[1, 9]), "expected 9 values as its shape says, got 10"),
        (whole(shape=[2, 5]), "of shape [n, 10]"),
        (whole(shape=[10]), "of shape [n, 10]"),
        (whole(shape=[]), "one or two dimensions"),
        (whole(shape=[-1, -10]), "one or two dimensions"),
        (whole(shape=[2**63]), "one or two dimensions"),
        (whole(shape=[10**4_000, 10]), "one or two dimensions"),
        (whole(shape=[2**63 - 1] * 300), "one or two dimensions"),
        (whole(shape=[7] * 52_000), "one or two dimensions"),
        (whole(shape=[1, 1, 10]), "one or two dimensions"),
        (whole(datatype=SECRET), "a datatype of BOOL"),
        (whole(datatype="BYTES"), "expected texts"),
        (whole(data=[SECRET] * 10), "expected numbers"),
        (whole(data=[True] * 10), "expected numbers"),
        (whole(data=[[[0] * 10]]), "expected numbers"),
        (whole(data=[10**400] * 10), "one far too large"),
        (whole(data=[0] * 8 + [4, 0]), "codes from 0 to 3 in column 8"),
        (whole(data=[0] * 8 + [0.5, 0]), "codes from 0 to 3 in column 8"),
        (whole(data=[0] * 9 + [None]), "codes from 0 to 2 in column 9"),
        (whole(data=None), "got neither"),
        (whole(parameters={"binary_data_size": 40}), "expected its bytes behind the JSON"),
        (whole(parameters={"binary_data_size": -1}), "expected its bytes behind the JSON"),
        (whole() | {"outputs": [{"name": SECRET}]}, "unknown output"),
    ],
)
def test_a_wrong_request_is_one_sentence(service: Service, body: Any, sentence: str) -> None:
    answer = post(service, body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert sentence in answer.json()["error"]
    assert SECRET not in answer.text
    assert service.log.read_text() == ""


@pytest.mark.parametrize("shape", [[1_025, 10], [2**62, 2**62], [1, 1_025], [1_000, 1_000]])
def test_more_rows_or_columns_than_a_request_may_have_are_refused(
    service: Service, shape: list[int]
) -> None:
    answer = post(service, whole(shape=shape))
    assert (answer.status_code, list(answer.json())) == (413, ["error"])
    assert "in a request, got" in answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "9999999", "9" * 5_000])
def test_a_wrong_length_of_the_json_is_refused(service: Service, length: str) -> None:
    answer = post(service, whole(), **{"inference-header-content-length": length})
    assert "Inference-Header-Content-Length" in answer.json()["error"]
    assert answer.status_code == 400


def test_bytes_that_are_too_many_or_no_numbers_are_refused(service: Service) -> None:
    for size, raw, sentence in [(40, b"0" * 41, "got more"), (39, b"0" * 39, "values of 4 bytes")]:
        head = json.dumps(whole(data=None, parameters={"binary_data_size": size})).encode()
        answer = post(service, head + raw, **{"inference-header-content-length": str(len(head))})
        assert sentence in answer.json()["error"]


def test_what_is_not_there_is_told_in_the_protocols_own_shape(service: Service) -> None:
    for path in (
        "/v2/nothing",
        "/v2/models/another/infer",
        f"/v2/models/{MODEL}/versions/{SECRET}/infer",
    ):
        answer = service.request("POST", path, json=whole())
        assert (answer.status_code, list(answer.json())) == (404, ["error"])
        assert SECRET not in answer.text
    answer = service.request("GET", f"/v2/models/{MODEL}/infer")
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (
        405,
        "OPTIONS, POST",
        ["error"],
    )


@given(st.lists(st.text()), st.lists(st.floats(allow_nan=False)), st.integers(0, 7))
def test_what_is_written_is_read_again(texts: list[str], numbers: list[float], cut: int) -> None:
    tensor = InputTensor("x", [len(texts)], "BYTES")
    assert read(tensor, binary("BYTES", texts)) == texts
    assert read(InputTensor("x", [len(numbers)], "FP64"), binary("FP64", numbers)) == numbers
    if cut and texts:
        with pytest.raises(BadPayment, match="input `x`"):
            read(tensor, binary("BYTES", texts)[:-1] + b"\xff" * cut * 3)


@pytest.mark.parametrize("datatype", TYPES)
def test_every_type_of_number_is_read(datatype: str) -> None:
    assert read(InputTensor("x", [2, 1], datatype), binary(datatype, [0, 1])) == [0.0, 1.0]
    assert read(InputTensor("x", [2], datatype, data=[0, 1]), None) == [0, 1]
    if datatype == "BOOL":
        assert read(InputTensor("x", [2], datatype, data=[False, True]), None) == [False, True]


@given(st.binary(max_size=60), st.sampled_from([*TYPES, "BYTES"]))
def test_no_bytes_at_all_are_more_than_refused(raw: bytes, datatype: str) -> None:
    try:
        values = read(InputTensor("x", [2], datatype), raw)
    except BadPayment:
        return
    assert len(values) == 2


def test_a_length_beyond_the_bytes_is_refused() -> None:
    for raw in (struct.pack("<I", 2**32 - 1), b"\x01", struct.pack("<I", 1) + b"\xff"):
        with pytest.raises(BadPayment, match="expected texts"):
            read(InputTensor("x", [1], "BYTES"), raw)


def test_a_model_that_cannot_score_refuses() -> None:
    decider = Decider(make_bundle(b"no model"))
    with pytest.raises(Unavailable, match="the service cannot score: the model cannot be loaded"):
        decider.rate(np.zeros((1, 10), dtype=np.float32))


def test_inputs_that_the_model_cannot_take_say_nothing_about_the_model(
    decider: Decider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[float]:
        raise BundleError("ONNX Runtime cannot run the model (Fail).")

    monkeypatch.setattr(decider, "_score", fail)
    with pytest.raises(Unavailable, match="these inputs: ONNX Runtime cannot run"):
        decider.rate(np.zeros((1, 10), dtype=np.float32))
    assert decider.failure is None
