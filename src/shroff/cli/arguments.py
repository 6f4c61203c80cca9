"""Arguments and options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from shroff.location import Location

TABLE_FORMS: Final = ".csv, .csv.gz, .parquet, .xml, or a URL (docs/sources.md)"
MAX_LABEL_DELAY_DAYS: Final = 3_660

ProjectPath = Annotated[
    Path, typer.Argument(help="A folder with project.py, or the file itself.", show_default=False)
]


def table(flag: str, meaning: str) -> Any:
    """The option that names a table: a file, or the URL of a table in a database or service."""
    return typer.Option(flag, help=meaning, parser=Location.of, metavar="TABLE", show_default=False)


def parquet(meaning: str) -> Any:
    """The option that names the Parquet file to write."""
    return typer.Option("--out", help=meaning, callback=_parquet, show_default=False)


def _parquet(file: Path | None) -> Path | None:
    """A file whose name does not say that it holds something else: others take it by its name."""
    # Spark writes a folder, and its name needs no suffix
    if file is not None and file.suffix not in ("", ".parquet"):
        raise typer.BadParameter(f"expected a file whose name ends in .parquet, got {file}.")
    return file


def require_payments(
    payments: Location | None, labels: Location | None, *, flag: str = "--data"
) -> None:
    """Raise `ConfigurationError` for a table of labels without that of their payments."""
    from shroff.errors import ConfigurationError

    if labels is not None and payments is None:
        raise ConfigurationError(
            f"expected {flag} TABLE, the payments of these labels, got labels alone."
        )


def duration(text: str) -> float:
    """The seconds of a duration such as `30s`, `5m`, `1h`."""
    from shroff.errors import ConfigurationError
    from shroff.features.window import micros  # not before it is asked for

    try:
        return micros(text) / 1_000_000
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def days(text: str) -> float:
    """The days of a label delay: a number of them, or a duration such as `21d`."""
    try:
        found = float(text)
    except ValueError:
        found = duration(text) / 86_400
    if not 0 <= found <= MAX_LABEL_DELAY_DAYS:
        raise typer.BadParameter(f"expected 0 to {MAX_LABEL_DELAY_DAYS:,} days, got {text}.")
    return found


def whole_days(text: str) -> int:
    """Those of `days` where only whole days count."""
    found = days(text)
    if not found.is_integer():
        raise typer.BadParameter(f"expected whole days such as 21d, got {text}.")
    return int(found)


def label_delay_of(default: str, parser: Callable[[str], float]) -> Any:
    """The option `--label-delay`, by default the delay of something."""
    return typer.Option(
        help=f"How long labels take to come in, in days or such as 21d; default: the delay of "
        f"{default}.",
        parser=parser,
        metavar="DURATION",
        show_default=False,
    )


Source = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE",
        help="A bundle, a run, or a version, published or not.",
        show_default=False,
    ),
]
"""What `find_bundle` finds."""
Data = Annotated[Location, table("--data", f"Payments: {TABLE_FORMS}.")]
Join = Annotated[
    Location | None, table("--join", "A second table of statistics, joined on the payment id.")
]
Labels = Annotated[
    Location | None,
    table("--labels", "A table with the history of labels: id, label, its arrival, source."),
]
Warm = Annotated[Location | None, table("--warm", f"History to start from: {TABLE_FORMS}.")]
DataLabels = Annotated[
    Location | None,
    table(
        "--labels",
        "The history of labels of --data, in a table of its own: id, label, its arrival, source.",
    ),
]
WarmLabels = Annotated[
    Location | None,
    table(
        "--warm-labels",
        "The history of labels of --warm, in a table of its own: id, label, its arrival, source.",
    ),
]
Lateness = Annotated[
    str, typer.Option(help="How much older than the newest payment another may be.")
]
Note = Annotated[
    str | None, typer.Option(help="The reason; kept in the history.", show_default=False)
]
AddedRules = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        help="A rule on top of the policy, `NAME: CONDITION -> ACTION`; replaces one of its name, "
        "or comes last.",
        metavar="RULE",
        show_default=False,
    ),
]
WithoutRules = Annotated[
    list[str] | None,
    typer.Option("--without", help="A rule to leave out.", metavar="NAME", show_default=False),
]
AcceptBroken = Annotated[
    bool,
    typer.Option(
        "--accept-broken-chain",
        help="Start although the ledger was changed; the record of the start says so.",
    ),
]
MaxBad = Annotated[
    float,
    typer.Option("--max-bad", help="The largest accepted share of unusable rows.", min=0, max=1),
]
BudgetMs = Annotated[
    float,
    typer.Option(
        "--budget-ms",
        help="Milliseconds of processor time that 99 of 100 payments may take at most.",
        min=0.001,
    ),
]
CardColumn = Annotated[
    str | None,
    typer.Option(
        "--card",
        help="The column that cards are told apart by; default: that of the project.",
        show_default=False,
    ),
]
LabelDelay = Annotated[float | None, label_delay_of("the model's split", days)]
Every = Annotated[
    float | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Run until it is stopped, again after this time, such as 1h; a failure is reported "
        "and tried again.",
        show_default=False,
    ),
]
Engine = Annotated[
    Literal["batch", "spark"],
    typer.Option(
        help="spark: --data is a clean table that `shroff collect` wrote, --out a new folder."
    ),
]
Master = Annotated[str | None, typer.Option(help="The Spark master, such as local[2] or yarn.")]
