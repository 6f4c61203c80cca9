"""What is steered while the service runs: API keys, lists and exchange rates, in a database that every worker reads."""

from shroff.control.gate import Gate
from shroff.control.keys import SCOPES, ApiKey, Keys, Scope
from shroff.control.lists import Lists
from shroff.control.live_lists import LiveLists
from shroff.control.rates import LiveRates, Replacement, StoredRates, holding
from shroff.decide.lists import Edit, Effective, effective

__all__ = [
    "SCOPES",
    "ApiKey",
    "Edit",
    "Effective",
    "Gate",
    "Keys",
    "Lists",
    "LiveLists",
    "LiveRates",
    "Replacement",
    "Scope",
    "StoredRates",
    "effective",
    "holding",
]
