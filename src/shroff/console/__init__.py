"""Console: show people what the other rooms know, in a browser, and let them act on it.

Reads the control database, the ledger, the published models and the store through the rooms that
keep them; times are microseconds since the epoch and shown in UTC, money is in major units.

Promises that every page needs a signed-in person with a role, that every action is a form with a
token of its session, works without script and is refused from another site, and that no text that
somebody wrote becomes markup.
"""

from shroff.console.app import console_app
from shroff.console.backend import ConsoleBackend
from shroff.console.server import serve_console

__all__ = ["ConsoleBackend", "console_app", "serve_console"]
