"""Kinds of hostile bodies: documents, tensors, tables, CSV, streams and events, through every
door.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from benchmarks.fuzz import documents
from benchmarks.fuzz.documents import LIMIT, TIMES
from benchmarks.fuzz.draft import MANY, Draft, Recipe
from benchmarks.fuzz.watch import CANARY
from benchmarks.fuzz.wire import Case

_MODEL: Final = b"/v1/models/logistic_regression"
_INFER: Final = b"/v2/models/logistic_regression/infer"
_DOORS: Final = (
    b"/v1/decisions", b"/v1/decisions:batch", b"/execute?api-version=2.0&details=true",
    b"/invocations", _INFER, _MODEL + b":predict", b"/v1/payments/x/result",
    b"/v1/payments/x/label", b"/v1/lists/blocked/entries",
)  # fmt: skip
_SHAPES: Final[tuple[object, ...]] = (
    [], [0], [1], [-1, 10], [10**9], [10**9, 10**9], [10**18, 0], [2**63], [2**64, 2**64],
    [0, 10**9], [1] * 10_000, [1, 10, 1], [1.5], [True], [None], "x", {}, [[1]], [1, 9], [1, 11],
)  # fmt: skip
_TYPES: Final = (
    "FP32",
    "FP64",
    "INT64",
    "UINT8",
    "BOOL",
    "BYTES",
    "FP16",
    "BF16",
    "",
    "x" * 9_000,
    None,
    5,
)
_KINDS: Final = (
    b"application/json",
    b"text/csv",
    b"application/x-ndjson",
    b"application/octet-stream",
    b"",
    b"x/y",
)
_MOST_CELLS: Final = 200_000


def tensors(draft: Draft) -> Case:
    """Tensors of shapes that do not fit, overflow or never end, with data that has another
    length.
    """
    name, shape = draft.one("X", "amount", "mcc", CANARY), draft.one([1, 10], *_SHAPES)
    data = draft.one(
        [1] * 10,
        [[1] * 10],
        [],
        [1] * draft.one(*MANY),
        ["x"] * 10,
        [None],
        5,
        "x",
        [[[[[1]]]]],
        [[1], [1, 2]],
    )
    tensor = {
        "name": name,
        "shape": shape,
        "datatype": draft.one("FP32", "FP64", *_TYPES),
        "data": data,
    }
    inputs = [tensor] * draft.one(1, 1, 2, 500)
    more = draft.one(
        {},
        {},
        {"outputs": [{"name": CANARY}] * draft.one(1, 1_000)},
        {"parameters": {"a": [1] * 900}},
    )
    content = json.dumps({"inputs": inputs, **more}).encode()
    path = draft.one(_INFER, _INFER, b"/v2/models/logistic_regression/versions/9/infer")
    if draft.random.random() < 0.4:
        tensor = {name: value for name, value in tensor.items() if name != "data"}
        tensor["parameters"] = {
            "binary_data_size": draft.one(0, 40, 41, -1, 2**63, 10**30, 1.5, None, "40", 1_000_000)
        }
        head = json.dumps({"inputs": [tensor] * draft.one(1, 1, 9)}).encode()
        size = draft.one(
            str(len(head)).encode(), b"0", b"-1", b"9" * 5_000, b"5", b"x", b"%d" % (len(head) + 99)
        )
        line = b"inference-header-content-length: " + size
        sent = draft.post(head + bytes(40), line, path=path, kind=b"application/octet-stream")
        return Case(pieces=(sent,), due=True)
    return Case(pieces=(draft.post(content[:LIMIT], path=path),), due=True)


def tables(draft: Draft) -> Case:
    """Tables whose rows and columns do not fit one another, empty rows, very many of them."""
    columns: Any = draft.one(
        list(draft.payment()), [], ["payment_id"] * 9, [CANARY], [5], None, ["c"] * 10_000
    )
    row: Any = draft.one(
        list(draft.payment().values()), [], [None], {}, "x", None, [[]], [1] * 10_000
    )
    # no more than fills a body, over all its columns
    many = draft.one(*(number for number in MANY if number * len(row or ()) <= _MOST_CELLS))
    rows: Any = draft.one([row], [row] * many, [], {}, None)
    split = {"columns": columns, "data": rows}
    path, sent = draft.one(
        (b"/invocations", {"dataframe_split": split}),
        (b"/invocations", {"dataframe_records": rows}),
        (b"/invocations", {"instances": rows}),
        (b"/invocations", {"inputs": draft.one(dict.fromkeys(draft.payment(), rows), rows)}),
        (
            b"/execute?api-version=2.0",
            {"Inputs": {CANARY: {"ColumnNames": columns, "Values": rows}}},
        ),
        (_MODEL + b":predict", {"instances": rows}),
        (
            _MODEL + b":predict",
            {"inputs": draft.one(dict.fromkeys(draft.payment(), rows), rows)},
        ),
    )
    return Case(pieces=(draft.post(json.dumps(sent).encode()[:LIMIT], path=path),), due=True)


def csv(draft: Draft) -> Case:
    """CSV with quotes that do not end, rows of other lengths, empty rows, columns without names."""
    head = ",".join(draft.payment()).encode()
    row = ",".join(map(str, draft.payment().values())).encode()
    spoilt = draft.one(
        b"",
        b",",
        b'"',
        b'"a',
        b"\x00",
        b"\xff",
        row + b",x",
        row[:9],
        b'"' + row + b'"',
        b"," * 50_000,
        b"'",
        b"\\",
        b'""""',
    )
    count = draft.one(1, 1, *MANY)
    lines = [
        draft.one(head, head, b"", b"a,a", head + b"," + head, b"," * 9_000),
        *[spoilt] * count,
        row,
    ]
    body = draft.one(b"\n", b"\r\n", b"\r", b"\n\n").join(lines)[:LIMIT]
    return Case(pieces=(draft.post(body, path=b"/invocations", kind=b"text/csv"),), due=True)


def batches(draft: Draft) -> Case:
    """Streams of lines, good ones among others, empty ones, one without an end."""
    good = [draft.body(payment_id=f"{draft.name}-{at}") for at in range(draft.one(0, 1, 5, 100))]
    bad = [
        b"",
        b"{",
        b"[]",
        b"null",
        b" ",
        draft.noise(300),
        b"{" * 5_000,
        b"1" * draft.one(*MANY, 300_000),
        b'"' + CANARY.encode() + b'"',
    ]
    lines = [*good, *(draft.random.choices(bad, k=draft.one(0, 1, 9, 200)))]
    draft.random.shuffle(lines)
    body = draft.one(b"\n", b"\n", b"\r\n").join(lines) + draft.one(b"\n", b"", b"\n" * 1_000)
    kind = draft.one(b"application/x-ndjson", b"application/jsonl", b"application/json")
    return Case(pieces=(draft.post(body, path=b"/v1/decisions:batch", kind=kind),), due=True)


def events(draft: Draft) -> Case:
    """Results and labels of ids that are none, with words that nobody knows."""
    name = draft.one(
        "x",
        CANARY,
        "%00",
        "%ff",
        "%2f",
        "a" * 5_000,
        "%E2%80%AE",
        ".",
        "..",
        "%0a",
        "4111111111111111",
        "é",
    ).encode()
    value = draft.one(True, None, 5, "failed", "x" * 9_000, [], {}, CANARY)
    sent = {
        "fraud": value,
        "result": value,
        "at": draft.one(*TIMES, 5, None),
        "event_id": draft.one("e", value),
        "source": value,
    }
    chosen = draft.random.sample(list(sent), draft.random.randint(0, 5))
    body = json.dumps({key: sent[key] for key in chosen}).encode()
    path = b"/v1/payments/" + name + draft.one(b"/result", b"/label", b"")
    return Case(pieces=(draft.post(body, path=path),), due=True)


def _through(draft: Draft, make: Callable[[Draft], bytes]) -> Case:
    """A payment through any door, in the words of that door."""
    path = draft.one(b"/v1/decisions", b"/v1/decisions", *_DOORS)
    payment = body = make(draft)
    if path.startswith(b"/execute"):
        body = (
            b'{"Inputs": {"input1": {"ColumnNames": ["payment_id"], "Values": [['
            + payment
            + b"]]}}}"
        )
    elif path == b"/invocations":
        body = b'{"dataframe_records": [' + payment + b"]}"
    elif path.endswith(b":predict"):
        body = b'{"instances": [' + payment + b"]}"
    elif path == _INFER:
        body = b'{"inputs": [' + payment + b"]}"
    kind = draft.one(b"application/json", b"application/json", *_KINDS)
    return Case(pieces=(draft.post(body, path=path, kind=kind),), due=True)


KINDS: Final[dict[str, Recipe]] = {
    **{name: partial(_through, make=make) for name, make in documents.KINDS.items()},
    "tensor": tensors,
    "table": tables,
    "csv": csv,
    "batch": batches,
    "event": events,
}
