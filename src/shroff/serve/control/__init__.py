"""What is steered while the service runs: API keys and lists, in a database that every worker reads."""

from shroff.serve.control.gate import Gate
from shroff.serve.control.keys import SCOPES, ApiKey, Keys, Scope
from shroff.serve.control.lists import Edit, Effective, Lists, LiveLists, effective

__all__ = ["SCOPES", "ApiKey", "Edit", "Effective", "Gate", "Keys", "Lists", "LiveLists", "Scope", "effective"]
