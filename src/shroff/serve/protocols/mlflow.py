"""MLflow's scoring server: `/invocations` with JSON or CSV, `/ping`, `/version`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shroff import __version__
from shroff.collect.csv_dialect import records
from shroff.collect.json_text import require_few_values
from shroff.errors import BadPayment
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, TEXT, Call, Interface, Operation, Reply, media
from shroff.serve.problem import Kind, Refused
from shroff.serve.protocols.limits import MAX_ROWS
from shroff.serve.protocols.rows import Cell, Cells, Outcome, from_text, judge, table, transpose
from shroff.serve.time_slices import in_thread_if_large

CSV: Final = "text/csv"
_MAX_LINES: Final = 4 * MAX_ROWS
_SEARCHED_BYTES: Final = 262_144
"""Bytes searched one by one to detect the CSV dialect."""
Records = list[dict[str, Cell]]


class Split(msgspec.Struct):
    """A table as pandas splits it."""

    columns: list[str]
    data: list[list[Cell]]
    index: list[Any] | None = None


class Invocation(msgspec.Struct):
    """Rows in one of MLflow's four shapes; `params` are accepted and not used."""

    dataframe_split: Split | None = None
    dataframe_records: Records | None = None
    instances: Records | None = None
    inputs: Records | dict[str, list[Cell]] | None = None
    params: dict[str, Any] | None = None


class Predictions(msgspec.Struct):
    """An outcome for each row."""

    predictions: list[Outcome]


class InvocationError(msgspec.Struct):
    """An error."""

    error_code: str
    message: str


def interface(scorer: Scorer) -> Interface:
    """The interface over a scorer."""

    async def invocations(call: Call) -> Reply:
        if media(call.headers) == CSV:
            rows = await from_text(scorer, await in_thread_if_large(_csv, call.body))
        else:
            rows = _rows(await call.lenient_json(Invocation))
        call.count(len(rows) - 1)
        return Reply.json(Predictions(await judge(scorer, rows)))

    async def ping(_: Call) -> Reply:
        scorer.require_well()
        return Reply(b"\n", TEXT)

    async def version(_: Call) -> Reply:
        return Reply(__version__.encode(), TEXT)

    operations = (
        Operation(
            method="POST",
            path="/invocations",
            name="invocations",
            summary="Decide payments, or score ready-made inputs (MLflow)",
            handler=invocations,
            scope="decide",
            takes={JSON: (Invocation,), CSV: (str,)},
            gives={JSON: (Predictions,)},
            fails=(problem.BAD_PAYMENT, problem.PAYMENT_CONFLICT, problem.UNAVAILABLE),
        ),
        Operation(
            method="GET",
            path="/ping",
            name="ping",
            summary="Whether all is well",
            handler=ping,
            scope=None,
            gives={TEXT: (str,)},
            fails=(problem.UNAVAILABLE,),
        ),
        Operation(
            method="GET",
            path="/version",
            name="version",
            summary="The version of Shroff",
            handler=version,
            scope="read",
            gives={TEXT: (str,)},
        ),
    )
    return Interface("MLflow", operations, _fail, InvocationError)


def _fail(kind: Kind, detail: str) -> InvocationError:
    return InvocationError(kind.slug.upper().replace("-", "_"), detail)


def _rows(sent: Invocation) -> Records:
    given = [
        rows
        for rows in (sent.dataframe_split, sent.dataframe_records, sent.instances, sent.inputs)
        if rows is not None
    ]
    if len(given) != 1:
        raise BadPayment(
            "expected one of `dataframe_split`, `dataframe_records`, `instances`, `inputs`, "
            f"got {len(given) or 'none'} of them."
        )
    (rows,) = given
    if isinstance(rows, Split):
        return table(rows.columns, rows.data)
    return transpose(rows) if isinstance(rows, dict) else rows


def _csv(body: bytes) -> list[Cells]:
    """The rows of a CSV table with its header first, all text."""
    require_few_values(body)
    # blank lines count too, and line ends within a text
    if max(body.count(b"\n"), body.count(b"\r")) > _MAX_LINES:
        raise Refused(
            problem.TOO_LARGE,
            f"expected at most {MAX_ROWS:,} rows in a request, got more than {_MAX_LINES:,} lines.",
        )
    if len(body) > _SEARCHED_BYTES and (b'"' in body or b"\\" in body):
        raise Refused(
            problem.TOO_LARGE,
            f"expected at most {_SEARCHED_BYTES:,} bytes of CSV with quotes or backslashes, got "
            "more.",
        )
    try:
        header, *rows = records(body)
    except ValueError as error:
        raise BadPayment(f"{error}.") from None
    return [*table(header, rows)]
