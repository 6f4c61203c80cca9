"""Requests that the OpenAPI description allows, and requests that it does not: every answer is as
it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.fuzz.described import fuzz

from serve.fuzzable import NAMES, fuzzable
from serve.service import Service


def test_every_answer_to_hundreds_of_requests_is_as_described(tmp_path: Path) -> None:
    with fuzzable(tmp_path) as (service, token):
        found = fuzz(service.url, token, examples=8, seed=1, names=NAMES)
        described = service.request("GET", "/openapi.json").json()["paths"]
        log = service.log.read_text()
    assert [failure for one in found for failure in one.failures] == []
    operations = {
        f"{method.upper()} {path}" for path, methods in described.items() for method in methods
    }
    assert {one.operation for one in found if one.cases} == operations
    assert sum(one.cases for one in found) > 1_000
    assert "unexpected" not in log


class TestWhatItFound:
    """Defects that random requests met."""

    def test_types_of_one_name_in_two_interfaces_are_both_described(self, service: Service) -> None:
        document = service.request("GET", "/openapi.json").json()
        taken = document["paths"]["/v1/payments/{payment_id}/result"]["post"]["requestBody"]
        reference = taken["content"]["application/json"]["schema"]["$ref"]
        described = document["components"]["schemas"][reference.rpartition("/")[2]]
        assert described["properties"].keys() == {"result", "at"}

    @pytest.mark.parametrize("fraud", [0, 1, "true", "0"])
    def test_what_is_not_a_truth_is_no_label(self, service: Service, fraud: object) -> None:
        refused = service.request("POST", "/v1/payments/fuzz/label", json={"fraud": fraud})
        assert refused.status_code == 400
        assert "Expected `bool`" in refused.json()["detail"]

    def test_a_method_is_offered_only_where_it_is_answered(self, service: Service) -> None:
        refused = service.request("DELETE", "/v1/models/logistic_regression:predict")
        assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST")

    def test_an_empty_batch_needs_no_body(self, service: Service) -> None:
        document = service.request("GET", "/openapi.json").json()
        assert document["paths"]["/v1/decisions:batch"]["post"]["requestBody"]["required"] is False

    @pytest.mark.parametrize("version", ["", "1.0"])
    def test_an_empty_version_is_another_one(self, service: Service, version: str) -> None:
        tables: dict[str, Any] = {"Inputs": {"input1": {"ColumnNames": [], "Values": []}}}
        refused = service.request(
            "POST", f"/execute?api-version={version}&details=true", json=tables
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BadArgument")
        assert "api-version=2.0" in refused.text
