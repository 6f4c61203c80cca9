"""Spans of requests and stages, sent by OpenTelemetry's SDK; the only file that imports it.

The standard `OTEL_…` variables switch it on and configure it: the SDK reads them (endpoint,
headers, sampler, batches, resource, limits).
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Timer
from time import perf_counter_ns, time_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shroff import __version__
from shroff.telemetry.tracing import Headers, Span, Trace

RECORDED_SHARE: Final = 0.01
"""The recorded share of requests without a `traceparent`, unless the environment names a sampler.
"""
_FLUSH_SECONDS: Final = 3.0
_MAX_SPAN_PAYMENTS: Final = 64
"""Payments of one request whose stages are recorded; a batch may have more."""


class Recorded:
    """One request that is recorded."""

    __slots__ = ("_inside", "_method", "_offset", "_payments", "_span", "_tracer")

    def __init__(self, tracer: Tracer, span: SdkSpan, method: str) -> None:
        self._tracer = tracer
        self._span = span
        self._method = method
        self._inside = set_span_in_context(span, Context())
        self._offset = time_ns() - perf_counter_ns()
        self._payments = 0

    def stages(self, spans: Mapping[str, Span]) -> None:
        """Add a child span for each stage."""
        self._payments += 1
        if self._payments > _MAX_SPAN_PAYMENTS:
            return
        for name, (begin, end) in spans.items():
            child = self._tracer.start_span(name, self._inside, start_time=begin + self._offset)
            child.end(end + self._offset)

    def end(self, route: str, status: int) -> None:
        """Name the span, set its status, and queue it for sending."""
        span = self._span
        span.update_name(f"{self._method} {route}")
        span.set_attribute("http.request.method", self._method)
        span.set_attribute("http.route", route)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class Recorder:
    """Records the requests that the sampler chooses: as the caller's `traceparent` says, else a
    share of them.

    Args:
        sampler: None takes the one that the environment names.
    """

    records = True

    def __init__(self, *, sampler: Sampler | None = None) -> None:
        own = Resource({"service.name": "shroff", "service.version": __version__})
        self._provider = TracerProvider(
            sampler=sampler,
            resource=own.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("shroff", __version__)
        self._extract = TraceContextTextMapPropagator().extract

    def begin(self, method: str, headers: Headers) -> Trace:
        """The trace of a request: its own, or a new one."""
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in (b"traceparent", b"tracestate")
        }
        parent = self._extract(carrier, Context()) if carrier else Context()
        span = self._tracer.start_span(method, parent, kind=SpanKind.SERVER)
        context = span.get_span_context()
        answer = _traceparent(context) if "traceparent" in carrier else None
        recording = Recorded(self._tracer, span, method) if span.is_recording() else None
        return Trace(f"{context.trace_id:032x}", answer, recording)

    def close(self) -> None:
        """Send what waits for at most three seconds: a dead collector must not delay the end."""
        patience = Timer(_FLUSH_SECONDS, self._exporter.shutdown)
        patience.start()
        self._provider.shutdown()
        patience.cancel()


def recorder(*, named: bool) -> Recorder:
    """The recording tracer; unless `named` in the environment, 1 % of requests are recorded."""
    return Recorder(sampler=None if named else ParentBasedTraceIdRatio(RECORDED_SHARE))


def _traceparent(context: SpanContext) -> bytes:
    return b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)
