"""The costliest bodies we know, for every route that takes one."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from serve.fixtures import iso
from shroff.collect.json_text import VALUES
from shroff.serve.asgi import MAX_BODY_BYTES

MODEL: Final = "logistic_regression"
_JSON: Final = "application/json"


@dataclass(frozen=True)
class Case:
    """A body, made when it is sent, for a route; `status` is what it is answered with."""

    name: str
    path: str
    body: Callable[[], bytes]
    media: str = _JSON
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def filled(before: bytes, unit: bytes, after: bytes = b"", *, size: int = MAX_BODY_BYTES) -> bytes:
    """As many units as fit between two ends."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def payment(number: int) -> dict[str, object]:
    """A payment of now."""
    return {
        "payment_id": f"n{time.time_ns()}-{number}",
        "created_at": iso(time.time()),
        "amount": 80.0,
        "currency": "EUR",
        "card_id": f"c{number % 97}",
    }


def _payments(number: int) -> list[dict[str, object]]:
    return [payment(at) for at in range(number)]


def _lines(number: int) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in _payments(number))


def _table(number: int) -> bytes:
    rows = _payments(number)
    split = {"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}
    return json.dumps({"dataframe_split": split}).encode()


def _tensor(shape: str, data: bytes, datatype: str = "FP32") -> bytes:
    head = b'{"inputs":[{"name":"X","shape":%b,"datatype":"%b",' % (
        shape.encode(),
        datatype.encode(),
    )
    return filled(head + b'"data":[', data, b"0]}]}")


def _binary(datatype: str, shape: Sequence[int], size: int) -> tuple[bytes, str]:
    """A tensor whose values are bytes behind the JSON, and how long the JSON is."""
    tensor = {
        "name": "X",
        "shape": shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + bytes(size), str(len(head))


def _most(before: bytes, unit: bytes, after: bytes) -> bytes:
    """As many objects or values as a body may have, almost."""
    number = (_NESTED if b"{" in unit else VALUES) - 8
    return before + unit * number + after


def _columns(number: int, rows: int) -> bytes:
    return json.dumps({"inputs": {f"c{at}": [at] * rows for at in range(number)}}).encode()


def _rates(number: int) -> bytes:
    moments = [iso(at * 90_000) for at in range(number)]
    return json.dumps(
        {"rates": [{"currency": "JPY", "rate": "0.01", "since": at} for at in moments]}
    ).encode()


_IGNORED: Final = (
    b'{"payment_id":"n","created_at":"2026-01-01T00:00:00Z","amount":8,"currency":"EUR",'
    b'"card_id":"c","note":['
)
_NESTED: Final = VALUES // 2
_QUOTED: Final = 262_144
_HALF: Final = MAX_BODY_BYTES // 2
_INFER, _PREDICT = f"/v2/models/{MODEL}/infer", f"/v1/models/{MODEL}:predict"
_LABEL, _LIST = "/v1/payments/n1/label", "/v1/lists/blocked/edits"
_BATCH, _LINES = "/v1/decisions:batch", "application/x-ndjson"


def _binary_case(name: str, datatype: str, shape: Sequence[int]) -> Case:
    body, length = _binary(datatype, shape, _HALF)
    headers = {"inference-header-content-length": length}
    return Case(name, _INFER, lambda: body, status=413, headers=headers)


CASES: Final = (
    Case(
        "payment: ignored field",
        "/v1/decisions",
        lambda: filled(_IGNORED, b"{},", b"{}]}"),
        status=200,
    ),
    Case(
        "payment: key twice in it", "/v1/decisions", lambda: filled(_IGNORED, b'{"":0},', b"{}]}")
    ),
    Case("payment: NaN behind texts", "/v1/decisions", lambda: filled(_IGNORED, b'"",', b"NaN]}")),
    Case("payment: long text", "/v1/decisions", lambda: filled(b'{"payment_id":"', b"4 ", b'"}')),
    Case("payment: no JSON", "/v1/decisions", lambda: b"[" * MAX_BODY_BYTES),
    Case("batch: {} lines", _BATCH, lambda: b"{}\n" * (MAX_BODY_BYTES // 3), _LINES, 200),
    Case("batch: blank lines", _BATCH, lambda: b"\n" * MAX_BODY_BYTES, _LINES, 200),
    Case(
        "batch: blank lines, gzip",
        _BATCH,
        lambda: gzip.compress(b"\n" * 20_000_000),
        _LINES,
        413,
        {"content-encoding": "gzip"},
    ),
    Case("batch: payments", _BATCH, lambda: _lines(2_000), _LINES, 200),
    Case(
        "batch: one line of ignored", _BATCH, lambda: filled(_IGNORED, b"{},", b"{}]}"), _LINES, 200
    ),
    Case(
        "mlflow: [] rows",
        "/invocations",
        lambda: filled(b'{"dataframe_split":{"columns":[],"data":[', b"[],", b"[]]}}"),
    ),
    Case(
        "mlflow: {} records",
        "/invocations",
        lambda: filled(b'{"dataframe_records":[', b"{},", b"{}]}"),
    ),
    Case("mlflow: NaN", "/invocations", lambda: filled(b'{"inputs":{"a":[', b"NaN,", b"0]}}")),
    Case("mlflow: texts", "/invocations", lambda: filled(b'{"inputs":{"a":[', b'"",', b"0]}}")),
    Case(
        "mlflow: params", "/invocations", lambda: filled(b'{"params":{"a":[', b'{"":0},', b"{}]}}")
    ),
    Case(
        "mlflow: many columns",
        "/invocations",
        lambda: json.dumps({"instances": [{f"c{at}": at for at in range(60_000)}]}).encode(),
        status=413,
    ),
    Case("mlflow: payments", "/invocations", lambda: _table(1_000), status=200),
    Case("mlflow: too many payments", "/invocations", lambda: _table(4_000), status=413),
    Case("csv: short rows", "/invocations", lambda: b"a\n" * _HALF, "text/csv", status=413),
    Case(
        "csv: blank lines",
        "/invocations",
        lambda: b"a\n" + b"\n" * (MAX_BODY_BYTES - 2),
        "text/csv",
        status=413,
    ),
    Case("csv: commas", "/invocations", lambda: b"," * MAX_BODY_BYTES, "text/csv"),
    Case("csv: quotes", "/invocations", lambda: filled(b"", b'"a",b\n'), "text/csv"),
    Case(
        "csv: quotes, few rows",
        "/invocations",
        lambda: filled(b"a\n", b'"' + b"a" * 2_000 + b'"\n'),
        "text/csv",
        status=413,
    ),
    Case("csv: backslashes", "/invocations", lambda: filled(b"", b"a\\b,b\n"), "text/csv"),
    Case(
        "azure: [] rows",
        "/execute",
        lambda: filled(b'{"Inputs":{"i":{"ColumnNames":[],"Values":[', b"[],", b"[]]}}}"),
    ),
    Case(
        "azure: wide row",
        "/execute",
        lambda: json.dumps(
            {
                "Inputs": {
                    "i": {
                        "ColumnNames": [f"c{at}" for at in range(40_000)],
                        "Values": [["1"] * 40_000],
                    }
                }
            }
        ).encode(),
    ),
    Case(
        "azure: tables",
        "/execute",
        lambda: (
            b'{"Inputs":{%b}}'
            % b",".join(b'"t%d":{"ColumnNames":[],"Values":[]}' % at for at in range(20_000))
        ),
    ),
    Case("tensorflow: {} instances", _PREDICT, lambda: filled(b'{"instances":[', b"{},", b"{}]}")),
    Case("tensorflow: column", _PREDICT, lambda: filled(b'{"inputs":{"amount":[', b"1,", b"0]}}")),
    Case("tensor: numbers", _INFER, lambda: _tensor("[52000,10]", b"0,")),
    Case("tensor: rows", _INFER, lambda: _tensor("[52000,10]", b"[0],")),
    Case("tensor: dimensions", _INFER, lambda: _tensor("[%s2]" % ("7," * 52_000), b"0,")),
    _binary_case("tensor: bytes as truths", "BOOL", [_HALF]),
    _binary_case("tensor: bytes as halves", "FP16", [_HALF // 2]),
    _binary_case("tensor: bytes as texts", "BYTES", [_HALF // 4]),
    Case(
        "mlflow: most {}",
        "/invocations",
        lambda: _most(b'{"dataframe_records":[', b'{"":0},', b"{}]}"),
        status=413,
    ),
    Case(
        "mlflow: most values",
        "/invocations",
        lambda: _most(b'{"inputs":{"a":[', b'"",', b"0]}}"),
        status=413,
    ),
    Case(
        "mlflow: most NaN",
        "/invocations",
        lambda: _most(b'{"inputs":{"a":[', b"NaN,", b"0]}}"),
        status=413,
    ),
    Case(
        "mlflow: long numbers",
        "/invocations",
        lambda: filled(b'{"inputs":{"a":[', b"9" * 4_200 + b",", b"0]}}"),
    ),
    Case(
        "csv: most rows", "/invocations", lambda: b"amount,items\n" + b"1,2\n" * 1_024, "text/csv"
    ),
    Case(
        "csv: most quotes",
        "/invocations",
        lambda: filled(b"a,b\n", b'"' + b"a" * 250 + b'","b"\n', size=_QUOTED),
        "text/csv",
    ),
    Case(
        "csv: most backslashes",
        "/invocations",
        lambda: filled(b"a,b\n", b"a" * 250 + b"\\b,b\n", size=_QUOTED),
        "text/csv",
        status=413,
    ),
    Case("tensorflow: most cells", _PREDICT, lambda: _columns(64, 1_000)),
    Case(
        "tensor: most cells",
        _INFER,
        lambda: json.dumps(
            {
                "inputs": [
                    {"name": "X", "shape": [1_000, 10], "datatype": "FP32", "data": [0] * 10_000}
                ]
            }
        ).encode(),
        status=200,
    ),
    Case("label: ignored", _LABEL, lambda: filled(b'{"fraud":[', b"{},", b"{}]}")),
    Case("list: nested", _LIST, lambda: filled(b'{"value":[', b"{},", b"{}]}")),
    Case("list: long value", _LIST, lambda: filled(b'{"value":"', b"4", b'"}')),
    Case("rates: {}", "/v1/rates", lambda: filled(b'{"rates":[', b"{},", b"{}]}")),
    Case("rates: many", "/v1/rates", lambda: _rates(13_000), status=201),
    Case(
        "gzip: empty members",
        "/v1/decisions",
        lambda: gzip.compress(b"") * (MAX_BODY_BYTES // 20),
        headers={"content-encoding": "gzip"},
    ),
    Case(
        "gzip: bomb",
        "/v1/decisions",
        lambda: gzip.compress(bytes(1 << 28)),
        status=413,
        headers={"content-encoding": "gzip"},
    ),
    Case(
        "deflate: many values",
        "/invocations",
        lambda: zlib.compress(filled(b'{"instances":[', b"{},", b"{}]}")),
        headers={"content-encoding": "deflate"},
    ),
    Case(
        "chunks of a byte",
        "/v1/decisions",
        lambda: b"1\r\n[\r\n" * (MAX_BODY_BYTES - 1) + b"0\r\n\r\n",
        headers={"transfer-encoding": "chunked"},
    ),
    Case(
        "chunks of a byte, not hot",
        _LABEL,
        lambda: b"1\r\n[\r\n" * (MAX_BODY_BYTES - 1) + b"0\r\n\r\n",
        headers={"transfer-encoding": "chunked"},
    ),
    Case("many parameters", "/invocations?" + "&a=" * 20_000, lambda: b"{}"),
)
