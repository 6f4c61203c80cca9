"""The Azure ML request-response schema: `POST /execute?api-version=2.0&details=true`.

    Inputs.NAME.ColumnNames/Values  ->  Results.NAME.value.ColumnNames/Values

Values are text or null both ways. Each row of the answer repeats the row's first columns, up to the
payment's id, and adds `Scored Labels` and `Scored Probabilities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import msgspec

from shroff.decide import Action
from shroff.errors import BadPayment, ConfigurationError
from shroff.scoring.scorer import Scorer
from shroff.serve import problem
from shroff.serve.operation import JSON, Call, Interface, Operation, Reply
from shroff.serve.problem import KINDS, Kind
from shroff.serve.protocols.limits import require_few
from shroff.serve.protocols.rows import Cell, Outcome, from_text, judge, table
from shroff.settings import Settings

LABELS: Final[dict[Action, str]] = {
    "approve": "Success",
    "challenge": "Challenge",
    "review": "Review",
    "decline": "Failed",
}
"""`Scored Labels` by action."""
Of = Literal["fraud", "success"]
"""The event whose probability `Scored Probabilities` are."""
_VERSION: Final = "2.0"
_MAX_TABLES: Final = 16


class InputTable(msgspec.Struct):
    """A table in a request."""

    columns: list[str] = msgspec.field(name="ColumnNames")
    values: list[list[Cell]] = msgspec.field(name="Values")


class AzureRequest(msgspec.Struct):
    """Tables by name; `GlobalParameters` are accepted and not used."""

    inputs: dict[str, InputTable] = msgspec.field(name="Inputs")
    parameters: dict[str, Cell] = msgspec.field(name="GlobalParameters", default_factory=dict)


class ResultTable(msgspec.Struct):
    """A table in an answer."""

    columns: list[str] = msgspec.field(name="ColumnNames")
    values: list[list[str | None]] = msgspec.field(name="Values")


class ScoredTable(msgspec.Struct):
    """A table and its type, which is always `table`."""

    type: Literal["table"]
    value: ResultTable


class AzureAnswer(msgspec.Struct):
    """Answered tables by name."""

    results: dict[str, ScoredTable] = msgspec.field(name="Results")


class AzureDetail(msgspec.Struct):
    """One thing that was wrong."""

    code: str
    message: str


class AzureFault(msgspec.Struct):
    """What was wrong."""

    code: str
    message: str
    details: list[AzureDetail]


class AzureError(msgspec.Struct):
    """An error."""

    error: AzureFault


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The form of answers where the request leaves it open.

    Args:
        result: name of the table in the answer; by default made from the input's name.
        echo: columns to repeat; by default those up to the payment's id, or all without an id.
        probability_of: whether `Scored Probabilities` are of fraud or of `Success`.
    """

    result: str | None = None
    echo: Sequence[str] = ()
    probability_of: Of = "fraud"

    @classmethod
    def read(cls, settings: Settings) -> Naming:
        """Read the form from the settings.

        Raises:
            ConfigurationError: the settings ask for the probability of something else.
        """
        of = settings.azureml_probability_of or "fraud"
        if of not in ("fraud", "success"):
            raise ConfigurationError(
                "SHROFF_AZUREML_PROBABILITY_OF: expected `fraud` or `success`, got another word."
            )
        echo = tuple(name.strip() for name in settings.azureml_echo.split(",") if name.strip())
        return cls(result=settings.azureml_result or None, echo=echo, probability_of=cast("Of", of))

    def result_name(self, name: str) -> str:
        """The name of the table that answers an input.

        >>> [Naming().result_name(name) for name in ("transactionInfo", "input1", "payments")]
        ['transactionPrediction', 'output1', 'paymentsPrediction']
        """
        if self.result is not None:
            return self.result
        if name.startswith("input"):
            return f"output{name.removeprefix('input')}"
        return f"{name.removesuffix('Info')}Prediction"

    def echoed(self, columns: Sequence[str], identifier: str) -> Sequence[str]:
        """The columns of a request to repeat."""
        if self.echo:
            return [name for name in self.echo if name in columns]
        return columns[: columns.index(identifier) + 1] if identifier in columns else columns

    def probability(self, outcome: Outcome) -> str | None:
        """`Scored Probabilities`."""
        if outcome.probability is None:
            return None
        return repr(
            outcome.probability if self.probability_of == "fraud" else 1 - outcome.probability
        )


def interface(scorer: Scorer, naming: Naming) -> Interface:
    """The interface over a scorer."""

    async def execute(call: Call) -> Reply:
        if call.query.get("api-version", _VERSION) != _VERSION:
            raise BadPayment(f"expected `api-version={_VERSION}`, got another one.")
        inputs = (await call.lenient_json(AzureRequest)).inputs
        if not inputs or (naming.result is not None and len(inputs) > 1):
            raise BadPayment(f"expected one table in `Inputs`, got {len(inputs)}.")
        if len(inputs) > _MAX_TABLES:
            raise BadPayment(
                f"expected at most {_MAX_TABLES} tables in `Inputs`, got {len(inputs):,}."
            )
        rows = sum(len(one.values) for one in inputs.values())
        require_few(rows)
        call.count(rows - 1)
        return Reply.json(
            AzureAnswer(
                {
                    naming.result_name(name): await _answer(scorer, naming, one)
                    for name, one in inputs.items()
                }
            )
        )

    operation = Operation(
        method="POST",
        path="/execute",
        name="executeAzureML",
        summary="Decide the payments of a table (Azure ML schema)",
        handler=execute,
        scope="decide",
        takes={JSON: (AzureRequest,)},
        gives={JSON: (AzureAnswer,)},
        query={
            "api-version": {"type": "string", "enum": [_VERSION]},
            "details": {"type": "string"},
        },
        fails=(problem.BAD_PAYMENT, problem.PAYMENT_CONFLICT, problem.UNAVAILABLE),
    )
    return Interface("Azure ML", (operation,), _fail, AzureError)


async def _answer(scorer: Scorer, naming: Naming, sent: InputTable) -> ScoredTable:
    rows = table(sent.columns, sent.values)
    outcomes = await judge(scorer, await from_text(scorer, rows))
    echoed = naming.echoed(sent.columns, scorer.bundle.schema.id)
    values = [
        [
            *(_text(row[name]) for name in echoed),
            LABELS[outcome.action],
            naming.probability(outcome),
        ]
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    return ScoredTable(
        "table", ResultTable([*echoed, "Scored Labels", "Scored Probabilities"], values)
    )


def _text(cell: Cell) -> str | None:
    if isinstance(cell, bool):
        return str(cell).lower()
    return cell if cell is None else str(cell)


def _fail(kind: Kind, detail: str) -> AzureError:
    code = _CODES[kind.slug]
    return AzureError(AzureFault(code, kind.title, [AzureDetail(code, detail)]))


_CODES: Final = {kind.slug: kind.slug.title().replace("-", "") for kind in KINDS} | {
    "bad-payment": "BadArgument"
}
