"""What every door for JSON has in common: a key once, one byte order mark, NaN only where a
protocol takes it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.fixtures import PREPARATION
from serve.service import Service
from shroff.errors import BadPayment
from shroff.kafka.messages import read_event

Pay = Callable[..., dict[str, Any]]
Json = dict[str, Any]
BOM = b"\xef\xbb\xbf"
MODEL = "logistic_regression"
READY = {one.name: 1.0 for one in PREPARATION.numeric} | {
    one.name: "x" for one in PREPARATION.nominal
}


def tensors() -> list[Json]:
    kinds: list[tuple[str, str, Any]] = [(one.name, "FP64", 1.0) for one in PREPARATION.numeric]
    kinds += [(one.name, "BYTES", "x") for one in PREPARATION.nominal]
    return [
        {"name": name, "shape": [1], "datatype": kind, "data": [value]}
        for name, kind, value in kinds
    ]


DOORS: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "native": ("/v1/decisions", lambda row: row),
    "batch": ("/v1/decisions:batch", lambda row: row),
    "result": ("/v1/payments/known/result", lambda row: {"result": "failed"}),
    "label": ("/v1/payments/known/label", lambda row: {"fraud": False}),
    "azure": (
        "/execute",
        lambda row: {
            "Inputs": {"input1": {"ColumnNames": [*row], "Values": [[*row.values()]]}},
            "GlobalParameters": {},
        },
    ),
    "mlflow split": (
        "/invocations",
        lambda row: {"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}},
    ),
    "mlflow records": ("/invocations", lambda row: {"dataframe_records": [row]}),
    "mlflow inputs": (
        "/invocations",
        lambda row: {"inputs": {name: [value] for name, value in row.items()}},
    ),
    "tensorflow rows": (f"/v1/models/{MODEL}:predict", lambda row: {"instances": [row]}),
    "tensorflow columns": (
        f"/v1/models/{MODEL}:predict",
        lambda row: {"inputs": {name: [value] for name, value in row.items()}},
    ),
    "open inference": (f"/v2/models/{MODEL}/infer", lambda row: {"id": "x", "inputs": tensors()}),
}
doors = pytest.mark.parametrize("door", DOORS)


def post(service: Service, door: str, content: bytes) -> httpx.Response:
    kind = "application/x-ndjson" if door == "batch" else "application/json"
    return service.request("POST", DOORS[door][0], content=content, headers={"content-type": kind})


def answered(response: httpx.Response) -> str | None:
    """What was wrong; None when nothing was. A batch tells it in the line."""
    if (
        response.status_code == 200 and "/problems/" not in response.text
    ) or response.status_code == 204:
        return None
    status = response.status_code if response.status_code != 200 else response.json()["status"]
    assert status == 400, response.text
    return response.text


@pytest.fixture
def sent(service: Service, pay: Pay, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes what a door takes, as JSON."""
    service.request("POST", "/v1/decisions", json=pay(payment_id="known"))
    return lambda door: json.dumps(DOORS[door][1](pay(payment_id=request.node.name[:190])))


@doors
def test_a_key_twice_is_refused(service: Service, sent: Callable[[str], str], door: str) -> None:
    text = sent(door)
    assert answered(post(service, door, text.encode())) is None
    key, _, _ = text[1:].partition(":")
    value = json.dumps(json.loads(text)[json.loads(key)])
    for name in (key, key[:2] + f"\\u{ord(key[2]):04x}" + key[3:]):
        told = answered(post(service, door, f"{{{name}: {value}, {text[1:]}".encode()))
        assert told is not None
        assert f"`{json.loads(key)}` twice" in told


@pytest.mark.parametrize(
    "door",
    [
        "azure",
        "mlflow split",
        "mlflow records",
        "mlflow inputs",
        "tensorflow rows",
        "tensorflow columns",
        "open inference",
    ],
)
def test_a_key_twice_inside_is_refused(
    service: Service, sent: Callable[[str], str], door: str
) -> None:
    text = sent(door)
    at = text.index('"', text.index("{", 1)) if "{" in text[1:] else 0
    key = text[at : text.index(":", at)]
    told = answered(post(service, door, f"{text[:at]}{key}: null, {text[at:]}".encode()))
    assert told is not None, "whatever a type says first"


@doors
def test_one_byte_order_mark_is_skipped(
    service: Service, sent: Callable[[str], str], door: str
) -> None:
    text = sent(door).encode()
    assert answered(post(service, door, BOM + text)) is None
    assert answered(post(service, door, BOM + BOM + text)) is not None


@pytest.mark.parametrize(
    ("door", "taken"),
    [
        ("native", False),
        ("batch", False),
        ("azure", True),
        ("mlflow split", True),
        ("mlflow records", True),
        ("mlflow inputs", True),
        ("tensorflow rows", True),
        ("tensorflow columns", True),
    ],
)
def test_nan_is_missing_in_the_protocols_whose_clients_write_it(
    service: Service, pay: Pay, door: str, taken: bool
) -> None:
    def text(value: float) -> bytes:
        return json.dumps(
            DOORS[door][1](pay(payment_id=f"nan {door}", items=value, mcc="NaN"))
        ).encode()

    told = answered(post(service, door, text(math.nan)))
    if taken:
        assert told is None
        stored = pay(payment_id=f"nan {door}", items=None, mcc="NaN")
        assert (
            service.request("GET", f"/v1/decisions/nan%20{door.replace(' ', '%20')}").status_code
            == 200
        ), stored
    else:
        assert "NaN is not JSON: send null" in str(told)
    assert "Infinity is not JSON" in str(answered(post(service, door, text(-math.inf))))


CARDS: dict[str, Json] = {
    "alone": {"card_id": "4111 1111 1111 1111"},
    "among words": {"merchant_id": "order 4111 1111 1111 1111 paid"},
    "disguised": {"mcc": "４１１１\u00a0１１１１–1111/1111"},
    "as a number": {"items": 4111111111111111},
    "as a long number": {"items": 4917610000000000003},
    "as an id": {"payment_id": "p-4111111111111111"},
}


@pytest.mark.parametrize("where", CARDS)
@pytest.mark.parametrize("door", [door for door in DOORS if door != "open inference"])
def test_a_card_number_in_the_clear_is_refused(
    service: Service, pay: Pay, door: str, where: str
) -> None:
    service.request("POST", "/v1/decisions", json=pay(payment_id="known"))
    sent = DOORS[door][1](pay(payment_id=f"card {door} {where}") | CARDS[where])
    (text,) = CARDS[where].values()
    if door == "result":
        sent = {"result": str(text)}
    elif door == "label":
        sent |= {"source": str(text)}
    told = answered(post(service, door, json.dumps(sent).encode()))
    assert "card number" in str(told)
    assert "4111" not in str(told)
    assert "49176" not in str(told)
    for file in [*service.home.glob("ledger.db*"), service.log]:
        # four digits alone may be part of a timestamp
        found = re.search(rb"4111[ -]?1111|4917610000", file.read_bytes())
        assert found is None, file


def test_a_tensor_is_no_payment_and_nothing_of_it_is_kept(service: Service) -> None:
    sent = tensors()
    sent[0]["data"] = [4111111111111111]
    told = post(service, "open inference", json.dumps({"inputs": sent}).encode())
    assert told.status_code in (200, 400)
    for file in [*service.home.glob("ledger.db*"), service.log]:
        assert b"4111111111111111" not in file.read_bytes()


def test_nan_in_a_tensor_is_missing(service: Service) -> None:
    def probability(value: float | None) -> object:
        sent = tensors()
        sent[0]["data"] = [value]
        response = service.request(
            "POST", f"/v2/models/{MODEL}/infer", content=json.dumps({"inputs": sent})
        )
        return response.json()["outputs"]

    assert probability(math.nan) == probability(None) != probability(1.0)


def test_a_missing_amount_is_told_by_its_row(service: Service, pay: Pay) -> None:
    row = pay(payment_id="gap", amount=math.nan)
    told = answered(
        post(service, "mlflow records", json.dumps({"dataframe_records": [row]}).encode())
    )
    assert "row 1: Expected `float`, got `null` - at `$.amount`" in str(told)


@pytest.mark.parametrize("label", [False, True])
def test_the_same_holds_for_events_from_kafka(label: bool) -> None:
    field = '"fraud": true' if label else '"result": "failed"'
    text = f'{{"payment_id": "p1", {field}'.encode()
    assert read_event(BOM + text + b"}", label=label).payment_id == "p1"
    for wrong, sentence in [
        (b', "payment_id": "p2"}', "`payment_id` twice"),
        (b', "at": NaN}', "NaN is not JSON"),
    ]:
        with pytest.raises(BadPayment, match=sentence):
            read_event(text + wrong, label=label)
