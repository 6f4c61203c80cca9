"""Traces, as a collector receives them: a real OTLP receiver over HTTP, and the service in a
process of its own.
"""

from __future__ import annotations

import gzip
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from patience import until
from serve.service import Service
from shroff.errors import ConfigurationError
from shroff.telemetry.configure import tracer
from shroff.telemetry.meter import STAGES
from shroff.telemetry.tracing import PassThrough

Pay = Callable[..., dict[str, Any]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
ABOVE = "b7ad6b7169203331"
CAME = f"00-{TRACE}-{ABOVE}-01"


class Collector(ThreadingHTTPServer):
    """Decodes what is exported to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.raw = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def until(self, number: int) -> list[Span]:
        until(lambda: len(self.spans) >= number)
        return self.spans


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = group.resource.attributes
            self.server.resources.append({item.key: item.value.string_value for item in attributes})
            for scope in group.scope_spans:
                self.server.spans += scope.spans
        self.server.raw += body
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def traced(bundle: Path, home: Path, collector: Collector, **more: str) -> Iterator[Service]:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "payments",
        # of requests without a trace one in a hundred would be recorded: by chance the one that
        # asks for readiness
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        **more,
    }
    with Service(bundle, home, environment=environment) as service:
        yield service


def decide(service: Service, payment: dict[str, Any], **headers: str) -> httpx.Response:
    """The answer to a payment; where a service is shared, so are ids."""
    payment = payment | {"payment_id": f"{payment['payment_id']}-{token_hex(4)}"}
    return service.request("POST", "/v1/decisions", json=payment, headers=headers)


def test_a_request_is_a_span_with_its_stages_in_the_trace_it_came_with(
    bundle_folder: Path, tmp_path: Path, collector: Collector, pay: Pay
) -> None:
    payment = pay(payment_id="my-own-id", card_id="c-4711")
    with traced(bundle_folder, tmp_path / "home", collector) as service:
        answer = decide(service, payment, traceparent=CAME)
        spans = collector.until(7)
    by_name = {span.name: span for span in spans}
    whole = by_name.pop("POST /v1/decisions")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, ABOVE)
    assert whole.kind == Span.SPAN_KIND_SERVER
    assert answer.headers["traceparent"][:36] == f"00-{TRACE}-"
    assert answer.headers["traceparent"][36:52] == whole.span_id.hex()
    assert {one.key: one.value for one in whole.attributes}[
        "http.response.status_code"
    ].int_value == 200
    stages = [by_name.pop(stage) for stage in STAGES if stage != "whole"]
    assert not by_name
    for stage in stages:
        assert (stage.trace_id, stage.parent_span_id) == (whole.trace_id, whole.span_id)
        assert whole.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
        assert stage.end_time_unix_nano <= whole.end_time_unix_nano
    for before, after in pairwise(stages):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    assert collector.resources[0]["service.name"] == "payments"
    for value in ("my-own-id", "c-4711", payment["email"], payment["host_id"]):
        assert value.encode() not in collector.raw


def test_routes_that_are_not_hot_and_refusals_are_spans_too(
    bundle_folder: Path, tmp_path: Path, collector: Collector
) -> None:
    with traced(bundle_folder, tmp_path / "home", collector) as service:
        found = service.request("GET", "/v1/decisions/p%2F1", headers={"traceparent": CAME})
        broken = service.request(
            "POST", "/v1/decisions", content=b"{", headers={"traceparent": CAME}
        )
        spans = collector.until(2)
    assert {found.status_code, broken.status_code} == {404, 400}
    assert {span.name for span in spans} == {"GET /v1/decisions/{payment_id}", "POST /v1/decisions"}
    assert all(
        answer.headers["traceparent"].startswith(f"00-{TRACE}-") for answer in (found, broken)
    )


def test_who_asks_decides_whether_it_is_recorded_and_so_does_the_sampler(
    bundle_folder: Path, tmp_path: Path, collector: Collector, pay: Pay
) -> None:
    with traced(
        bundle_folder, tmp_path / "home", collector, OTEL_TRACES_SAMPLER="parentbased_always_off"
    ) as service:
        assert "traceparent" not in decide(service, pay()).headers
        unsampled = decide(service, pay(), traceparent=f"00-{TRACE}-{ABOVE}-00")
        decide(service, pay(), traceparent=CAME)
        collector.until(7)
    assert unsampled.headers["traceparent"].endswith("-00")
    assert len(collector.spans) == 7


def test_without_opentelemetry_what_came_is_given_back(service: Service, pay: Pay) -> None:
    assert decide(service, pay(), traceparent=CAME).headers["traceparent"] == CAME
    assert (
        service.request("GET", "/v1/models", headers={"traceparent": CAME}).headers["traceparent"]
        == CAME
    )
    assert "traceparent" not in decide(service, pay()).headers


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "4111111111111111",
        CAME[:-1],
        CAME.upper(),
        f"ff{CAME[2:]}",
        CAME.replace(TRACE, "0" * 32),
    ],
)
def test_what_is_no_traceparent_is_not_repeated(service: Service, pay: Pay, garbage: str) -> None:
    answer = decide(service, pay(), traceparent=garbage)
    assert answer.status_code == 200
    assert "traceparent" not in answer.headers


def test_a_collector_that_is_away_costs_no_payment(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "20"}
    with Service(
        bundle_folder, tmp_path / "home", environment=away | {"OTEL_TRACES_SAMPLER": "always_on"}
    ) as service:
        assert decide(service, pay()).status_code == 200


def test_only_the_standard_variables_switch_it_on() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    for off in ({}, {"OTEL_SERVICE_NAME": "x"}, endpoint | {"OTEL_SDK_DISABLED": "true"}):
        assert isinstance(tracer(off), PassThrough)
    assert isinstance(tracer(endpoint | {"OTEL_TRACES_EXPORTER": "none"}), PassThrough)
    for wrong in (
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        endpoint | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ):
        with pytest.raises(ConfigurationError, match="OTLP over HTTP"):
            tracer(wrong)


def test_without_the_extra_payments_are_decided_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "shroff.telemetry.spans", None)
    with caplog.at_level(logging.WARNING):
        assert isinstance(tracer({"OTEL_TRACES_EXPORTER": "otlp"}), PassThrough)
    assert "pip install 'shroff[telemetry]'" in caplog.text
