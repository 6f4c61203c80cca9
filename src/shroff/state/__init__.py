"""State: what payments are counted in, so that the next payment sees them; in this process or
shared in Redis.

Reads payments, results and labels in the order of the ledger, and history to start from; times are
microseconds since the epoch. Promises the features of the online engine, whichever `State` is used,
and after a restart the state that the ledger's order gives.
"""

from shroff.state.base import LocalState, News, State
from shroff.state.rebuild import Mark
from shroff.state.states import States

__all__ = ["LocalState", "Mark", "News", "State", "States"]
