"""Rows of any protocol to outcomes: payments are decided, ready-made inputs are scored."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import numpy as np

from shroff.arrays import Matrix
from shroff.canonical import BLANK, text_of
from shroff.collect.money import alphabetic
from shroff.collect.numbers import number_of
from shroff.collect.schema import Scale, Schema
from shroff.collect.values import expected, kind_of, null_numbers
from shroff.collect.wire import live_scales
from shroff.decide import Action
from shroff.decide.decider import Decider, Rating
from shroff.detect.preparation import Row
from shroff.errors import BadPayment, ShroffError
from shroff.ledger.answer import encode
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer
from shroff.serve.protocols.limits import require_few
from shroff.serve.time_slices import TimeSlices

Cell = str | float | int | bool | None
Cells = Mapping[str, Cell]

_SLICE_ROWS: Final = 64
"""Rows decided or scored in one slice: more would block the event loop."""
_JOIN_COPY: Final = re.compile(r"(.+) \([0-9]+\)")


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to a row.

    `payment_id` and `decision_id` are null for a row without the payment's id: it was scored, not
    decided. `probability` of fraud is null where no model could score.
    """

    action: Action
    probability: float | None
    payment_id: str | None = None
    decision_id: str | None = None


_outcome: Final = msgspec.json.Decoder(Outcome).decode


def table(columns: Sequence[str], values: Sequence[Sequence[Cell]]) -> list[dict[str, Cell]]:
    """Rows by column name.

    >>> table(["id", "eur"], [["p1", 5.0]])
    [{'id': 'p1', 'eur': 5.0}]

    Raises:
        BadPayment: a column is repeated, or a row has another number of values.
        Refused: more rows or columns than a request may have.
    """
    require_few(len(values), len(columns))
    if len(set(columns)) < len(columns):
        raise BadPayment(
            "expected every column once, got a name twice; call the second one `NAME (2)`."
        )
    for number, row in enumerate(values, start=1):
        if len(row) != len(columns):
            raise BadPayment(
                f"row {number}: expected {len(columns)} values, one for each column, got "
                f"{len(row)}."
            )
    return [dict(zip(columns, row, strict=True)) for row in values]


def transpose(columns: Mapping[str, Sequence[Cell]]) -> list[dict[str, Cell]]:
    """Rows of a table that came column by column.

    >>> transpose({"id": ["p1", "p2"], "eur": [5.0, 6.0]})
    [{'id': 'p1', 'eur': 5.0}, {'id': 'p2', 'eur': 6.0}]

    Raises:
        BadPayment: columns of different lengths.
        Refused: more rows or columns than a request may have.
    """
    require_few(max(map(len, columns.values()), default=0), len(columns))
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) > 1:
        raise BadPayment(
            f"expected columns of one length, got {min(lengths)} to {max(lengths)} values."
        )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


async def from_text(scorer: Scorer, rows: Sequence[Cells]) -> list[dict[str, Cell]]:
    """Convert rows of texts: an empty text is missing, and numbers are parsed where they belong.

    Raises:
        BadPayment: a value that should be a number is none; names the row.
    """
    schema = scorer.reader.schema
    scales: dict[str, Scale] = dict.fromkeys(
        (one.name for one in scorer.bundle.preparation.numeric), "numeric"
    )
    scales |= live_scales(schema)
    numbers = {name: scale for name, scale in scales.items() if scale in ("amount", "numeric")}
    typed, slices = [], TimeSlices()
    for number, row in enumerate(rows, start=1):
        with _numbered(number):
            typed.append(
                {name: _typed(name, cell, numbers.get(name), schema) for name, cell in row.items()}
            )
        await slices.next()
    return typed


def _typed(name: str, cell: Cell, scale: Scale | None, schema: Schema) -> Cell:
    if not isinstance(cell, str):
        return cell
    text = cell.strip(BLANK)
    if not text or (scale is not None and text in schema.nulls):
        return None
    if scale is None:
        return cell
    number = number_of(text, schema.number_format)
    if number is None:
        wanted = expected(scale, zoned=True, style=schema.number_format)
        raise BadPayment(f"Expected {wanted}, got {kind_of(cell, scale)} - at `$.{name}`")
    return number


async def judge(scorer: Scorer, rows: Sequence[Cells]) -> list[Outcome]:
    """The outcome of each row, in order.

    All rows are read before the first is decided. If one fails, those decided before it stay
    decided, and repeating the request is safe.

    Raises:
        BadPayment, PaymentConflict, Unavailable: as `Scorer.decide`, with the row's number.
        Refused: more rows or columns than a request may have.
    """
    require_few(len(rows), max(map(len, rows), default=0))
    identifier = scorer.bundle.schema.id
    numbered = list(enumerate(rows, start=1))
    ready = [(number, row) for number, row in numbered if identifier not in row]
    payments = [(number, row) for number, row in numbered if identifier in row]
    outcomes = {**await _score(scorer, ready), **await _decide(scorer, payments)}
    return [outcomes[number] for number, _ in numbered]


async def rate(decider: Decider, matrix: Matrix) -> list[Rating]:
    """Scores of prepared inputs, float32 [n, inputs], in slices.

    Raises:
        Unavailable: the model cannot score.
    """
    ratings: list[Rating] = []
    for start in range(0, len(matrix), _SLICE_ROWS):
        ratings += decider.rate(matrix[start : start + _SLICE_ROWS])
        await asyncio.sleep(0)
    return ratings


async def _decide(scorer: Scorer, rows: Sequence[tuple[int, Cells]]) -> dict[int, Outcome]:
    payments, slices = [], TimeSlices()
    for number, row in rows:
        with _numbered(number):
            payments.append(scorer.reader.parse(encode(_payment(scorer, row)), arrived=0))
        await slices.next()
    answers: list[bytes | BaseException] = []
    for start in range(0, len(payments), _SLICE_ROWS):
        together = map(scorer.judge, payments[start : start + _SLICE_ROWS])
        answers += await asyncio.gather(*together, return_exceptions=True)
    outcomes = {}
    for (number, _), answer in zip(rows, answers, strict=True):
        with _numbered(number):
            if isinstance(answer, BaseException):
                raise answer
        outcomes[number] = _outcome(answer)
    return outcomes


def _payment(scorer: Scorer, row: Cells) -> Cells:
    """A row as a payment, without unknown empty columns and a join's copies `NAME (2)`."""
    schema, fields = scorer.reader.schema, scorer.reader.fields
    unknown = schema.later | {schema.arrived_at}

    def dropped(name: str) -> bool:
        copy = _JOIN_COPY.fullmatch(name)
        return (row[name] is None and name in unknown) or (
            copy is not None and copy[1] in row and name not in fields
        )

    return {name: cell for name, cell in row.items() if not dropped(name)}


async def _score(scorer: Scorer, rows: Sequence[tuple[int, Cells]]) -> dict[int, Outcome]:
    if not rows:
        return {}
    # read once: the model may be replaced between two slices
    bundle, decider = scorer.bundle, scorer.decider
    ready_made = inputs_of(bundle)
    prepared, slices = [], TimeSlices()
    for number, row in rows:
        with _numbered(number, f"a row without `{bundle.schema.id}` holds the model's inputs: "):
            prepared.append(decider.prepare([ready_made(row)]))
        await slices.next()
    ratings = await rate(decider, np.concatenate(prepared))
    return {
        number: Outcome(rating.action, rating.probability)
        for (number, _), rating in zip(rows, ratings, strict=True)
    }


def inputs_of(bundle: Bundle) -> Callable[[Cells], Row]:
    """The function that gives a row as the model's inputs: names as text, missing as None."""
    schema, numbers = bundle.schema, null_numbers(bundle.schema.nulls)
    nominal = {one.name for one in bundle.preparation.nominal}

    def input_of(name: str, cell: Cell) -> Cell:
        if name in nominal:
            text = None if cell is None else text_of(cell)
            if text is None or text in schema.nulls:
                return None
            # an unknown currency is a name that the model does not know
            return (alphabetic(text) or text) if name == schema.currency else text
        return None if name in schema.numeric and cell in numbers else cell

    return lambda row: {name: input_of(name, cell) for name, cell in row.items()}


@contextmanager
def _numbered(number: int, why: str = "") -> Iterator[None]:
    """Add the row's number to an error."""
    try:
        yield
    except ShroffError as error:
        raise type(error)(f"row {number}: {why}{error}") from None
