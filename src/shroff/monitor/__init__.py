"""Monitor: hold what the service does against what it should: parity of features, decisions made again."""

from shroff.monitor.engines import engine_parity
from shroff.monitor.parity import Difference, Parity, compare
from shroff.monitor.recorded import ledger_parity
from shroff.monitor.replayed import Replayed, replay_decision

__all__ = ["Difference", "Parity", "Replayed", "compare", "engine_parity", "ledger_parity", "replay_decision"]
