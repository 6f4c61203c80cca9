"""The tracer that the standard variables of OpenTelemetry ask for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from shroff.errors import ConfigurationError
from shroff.telemetry.tracing import PassThrough, Tracer

_HTTP: Final = "http/protobuf"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_log = logging.getLogger(__name__)


def tracer(environment: Mapping[str, str]) -> Tracer:
    """The tracer that the `OTEL_…` variables ask for.

    Raises:
        ConfigurationError: they ask for an exporter or a protocol other than OTLP over HTTP.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    wanted = exporter or any(environment.get(name) for name in _ENDPOINTS)
    if (
        not wanted
        or exporter == "none"
        or environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    ):
        return PassThrough()
    protocol = environment.get(_PROTOCOLS[0]) or environment.get(_PROTOCOLS[1]) or _HTTP
    if exporter not in ("", "otlp") or protocol != _HTTP:
        raise ConfigurationError(
            "traces are sent by OTLP over HTTP: set OTEL_TRACES_EXPORTER to `otlp` or `none`, and "
            f"{_PROTOCOLS[1]} to `{_HTTP}`."
        )
    try:
        from shroff.telemetry.spans import recorder
    except ModuleNotFoundError:
        # tracing is optional: payments are decided without it
        _log.warning(
            "traces are not recorded: pip install 'shroff[telemetry]', or unset the variables "
            "`OTEL_…`.",
            extra={"event": "traces_off"},
        )
        return PassThrough()
    return recorder(named=bool(environment.get("OTEL_TRACES_SAMPLER")))
