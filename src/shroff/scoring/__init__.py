"""Scoring: payments in, durable decisions out. There is no HTTP in this room.

Reads payments, results and labels as JSON, for a bundle and a policy. Times are microseconds since
the epoch, scores and probabilities point up (higher is more suspicious). `Scorer` is the one way
in: HTTP, Kafka and tests use it alike.

Promises that a decision is in the ledger before its answer leaves, and that a missing part makes
the answer `degraded` or a clear refusal, never a wrong score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.scoring.deployments import Deployments
    from shroff.scoring.scorer import Scorer

__all__ = ["Deployments", "Scorer"]

__getattr__ = loading(__name__, {"Deployments": "deployments", "Scorer": "scorer"})
