"""What the process that mirrors is asked to do, and what it answers."""

from __future__ import annotations

from typing import Final

import msgspec

PATIENCE_SECONDS: Final = 60
"""How long a command waits for its mirror; half a minute is what a first database takes."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Mirror one run, or the stages of models if there is no `run`, to the tracking URL.

    `name` is that of the experiment and of the registered model; empty: the project's, or `shroff`.
    With `follow` the run is mirrored as running first, and again once it has ended. With
    `everything` also models that have no stage any more are registered.
    """

    url: str
    home: str
    models: str
    name: str = ""
    run: str | None = None
    follow: bool = False
    everything: bool = False


class MirrorResult(msgspec.Struct, frozen=True):
    """What became of it: why it `failed`, in words, or how many `sent`: runs, or versions."""

    failed: str | None = None
    sent: int = 0
