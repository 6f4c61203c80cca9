"""Monitor: compare what the service does with what it should do.

Reads a project, payments and the ledger; `engine_parity` compares the engines with each other,
`ledger_parity` recorded features with batch, and `replay_decision` makes a recorded decision again.
Promises to compare values to the bit and to report every difference with its payment and feature.
`judge` compares what a model decided with its training and with the labels that came; it promises
at most 5 false alarms in the lives of 100 models. Its verdict is a list of findings; who finds more
adds them.
"""

from shroff.monitor.engines import engine_parity
from shroff.monitor.finding import Finding, Severity
from shroff.monitor.observed import DecidedPayments, from_ledger, from_log
from shroff.monitor.parity import FeatureDifference, Parity, compare
from shroff.monitor.recorded import ledger_parity
from shroff.monitor.replayed import Replayed, replay_decision
from shroff.monitor.replaying import replayer
from shroff.monitor.verdict import ModelVerdict, judge

__all__ = [
    "DecidedPayments",
    "FeatureDifference",
    "Finding",
    "ModelVerdict",
    "Parity",
    "Replayed",
    "Severity",
    "compare",
    "engine_parity",
    "from_ledger",
    "from_log",
    "judge",
    "ledger_parity",
    "replay_decision",
    "replayer",
]
