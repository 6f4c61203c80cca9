"""What commands send to MLflow besides, and where: `--track`, `--to`, SHROFF_TRACKING."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from shroff.cli.terminal import Steps, err
from shroff.errors import Unavailable

if TYPE_CHECKING:
    from shroff.tracking import RunMirror

Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="URL",
        help="Mirror the run into this MLflow server or database; default: SHROFF_TRACKING.",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="URL",
        help="The MLflow server or database; default: SHROFF_TRACKING.",
        show_default=False,
    ),
]


@contextmanager
def mirrored_run(url: str | None, step: Steps) -> Iterator[RunMirror]:
    """Mirror the run that is begun inside, if that is wanted; a warning where it is not sent."""
    from shroff.tracking import Mirror, RunMirror

    mirror = Mirror.wanted(url)
    run = RunMirror(mirror)
    try:
        with run:
            yield run
            if mirror is not None:
                step(f"send the run to {mirror}")
    finally:
        if run.failed is not None:
            err.print(run.failed, soft_wrap=True, markup=False)


@contextmanager
def mirrored_models() -> Iterator[None]:
    """Send the stages of models after what moves them, if that is wanted; a warning where they are
    not sent.
    """
    from shroff.tracking import Mirror

    mirror = Mirror.wanted(None)
    yield
    if mirror is not None:
        try:
            mirror.send_models()
        except Unavailable as error:
            err.print(
                f"{error} Send them later with `shroff models track`.", soft_wrap=True, markup=False
            )
