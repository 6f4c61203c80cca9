"""Whatever is sent to any interface: an answer or a refusal in the protocol's own shape, never a
failure.
"""

from __future__ import annotations

import copy
import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patience import PATIENCE
from serve.fixtures import PREPARATION, iso
from serve.service import Service
from web import TRUST

Json = dict[str, Any]
JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
PAYMENT: Json = {
    "payment_id": "garbage",
    "created_at": iso(time.time()),
    "amount": 5.0,
    "currency": "EUR",
    "card_id": "c1",
    "items": None,
}
TENSORS = [
    {"name": one.name, "shape": [1], "datatype": "FP64", "data": [1.0], "parameters": {}}
    for one in PREPARATION.numeric
] + [
    {"name": one.name, "shape": [1, 1], "datatype": "BYTES", "data": [["x"]]}
    for one in PREPARATION.nominal
]
WHOLE = {"name": "X", "shape": [1, 10], "datatype": "FP32", "data": [1] * 10}
AS_JSON = {"content-type": "application/json"}
SENT: list[tuple[str, Json, set[str]]] = [
    (
        "/execute",
        {
            "Inputs": {"input1": {"ColumnNames": [*PAYMENT], "Values": [[*PAYMENT.values()]]}},
            "GlobalParameters": {},
        },
        {"error"},
    ),
    (
        "/invocations",
        {"dataframe_split": {"columns": [*PAYMENT], "data": [[*PAYMENT.values()]]}},
        {"error_code"},
    ),
    (
        "/invocations",
        {"inputs": {name: [value] for name, value in PAYMENT.items()}},
        {"error_code"},
    ),
    ("/v1/models/logistic_regression:predict", {"instances": [PAYMENT]}, {"error"}),
    ("/v2/models/logistic_regression/infer", {"inputs": TENSORS, "id": "x"}, {"error"}),
    (
        "/v2/models/logistic_regression/infer",
        {"inputs": [WHOLE], "outputs": [{"name": "action", "parameters": {"binary_data": True}}]},
        {"error"},
    ),
]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for name, value in items:
        yield (*path, name)
        yield from places(value, (*path, name))


def spoilt(document: Json, place: tuple[Any, ...], value: Any) -> Json:
    """The document with one value replaced."""
    changed = copy.deepcopy(document)
    node: Any = changed
    for name in place[:-1]:
        node = node[name]
    node[place[-1]] = value
    return changed


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=PATIENCE, verify=TRUST) as client:
        yield client


@pytest.mark.parametrize(("path", "body", "error"), SENT)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_one_wrong_value_is_no_failure(
    service: Service,
    client: httpx.Client,
    path: str,
    body: Json,
    error: set[str],
    data: st.DataObject,
) -> None:
    place = data.draw(st.sampled_from(list(places(body))))
    content = json.dumps(spoilt(body, place, data.draw(JSONS))).encode()
    check(service, client.post(service.url + path, content=content, headers=AS_JSON), error)


@pytest.mark.parametrize(("path", "error"), {path: error for path, _, error in SENT}.items())
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    content=st.binary(max_size=99),
    kind=st.sampled_from(["application/json", "text/csv", "x", ""]),
    coded=st.sampled_from(["", "identity", "gzip", "deflate", "br", "gzip, gzip"]),
    pack=st.sampled_from([bytes, gzip.compress, zlib.compress]),
)
def test_bytes_of_any_kind_are_no_failure(
    service: Service,
    client: httpx.Client,
    path: str,
    error: set[str],
    content: bytes,
    kind: str,
    coded: str,
    pack: Callable[[bytes], bytes],
) -> None:
    headers = {"content-type": kind, "inference-header-content-length": str(len(content) // 2)}
    content = pack(content)
    headers |= {"content-encoding": coded} if coded else {}
    check(service, client.post(service.url + path, content=content, headers=headers), error)


@pytest.mark.parametrize(("path", "body", "error"), SENT)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_key_twice_is_refused_wherever_it_is(
    service: Service,
    client: httpx.Client,
    path: str,
    body: Json,
    error: set[str],
    data: st.DataObject,
) -> None:
    names = [place for place in places(body) if isinstance(place[-1], str)]
    place = data.draw(st.sampled_from(names))
    marked = json.dumps(spoilt(body, place, "THE PLACE"))
    name, value = json.dumps(place[-1]), json.dumps(reached(body, place))
    content = marked.replace('"THE PLACE"', f"{value}, {name}: {value}").encode()
    response = client.post(service.url + path, content=content, headers=AS_JSON)
    check(service, response, error)
    assert response.status_code == 400
    assert "twice" in response.text


def reached(document: Json, place: tuple[Any, ...]) -> Any:
    """The value at a place."""
    node: Any = document
    for name in place:
        node = node[name]
    return node


def check(service: Service, response: httpx.Response, error: set[str]) -> None:
    assert response.status_code in (200, 400, 413, 415, 422), response.text
    assert service.log.read_text() == "", "whatever is logged is a defect"
    if response.status_code != 200:
        assert error <= set(response.json())


@pytest.fixture(autouse=True)
def _still_well(service: Service) -> Iterator[None]:
    yield
    assert service.request("GET", "/health/ready").status_code == 200
