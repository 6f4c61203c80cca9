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
        help="A table with the history of labels that changed: id, label, its arrival, source.",
        show_default=False,
    ),
]
Warm = Annotated[
    Path | None, typer.Option(help="History to start from: .csv, .csv.gz or .parquet.", show_default=False)
]
Lateness = Annotated[str, typer.Option(help="How much older than the newest payment another may be.")]
Note = Annotated[str | None, typer.Option(help="The reason; kept in the history.", show_default=False)]
AcceptBroken = Annotated[
    bool,
    typer.Option(
        "--accept-broken-chain", help="Start although the ledger was changed; the record of the start says so."
    ),
]
MaxBad = Annotated[float, typer.Option("--max-bad", help="The largest accepted share of unusable rows.", min=0, max=1)]
