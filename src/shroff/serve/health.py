"""Whether a process runs and does what it should, for whoever starts and watches it."""

from __future__ import annotations

from typing import Literal

import msgspec

from shroff.serve.scorer import Scorer
from shroff.serve.start import Start


class Health(msgspec.Struct, omit_defaults=True):
    """The service does what it should; `notice` is what an operator should know all the same."""

    status: Literal["live", "ready"]
    degraded: str | None = None
    """Why payments are decided without features or without a score now: then the policy decides."""
    notice: str | None = None
    start: Start | None = None
    """What the service started from."""


def ready(scorer: Scorer) -> Health:
    """That all is well; raises `Unavailable` where it is not."""
    scorer.require_well()
    return Health("ready", scorer.degraded, scorer.notice, scorer.started)
