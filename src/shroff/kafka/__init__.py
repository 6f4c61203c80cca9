"""Kafka: payments from one topic, decisions to another, exactly once in effect.

Reads topics of payments, results and labels (JSON messages) and decides by a scorer; offsets are
Kafka's own. The ledger is the truth: a message counts as read only when its decision is durable
*and* Kafka has taken the answer.

Promises that a message that was in flight at a crash is read again, found in the ledger, and
answered with the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.kafka.messages import Topics
    from shroff.kafka.run import StatusAddress, consume

__all__ = ["StatusAddress", "Topics", "consume"]

__getattr__ = loading(__name__, {"StatusAddress": "run", "Topics": "messages", "consume": "run"})
