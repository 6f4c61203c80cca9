"""MLflow's scoring server: every shape of table, CSV, ping and version."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from serve.protocols.conftest import COLUMNS, SECRET, counted, values
from serve.service import Service
from shroff import __version__

Json = dict[str, Any]
Pay = Callable[..., Json]


def invoke(service: Service, body: Json) -> Any:
    return service.request("POST", "/invocations", json=body)


def as_csv(columns: list[str], *rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode()


def post_csv(service: Service, content: bytes) -> Any:
    headers = {"content-type": "text/csv; charset=utf-8"}
    return service.request("POST", "/invocations", content=content, headers=headers)


def test_every_shape_of_a_table_is_one_and_the_same(service: Service, pay: Pay) -> None:
    rows = [pay(payment_id=f"mlflow-{at}", amount=at + 1.5) for at in range(3)]
    columns, data = list(rows[0]), [list(row.values()) for row in rows]
    first = invoke(
        service, {"dataframe_split": {"index": [0, 1, 2], "columns": columns, "data": data}}
    )
    predictions = first.json()["predictions"]
    assert [one["payment_id"] for one in predictions] == ["mlflow-0", "mlflow-1", "mlflow-2"]
    assert (
        predictions[0]["probability"]
        == service.request("GET", "/v1/decisions/mlflow-0").json()["probability"]
    )
    before = counted(service)
    for body in (
        {"dataframe_records": rows, "params": {"temperature": 1}},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {name: [row[name] for row in rows] for name in columns}},
    ):
        assert invoke(service, body).json() == first.json()
    assert post_csv(service, as_csv(columns, *data)).json() == first.json()
    assert counted(service) == before


def test_a_csv_with_copies_of_columns_and_empty_cells_is_read(tables: Service) -> None:
    row = values(TransactionId="mlflow-csv")
    (prediction,) = post_csv(tables, b"\xef\xbb\xbf" + as_csv(COLUMNS, row, [])).json()[
        "predictions"
    ]
    body = {"Inputs": {"input1": {"ColumnNames": COLUMNS, "Values": [row]}}}
    azure = tables.request("POST", "/execute", json=body).json()["Results"]["output1"]["value"][
        "Values"
    ][0]
    assert float(azure[-1]) == prediction["probability"]


def test_quotes_behind_backslashes_are_read_as_meant_or_refused_with_their_row(
    service: Service, pay: Pay
) -> None:
    def sent(name: str, merchants: list[str]) -> Any:
        rows = [pay(payment_id=f"{name}-{at}", merchant_id="M") for at in range(len(merchants))]
        text = as_csv(list(rows[0]), *(list(row.values()) for row in rows)).decode()
        for merchant in merchants:
            text = text.replace(",M,", f",{merchant},", 1)
        return post_csv(service, text.encode())

    read = sent("spark", ['"TV 42\\" Set"', "B", '"TV 55\\" Set"', "C"]).json()["predictions"]
    assert [one["payment_id"] for one in read] == [f"spark-{at}" for at in range(4)]
    message = refused(sent("torn", ["B", '"TV" 42']), 400, "BAD_PAYMENT")
    assert (
        message == "row 2: expected quotes that are closed, and doubled inside a text, got others."
    )


def test_ping_and_version(service: Service) -> None:
    ping = service.request("GET", "/ping")
    assert (ping.status_code, ping.content, ping.headers["content-type"]) == (
        200,
        b"\n",
        "text/plain",
    )
    assert service.request("GET", "/version").text == __version__


def refused(answer: Any, status: int, code: str) -> str:
    body = answer.json()
    assert (answer.status_code, set(body), body["error_code"]) == (
        status,
        {"error_code", "message"},
        code,
    )
    assert SECRET not in answer.text
    return str(body["message"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "got none of them"),
        ({"instances": [], "inputs": []}, "got 2 of them"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "row 1: expected 1 values"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": []}}, "every column once"),
        ({"dataframe_records": [{"payment_id": SECRET * 10}]}, "row 1: "),
        ({"inputs": [[1, 2]]}, "Expected `object`"),
    ],
)
def test_a_wrong_table_is_one_sentence(service: Service, body: Json, sentence: str) -> None:
    assert sentence in refused(invoke(service, body), 400, "BAD_PAYMENT")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b'a,b\n1,"2', b"a\n" + b"x" * 200_000, b"a,a\n1,2"]
)
def test_what_is_no_csv_is_refused(service: Service, content: bytes) -> None:
    refused(post_csv(service, content), 400, "BAD_PAYMENT")
    assert service.log.read_text() == ""


def test_other_refusals_have_the_shape_too(service: Service, pay: Pay) -> None:
    invoke(service, {"instances": [pay(payment_id="mlflow-twice")]})
    again = invoke(service, {"instances": [pay(payment_id="mlflow-twice", amount=1)]})
    assert "another payload" in refused(again, 422, "PAYMENT_CONFLICT")
    form = service.request("POST", "/invocations", data={"a": SECRET})
    assert "text/csv" in refused(form, 415, "UNSUPPORTED_MEDIA_TYPE")
    refused(service.request("GET", "/invocations"), 405, "METHOD_NOT_ALLOWED")
