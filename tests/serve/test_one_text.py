"""One value has one text: however it is written, and through whichever door it comes, it is the
same code.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import tritonclient.http as triton
from tritonclient.utils import np_to_triton_dtype

from serve.audit import body, payments, read_ledger
from serve.fixtures import PREPARATION, SCHEMA, make_bundle
from serve.service import KEY, Service
from shroff.canonical import text_of
from shroff.collect import clean, read
from shroff.collect.personal import tokenizer
from shroff.detect.preparation import Nominal
from shroff.serve.protocols.rows import inputs_of

Json = dict[str, Any]
Pay = Callable[..., Json]
MODEL = "logistic_regression"
DIGITS = "1" * 29 + "7"

FORMS: dict[str | None, tuple[Any, ...]] = {
    "5411": (5411, 5411.0, "5411", "5411.0", "5411.00"),
    "0": (0, 0.0, -0.0, "0.0", "-0.0"),
    "-1": (-1, -1.0, "-1", "-1.0"),
    "007": ("007",),
    "007.0": ("007.0",),
    "1e3": ("1e3",),
    "0.5": (0.5, "0.5"),
    DIGITS: (int(DIGITS), DIGITS, f"{DIGITS}.0"),
    "1" + "0" * 22: (1e22, "1e+22", 10**22),
    "true": ("true", "True", "TRUE"),
    "N/A": ("N/A",),
    None: (None, "", " ", "NULL", "null", r"\N", "nan", "NaN", "<NA>"),
}
CURRENCIES: dict[str, tuple[Any, ...]] = {
    "JPY": ("JPY", "jpy", 392, 392.0, "392", "392.0", " 392.00 "),
    "AUD": ("AUD", 36, 36.0, "36", "036", "36.0"),
    "EUR": (978, "978", " eur\t"),
}
CODES = [(code, form) for code, forms in CURRENCIES.items() for form in forms]
COLUMNS = ["mcc", "host_id", "email"]
CASES = [(text, form) for text, forms in FORMS.items() for form in forms]


def as_csv(rows: list[Json]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([[*rows[0]], *([*row.values()] for row in rows)])
    return text.getvalue()


def split(rows: list[Json]) -> Json:
    return {"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}


def by_column(rows: list[Json]) -> Json:
    return {name: [row[name] for row in rows] for name in rows[0]}


def azure(rows: list[Json]) -> Json:
    return {
        "Inputs": {
            "input1": {"ColumnNames": [*rows[0]], "Values": [[*row.values()] for row in rows]}
        }
    }


DOORS: dict[str, tuple[str, Callable[[list[Json]], Any]]] = {
    "azure": ("/execute", azure),
    "mlflow split": ("/invocations", lambda rows: {"dataframe_split": split(rows)}),
    "mlflow records": ("/invocations", lambda rows: {"dataframe_records": rows}),
    "mlflow csv": ("/invocations", as_csv),
    "tensorflow rows": (f"/v1/models/{MODEL}:predict", lambda rows: {"instances": rows}),
    "tensorflow columns": (f"/v1/models/{MODEL}:predict", lambda rows: {"inputs": by_column(rows)}),
    "batch": ("/v1/decisions:batch", lambda rows: "\n".join(map(json.dumps, rows))),
}


def send(service: Service, door: str, rows: list[Json]) -> None:
    path, make = DOORS[door]
    content = make(rows)
    kind = {"mlflow csv": "text/csv", "batch": "application/x-ndjson"}.get(door, "application/json")
    text = content if isinstance(content, str) else json.dumps(content)
    answer = service.request("POST", path, content=text.encode(), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert "/problems/" not in answer.text, answer.text


def kept(service: Service, prefix: str) -> list[Json]:
    """What the ledger keeps of the payments whose id begins so, in their order."""
    found = [
        one for one in payments(read_ledger(service.ledger)) if one.payment_id.startswith(prefix)
    ]
    return [body(one)["payment"]["values"] for one in found]


def expected(text: str | None) -> list[str | None]:
    return [text, text, None if text is None else tokenizer(KEY)(text)]


@pytest.mark.parametrize("door", DOORS)
def test_a_value_is_one_text_through_every_protocol(service: Service, pay: Pay, door: str) -> None:
    prefix = f"one-text-{door.replace(' ', '-')}-"
    rows = [
        pay(payment_id=f"{prefix}{at}", **dict.fromkeys(COLUMNS, form))
        for at, (_, form) in enumerate(CASES)
    ]
    send(service, door, rows)
    found = [[values[name] for name in COLUMNS] for values in kept(service, prefix)]
    assert found == [expected(text) for text, _ in CASES]


@pytest.mark.parametrize("door", DOORS)
def test_a_currency_is_its_alphabetic_code_through_every_protocol(
    service: Service, pay: Pay, door: str
) -> None:
    prefix = f"one-code-{door.replace(' ', '-')}-"
    # a code in a column that is not declared as the currency is a text as any other
    rows = [
        pay(payment_id=f"{prefix}{at}", currency=form, mcc="392", amount=5)
        for at, (_, form) in enumerate(CODES)
    ]
    send(service, door, rows)
    found = [(values["currency"], values["mcc"]) for values in kept(service, prefix)]
    assert found == [(code, "392") for code, _ in CODES]
    # the same payments with another spelling of their currency are the same payments
    spelt = [row | {"currency": code} for row, (code, _) in zip(rows, CODES, strict=True)]
    send(service, door, spelt)
    assert len(kept(service, prefix)) == len(CODES)


def test_a_currency_among_a_models_inputs_is_its_alphabetic_code() -> None:
    nominal = (*PREPARATION.nominal, Nominal("currency", ("JPY", "undefined"), (0.9, 0.1, 0.0)))
    ready = inputs_of(make_bundle(b"", preparation=replace(PREPARATION, nominal=nominal)))
    assert [ready({"currency": form, "mcc": "392"}) for _, form in CODES] == [
        {"currency": code, "mcc": "392"} for code, _ in CODES
    ]
    assert [ready({"currency": form})["currency"] for form in (None, "NULL", "XXX")] == [
        None,
        None,
        "XXX",
    ]


def test_a_payment_is_the_same_payment_through_another_door(service: Service, pay: Pay) -> None:
    first = pay(payment_id=90210, mcc=5411, host_id=555, currency="EUR", request_country=None)
    answer = service.request("POST", "/v1/decisions", json=first)
    assert answer.json()["payment_id"] == "90210"
    again = first | {
        "payment_id": "90210.0",
        "mcc": "5411.0",
        "host_id": 555.0,
        "currency": 978,
        "request_country": "NULL",
    }
    assert service.request("POST", "/v1/decisions", json=again).content == answer.content
    for door in DOORS:
        send(service, door, [again])
    assert len(kept(service, "90210")) == 1
    assert service.request("GET", "/v1/decisions/90210.0").content == answer.content
    label = service.request("POST", "/v1/payments/90210.0/label", json={"fraud": True})
    result = service.request("POST", "/v1/payments/90210/result", json={"result": "5.0"})
    assert (label.status_code, result.status_code) == (204, 204)
    assert (
        service.request("POST", "/v1/payments/90210/result", json={"result": "5"}).status_code
        == 204
    )
    refused = service.request("POST", "/v1/payments/90210/result", json={"result": "NULL"})
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "Expected a value, got none - at `$.result`",
    )


def _raw(column: pl.Series) -> pl.DataFrame:
    rows = len(column)
    return pl.DataFrame(
        {
            "id": pl.Series([f"p{at}" for at in range(rows)]),
            "at": ["2024-05-04T10:00:00Z"] * rows,
            "amount": ["1"] * rows,
            **{name: column.alias(name) for name in ("nominal", "key", "person", "result")},
        }
    )


FILED = msgspec.structs.replace(
    SCHEMA,
    id="id",
    time="at",
    currency=None,
    label=None,
    labelled_at=None,
    result="result",
    result_at=None,
    nominal=["nominal"],
    numeric=[],
    keys=["key"],
    personal=["person"],
    required=[],
)


def assert_texts(raw: pl.DataFrame, texts: list[str | None]) -> None:
    frame = clean(raw, FILED, key=KEY, max_bad=0.0).frame
    for name in ("nominal", "key", "result"):
        assert frame[name].to_list() == texts
    assert frame["person"].to_list() == [expected(text)[-1] for text in texts]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_value_is_one_text_from_every_file(tmp_path: Path, suffix: str) -> None:
    import gzip

    cells = ["" if form is None else str(form) for _, form in CASES]
    raw, path = _raw(pl.Series(cells)), tmp_path / f"log{suffix}"
    if suffix == ".parquet":
        raw.write_parquet(path)
    else:
        text = raw.write_csv().encode()
        path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    assert_texts(read(path), [text for text, _ in CASES])


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_currency_is_its_alphabetic_code_from_every_file(tmp_path: Path, suffix: str) -> None:
    import gzip

    raw = _raw(pl.Series(["392"] * len(CODES))).with_columns(
        currency=pl.Series([str(form) for _, form in CODES])
    )
    path = tmp_path / f"log{suffix}"
    if suffix == ".parquet":
        raw.write_parquet(path)
    else:
        text = raw.write_csv().encode()
        path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    assert_currencies(read(path), [code for code, _ in CODES])


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([392, 36, 978]),
        pl.Series([392, 36, 978], dtype=pl.Int16),
        pl.Series([392.0, 36.0, 978.0]),
        pl.Series([392.0, 36.0, 978.0], dtype=pl.Float32),
        pl.Series([Decimal("392.00"), Decimal(36), Decimal(978)], dtype=pl.Decimal(20, 2)),
        pl.Series(["392.0", "036", "eur"], dtype=pl.Categorical),
    ],
)
def test_a_currency_is_its_alphabetic_code_from_every_type_of_a_parquet_file(
    tmp_path: Path, column: pl.Series
) -> None:
    raw = _raw(pl.Series(["392"] * len(column))).with_columns(currency=column)
    raw.write_parquet(tmp_path / "log.parquet")
    assert_currencies(read(tmp_path / "log.parquet"), ["JPY", "AUD", "EUR"])


def assert_currencies(raw: pl.DataFrame, codes: list[str]) -> None:
    frame = clean(
        raw, msgspec.structs.replace(FILED, currency="currency"), key=KEY, max_bad=0.0
    ).frame
    assert frame["currency"].to_list() == codes
    assert frame["nominal"].to_list() == ["392"] * len(codes)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([5411, None, 0, -1]),
        pl.Series([5411, None, 0, -1], dtype=pl.Int16),
        pl.Series([5411.0, None, -0.0, -1.0]),
        pl.Series([5411.0, float("nan"), 0.0, -1.0], dtype=pl.Float32),
        pl.Series([Decimal("5411.00"), None, Decimal(0), Decimal(-1)], dtype=pl.Decimal(20, 2)),
        pl.Series([Decimal(5411), None, Decimal(0), Decimal(-1)], dtype=pl.Decimal(38, 0)),
        pl.Series(["5411", None, "0", "-1"]),
        pl.Series(["5411.0", "NaN", "-0.0", "-1.0"], dtype=pl.Categorical),
        pl.Series(
            ["5411.0", "NULL", "0.0", "-1.0"], dtype=pl.Enum(["5411.0", "NULL", "0.0", "-1.0"])
        ),
    ],
)
def test_a_value_is_one_text_from_every_type_of_a_parquet_file(
    tmp_path: Path, column: pl.Series
) -> None:
    _raw(column).write_parquet(tmp_path / "log.parquet")
    assert_texts(read(tmp_path / "log.parquet"), ["5411", None, "0", "-1"])


def probabilities(service: Service, codes: np.ndarray[Any, Any], *, as_bytes: bool) -> list[float]:
    client = triton.InferenceServerClient(service.url.removeprefix("http://"))
    inputs = []
    numbers = {one.name: np.full(len(codes), 1.0) for one in PREPARATION.numeric}
    names = {one.name: np.full(len(codes), "x", dtype=object) for one in PREPARATION.nominal}
    for name, column in {**numbers, **names, "mcc": codes}.items():
        inputs.append(triton.InferInput(name, [len(codes)], np_to_triton_dtype(column.dtype)))
        inputs[-1].set_data_from_numpy(column, binary_data=as_bytes)
    found: list[float] = client.infer(MODEL, inputs).as_numpy("probability").tolist()
    client.close()
    return found


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_code_is_one_text_in_every_tensor(service: Service, as_bytes: bool) -> None:
    texts = np.array(["5411", "5411.0", "6011.00", "NULL", "7"], dtype=object)
    groceries, same, cash, none, unknown = probabilities(service, texts, as_bytes=as_bytes)
    assert len({groceries, cash, none, unknown}) == 4
    assert groceries == same
    for kind in ("i2", "u4", "i8", "f4", "f8"):
        numbers = np.array([5411, 6011, 7], dtype=kind)
        assert probabilities(service, numbers, as_bytes=as_bytes) == [groceries, cash, unknown]


def test_a_float_and_what_a_program_writes_of_it_are_one_text() -> None:
    for number in (5411.0, -1.0, 0.1, 1e-7, 1e15, 1e16, 1.5e300, 9007199254740994.0, 123456789.25):
        assert text_of(repr(number)) == text_of(number)
