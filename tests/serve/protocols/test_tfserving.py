"""TensorFlow Serving's REST: what its documentation shows with curl, answered by decisions and
scores.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serve.fixtures import PREPARATION
from serve.protocols.conftest import SECRET, counted
from serve.service import Service, needs_curl
from shroff.decide.decider import Decider
from shroff.package import Bundle

Json = dict[str, Any]
Pay = Callable[..., Json]
MODEL = "/v1/models/logistic_regression"


def predict(service: Service, body: Json, place: str = MODEL) -> Any:
    # no content type: the stock call has none of its own
    return service.request("POST", f"{place}:predict", content=json.dumps(body))


def ready_made(amount: float) -> Json:
    row: Json = dict.fromkeys(PREPARATION.names, 1.0)
    return row | {"amount": amount, "mcc": 5411, "part_of_day": "Morning"}


@needs_curl
def test_the_stock_call_is_answered(service: Service, pay: Pay) -> None:
    body = json.dumps(
        {"instances": [pay(payment_id="tf-1"), pay(payment_id="tf-2", host_id="10.6.6.6")]}
    )
    command = ["curl", "-sS", "-d", body, "-X", "POST", f"{service.url}{MODEL}:predict"]
    first, second = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[
        "predictions"
    ]
    for number, prediction in enumerate((first, second), start=1):
        stored = service.request("GET", f"/v1/decisions/tf-{number}").json()
        assert prediction == {name: stored[name] for name in prediction}
        assert set(prediction) == {"payment_id", "decision_id", "action", "probability"}
    assert second["action"] == "decline"


def test_columns_are_answered_with_columns(service: Service, pay: Pay) -> None:
    rows = [pay(payment_id=f"tf-column-{at}", amount=at + 1.0) for at in range(3)]
    by_row = predict(service, {"instances": rows}).json()["predictions"]
    before = counted(service)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    by_column = predict(service, {"inputs": columns}).json()["outputs"]
    assert by_column == {name: [row[name] for row in by_row] for name in by_row[0]}
    assert counted(service) == before


def test_ready_made_inputs_are_scored_and_not_counted(service: Service, bundle: Bundle) -> None:
    before = counted(service)
    predictions = predict(service, {"instances": [ready_made(10), ready_made(90)]}).json()[
        "predictions"
    ]
    decider = Decider(bundle)
    rows = [ready_made(amount) | {"mcc": "5411"} for amount in (10.0, 90.0)]
    expected = decider.rate(decider.prepare(rows))
    assert [one["probability"] for one in predictions] == [one.probability for one in expected]
    assert [one["action"] for one in predictions] == [one.action for one in expected]
    assert all(one["payment_id"] is None and one["decision_id"] is None for one in predictions)
    assert counted(service) == before


def test_payments_and_ready_made_inputs_may_come_together(service: Service, pay: Pay) -> None:
    sent = [ready_made(10), pay(payment_id="tf-mixed"), ready_made(10)]
    predictions = predict(service, {"instances": sent}).json()["predictions"]
    assert [one["payment_id"] for one in predictions] == [None, "tf-mixed", None]
    assert predictions[0] == predictions[2]
    assert predict(service, {"instances": []}).json() == {"predictions": []}
    assert predict(service, {"inputs": {}}).json()["outputs"]["probability"] == []


def test_status_and_metadata_are_the_stock_ones(service: Service) -> None:
    status = service.request("GET", MODEL).json()["model_version_status"]
    (only,) = status
    assert only["version"].isdigit()
    assert (only["state"], only["status"]) == (
        "AVAILABLE",
        {"error_code": "OK", "error_message": ""},
    )
    version = f"{MODEL}/versions/{only['version']}"
    assert service.request("GET", version).json()["model_version_status"] == status
    metadata = service.request("GET", f"{version}/metadata").json()
    assert metadata["model_spec"] == {
        "name": "logistic_regression",
        "signature_name": "",
        "version": only["version"],
    }
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["amount"]["dtype"] == "DT_DOUBLE"
    assert signature["inputs"]["card_id"]["dtype"] == "DT_STRING"
    assert set(signature["outputs"]) == {"probability", "action", "payment_id", "decision_id"}
    assert predict(service, {"instances": []}, version).status_code == 200
    own = service.request("GET", "/v1/models").json()[0]["version"]
    assert predict(service, {"instances": []}, f"{MODEL}/versions/{own}").status_code == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "neither or both"),
        ({"instances": [], "inputs": {}}, "neither or both"),
        ({"instances": [[1.0]]}, "Expected `object`"),
        ({"instances": [{"payment_id": [1]}]}, "got `array`"),
        (
            {"instances": [{}]},
            "row 1: a row without `payment_id` holds the model's inputs: expected the feature",
        ),
        (
            {"instances": [ready_made(1) | {"amount": SECRET}]},
            "expected a number in the feature `amount`, got str",
        ),
        ({"instances": [ready_made(10**400)]}, "far too large"),
        ({"instances": [], "signature_name": SECRET}, "`serving_default`"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "columns of one length, got 1 to 2 values"),
        ({"instances": [{"payment_id": "tf-bad", f"{SECRET} {SECRET}": 1}]}, "unknown field"),
    ],
)
def test_a_wrong_request_is_one_sentence(service: Service, body: Json, sentence: str) -> None:
    answer = predict(service, body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert sentence in answer.json()["error"]
    assert SECRET not in answer.text
    assert service.log.read_text() == ""


def test_what_is_not_there_is_told_in_the_protocols_own_shape(service: Service) -> None:
    asked = [
        ("POST", f"/v1/models/{SECRET}:predict"),
        ("POST", f"{MODEL}/versions/1:predict"),
        ("GET", f"{MODEL}/labels/stable"),
        ("GET", f"/v1/models/{SECRET}/metadata"),
    ]
    for method, path in asked:
        answer = service.request(method, path, content=b"{}" if method == "POST" else None)
        assert (answer.status_code, list(answer.json())) == (404, ["error"]), path
        assert SECRET not in answer.text
    answer = service.request("DELETE", MODEL)
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (
        405,
        "GET, HEAD, OPTIONS",
        ["error"],
    )
    assert np.shape(service.request("GET", "/v1/models").json()) == (1,)
