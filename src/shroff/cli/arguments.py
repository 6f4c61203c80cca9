"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProjectPath = Annotated[Path, typer.Argument(help="A folder with project.py, or the file itself.", show_default=False)]
Data = Annotated[Path, typer.Option("--data", help="Payments: .csv, .csv.gz or .parquet.", show_default=False)]
Join = Annotated[Path | None, typer.Option("--join", help="A second table of statistics, joined on the payment id.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="What was said of payments whose labels changed: id, label, its arrival, source.",
        show_default=False,
    ),
]
Warm = Annotated[
    Path | None, typer.Option(help="History to start from: .csv, .csv.gz or .parquet.", show_default=False)
]
Lateness = Annotated[str, typer.Option(help="How much older than the newest a payment may be.")]
Note = Annotated[str | None, typer.Option(help="Why; kept in the history.", show_default=False)]
AcceptBroken = Annotated[
    bool,
    typer.Option("--accept-broken-chain", help="Start also where the ledger was changed; the start's record says so."),
]
MaxBad = Annotated[float, typer.Option("--max-bad", help="Largest share of unusable rows accepted.", min=0, max=1)]
