"""What is steered while the service runs: API keys, lists and exchange rates, in a database that every worker reads."""

from shroff.serve.control.gate import Gate
from shroff.serve.control.keys import SCOPES, ApiKey, Keys, Scope
from shroff.serve.control.lists import Edit, Effective, Lists, effective
from shroff.serve.control.live_lists import LiveLists
from shroff.serve.control.rates import LiveRates, Replacement, StoredRates, holding

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
