"""Scoring: payments in, durable decisions out. There is no HTTP in this room.

Times are microseconds since the epoch, scores and probabilities point up (higher is more suspicious). A
decision is in the ledger before its answer leaves; a part that is missing makes the answer `degraded` or a
clear refusal, never a wrong score. `Scorer` is the one way in: HTTP, Kafka and tests use it alike.
"""
