"""Monitor: compare what the service does with what it should do.

Reads a project, payments and the ledger; `engine_parity` compares the engines with each other,
`ledger_parity` recorded features with batch, and `replay_decision` makes a recorded decision again.
Promises to compare values to the bit and to report every difference with its payment and feature.
"""

from shroff.monitor.engines import engine_parity
from shroff.monitor.parity import FeatureDifference, Parity, compare
from shroff.monitor.recorded import ledger_parity
from shroff.monitor.replayed import Replayed, replay_decision

__all__ = [
    "FeatureDifference",
    "Parity",
    "Replayed",
    "compare",
    "engine_parity",
    "ledger_parity",
    "replay_decision",
]
