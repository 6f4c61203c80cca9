"""`shroff package`: a bundle for the servers of other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shroff.cli.terminal import AsJson, out, show


def package(
    bundle: Annotated[Path, typer.Argument(help="A bundle.", show_default=False)],
    flavour: Annotated[
        Literal["pyfunc", "saved-model"],
        typer.Option(
            help="pyfunc: a model directory of MLflow, of any detector but rules; saved-model: for "
            "TensorFlow Serving, of networks and linear models.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="The new model directory; for saved-model the folder of models, in which it is "
            "NAME/VERSION.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Write a bundle's model so that MLflow or TensorFlow Serving runs it without Shroff: features
    in, the probability of fraud out.
    """
    from shroff.package import load, write_pyfunc, write_saved_model

    read = load(bundle)
    place = (
        write_saved_model(read, folder) if flavour == "saved-model" else write_pyfunc(read, folder)
    )
    if as_json:
        show({"version": read.version, "name": read.name, "flavour": flavour, "folder": str(place)})
    else:
        out.print(
            f"{place}: {read.name}, version {read.version}, as {flavour}.",
            soft_wrap=True,
            highlight=False,
        )
