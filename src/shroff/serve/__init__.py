"""Answer payments: the scoring service, from the request on the wire to the durable decision.

Times are microseconds since the epoch, scores and probabilities point up (higher is more suspicious). A
decision is in the ledger before its answer leaves; a part that is missing makes the answer `degraded` or a
clear refusal, never a wrong score.
"""
