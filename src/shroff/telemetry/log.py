"""The log of the service on standard error: readable text, or one JSON object a line.

No line holds a payload or a token. Our own sentences name columns and kinds, never values. Other
libraries may log anything, so only the fixed part of their lines is written: no arguments, and of
an exception its type and place.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

import msgspec

from shroff.telemetry.meter import Meter
from shroff.telemetry.tracing import CURRENT

Style = Literal["text", "json"]

_ROOT_LOGGER: Final = "shroff"
_log = logging.getLogger(__name__)


def write_log(style: Style) -> None:
    """Write the log of this process to standard error, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines() if style == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT_LOGGER).setLevel(logging.INFO)


def say_listening(url: str) -> None:
    """Log that the service accepts connections at this URL."""
    _log.info(
        "listens on %s; ready when %s/health/ready says so.", url, url, extra={"event": "listening"}
    )


def say_consuming(sentence: str) -> None:
    """Log that the consumer begins to read."""
    _log.info("%s", sentence, extra={"event": "consuming"})


def lost(meter: Meter, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's exception handler; the default one would log the arguments of a callback."""
    meter.failures["unexpected"] += 1
    error = context.get("exception")
    kind = type(error).__name__ if isinstance(error, BaseException) else "error"
    where = _where(error.__traceback__) if isinstance(error, BaseException) else ""
    _log.error("unexpected %s outside any request\n%s", kind, where, extra={"event": "unexpected"})


class _Lines(logging.Formatter):
    """One JSON object a line: time, level, event, trace id or null, message, more fields."""

    def format(self, record: logging.LogRecord) -> str:
        trace = CURRENT.get()
        line = {
            "time": _time(record).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": _event(record),
            "trace_id": None if trace is None else trace.id,
            "message": _message(record),
            **getattr(record, "fields", {}),
        }
        return msgspec.json.encode(line).decode()


class _Text(logging.Formatter):
    """Time, level and sentence."""

    def format(self, record: logging.LogRecord) -> str:
        trace = CURRENT.get()
        of = "" if trace is None else f" [trace {trace.id}]"
        return (
            f"{_time(record):%Y-%m-%d %H:%M:%S.%f} {record.levelname.lower()}: "
            f"{_message(record)}{of}"
        )


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _event(record: logging.LogRecord) -> str:
    return str(getattr(record, "event", record.name))


def _message(record: logging.LogRecord) -> str:
    if record.name.split(".")[0] == _ROOT_LOGGER:
        said = record.getMessage()
    else:
        # asyncio logs values after the first line
        said = (
            str(record.msg).partition("\n")[0]
            if isinstance(record.msg, str)
            else type(record.msg).__name__
        )
    error = record.exc_info[1] if record.exc_info else None
    return (
        said if error is None else f"{said}: {type(error).__name__}\n{_where(error.__traceback__)}"
    )


def _where(trace: TracebackType | None) -> str:
    return "".join(
        f"{frame.filename}:{frame.lineno} in {frame.name}\n"
        for frame in traceback.extract_tb(trace)
    )
