"""Azure ML's schema: the published request answered in the published shape, by real decisions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.protocols.conftest import COLUMNS, FACTS, SECRET, counted, values
from serve.service import Service
from shroff.errors import ConfigurationError
from shroff.serve.protocols.azureml import LABELS, Naming
from shroff.serve.protocols.rows import Outcome
from shroff.settings import Settings

ECHOED = FACTS[: FACTS.index("TransactionId") + 1]


def execute(
    service: Service, *rows: list[Any], columns: list[str] = COLUMNS, name: str = "transactionInfo"
) -> Any:
    body = {"Inputs": {name: {"ColumnNames": columns, "Values": rows}}, "GlobalParameters": {}}
    return service.request("POST", "/execute?api-version=2.0&details=true", json=body)


def fault(response: httpx.Response, status: int, code: str) -> str:
    error = response.json()["error"]
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert set(error) == {"code", "message", "details"}
    (detail,) = error["details"]
    assert (error["code"], detail["code"]) == (code, code)
    assert SECRET not in response.text
    return str(detail["message"])


def test_the_published_request_is_answered_in_the_published_shape(tables: Service) -> None:
    answer = execute(tables, values())
    assert answer.status_code == 200
    assert list(answer.json()) == ["Results"]
    result = answer.json()["Results"]["transactionPrediction"]
    assert list(result) == ["type", "value"]
    assert result["type"] == "table"
    assert list(result["value"]) == ["ColumnNames", "Values"]
    assert result["value"]["ColumnNames"] == [*ECHOED, "Scored Labels", "Scored Probabilities"]
    ((*echoed, label, probability),) = result["value"]["Values"]
    assert echoed == values()[: len(ECHOED)]
    assert label in LABELS.values()
    assert isinstance(probability, str)
    assert 0 <= float(probability) <= 1


def test_each_row_is_a_decision_like_any_other(tables: Service) -> None:
    row = values(TransactionId="azure-1")
    first = execute(tables, row)
    before = counted(tables)
    assert (
        execute(tables, row, row).json()["Results"]["transactionPrediction"]["value"]["Values"]
        == [first.json()["Results"]["transactionPrediction"]["value"]["Values"][0]] * 2
    )
    assert counted(tables) == before
    stored = tables.request("GET", "/v1/decisions/azure-1").json()
    label, probability = first.json()["Results"]["transactionPrediction"]["value"]["Values"][0][-2:]
    assert label == LABELS[stored["action"]]
    assert float(probability) == stored["probability"]


def test_many_rows_are_answered_in_their_order(tables: Service) -> None:
    rows = [values(TransactionId=f"many-{at}", TransactionAmount=str(at * 2)) for at in range(150)]
    answered = execute(tables, *rows, name="input1").json()["Results"]["output1"]["value"]["Values"]
    assert [row[ECHOED.index("TransactionId")] for row in answered] == [
        f"many-{at}" for at in range(150)
    ]
    assert len({row[-1] for row in answered}) > 100
    assert [float(row[-1]) for row in answered] == sorted(float(row[-1]) for row in answered)


def test_the_models_own_inputs_are_scored_and_not_counted(tables: Service) -> None:
    keep = ["TransactionAmount", *COLUMNS[19:26], "MCC", "HasHumanEmail"]
    row = dict(zip(COLUMNS, values(), strict=True))
    before = counted(tables)
    answer = execute(tables, [row[name] for name in keep], columns=keep).json()["Results"][
        "transactionPrediction"
    ]
    assert answer["value"]["ColumnNames"] == [*keep, "Scored Labels", "Scored Probabilities"]
    decided = execute(tables, values()).json()["Results"]["transactionPrediction"]["value"][
        "Values"
    ][0]
    assert answer["value"]["Values"][0][-2:] == decided[-2:]
    assert counted(tables) - before <= 1  # the decided one, when no other test came first


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"TransactionAmount": SECRET},
            "row 2: Expected a number from 0 to 100,000,000,000,000, got text",
        ),
        ({"TransactionAmount": "nan"}, "row 2: Expected `float`, got `null`"),
        ({"TransactionAmount": ""}, "row 2: Expected `float`, got `null`"),
        ({"TransactionId": None}, "row 2: "),
        ({"TransactionCurrency": SECRET}, "ISO 4217"),
        ({"TransactionResult": SECRET}, "not known yet"),
        ({"CardholderName": None}, "`$.CardholderName`"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_counted(
    tables: Service, changes: Any, sentence: str
) -> None:
    before = counted(tables)
    answer = execute(tables, values(TransactionId="fine"), values(**changes))
    assert sentence in fault(answer, 400, "BadArgument")
    assert counted(tables) == before


def test_another_payload_of_an_id_is_refused(tables: Service) -> None:
    execute(tables, values(TransactionId="azure-twice"))
    answer = execute(tables, values(TransactionId="azure-twice", TransactionAmount="1"))
    assert "row 1: this payment id came before" in fault(answer, 422, "PaymentConflict")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "one JSON object"),
        (b"{", "one JSON object"),
        (b"\xff", "one JSON object"),
        (b'{"x": ' + b"[" * 10_000, "one JSON object"),
        (b"{}", "`Inputs`"),
        (b'{"Inputs": {}}', "expected one table"),
        (b'{"Inputs": {"a": {"ColumnNames": ["x"]}}}', "`Values`"),
        (b'{"Inputs": {"a": {"ColumnNames": ["x", "x"], "Values": []}}}', "every column once"),
        (
            b'{"Inputs": {"a": {"ColumnNames": ["x"], "Values": [[1], [1, 2]]}}}',
            "row 2: expected 1 values",
        ),
        (b'{"Inputs": {"a": {"ColumnNames": ["x"], "Values": [[{}]]}}}', "got `object`"),
        (b'{"Inputs": {"a": {"ColumnNames": ["x"], "Values": [[1]]}}}', "holds the model's inputs"),
    ],
)
def test_what_is_no_request_is_refused(tables: Service, body: bytes, sentence: str) -> None:
    answer = tables.request(
        "POST", "/execute", content=body, headers={"content-type": "application/json"}
    )
    assert sentence in fault(answer, 400, "BadArgument")


def test_other_ways_to_ask_are_refused(tables: Service) -> None:
    version = tables.request("POST", "/execute?api-version=1.0", json={"Inputs": {}})
    assert "api-version=2.0" in fault(version, 400, "BadArgument")
    assert "POST" in fault(tables.request("GET", "/execute"), 405, "MethodNotAllowed")
    assert "application/json" in fault(
        tables.request("POST", "/execute", data={"a": "b"}), 415, "UnsupportedMediaType"
    )
    large = tables.request(
        "POST", "/execute", content=b"x" * 2_000_000, headers={"content-type": "application/json"}
    )
    assert "1,048,576" in fault(large, 413, "TooLarge")
    assert tables.log.read_text() == ""


def test_what_a_request_does_not_tell_can_be_set() -> None:
    naming = Naming.read(
        Settings(
            azureml_result="scored", azureml_echo="b, a,gone", azureml_probability_of="success"
        )
    )
    assert naming.result_name("anything") == "scored"
    assert naming.echoed(["a", "id", "b"], "id") == ["b", "a"]
    assert naming.probability(Outcome("approve", 0.25)) == "0.75"
    assert naming.probability(Outcome("review", None)) is None
    assert Naming.read(Settings()) == Naming()
    with pytest.raises(ConfigurationError, match="`fraud` or `success`"):
        Naming.read(Settings(azureml_probability_of="luck"))


@given(columns=st.lists(st.text(min_size=1), unique=True, min_size=1), data=st.data())
def test_the_echo_is_a_beginning_that_ends_with_the_id(
    columns: list[str], data: st.DataObject
) -> None:
    identifier = data.draw(st.sampled_from(columns))
    echoed = Naming().echoed(columns, identifier)
    assert [*echoed, *columns[len(echoed) :]] == columns
    assert echoed[-1] == identifier
    assert Naming().echoed(columns, "".join(columns) + "x") == columns
