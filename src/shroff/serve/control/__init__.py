"""What is steered while the service runs: the API keys, in a database that every worker reads."""

from shroff.serve.control.gate import Gate
from shroff.serve.control.keys import SCOPES, ApiKey, Keys, Scope

__all__ = ["SCOPES", "ApiKey", "Gate", "Keys", "Scope"]
