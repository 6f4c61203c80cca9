"""Monitor: hold what the service does against what it should: parity of features between the engines."""

from shroff.monitor.parity import Difference, Parity, compare, log_parity
from shroff.monitor.recorded import ledger_parity

__all__ = ["Difference", "Parity", "compare", "ledger_parity", "log_parity"]
