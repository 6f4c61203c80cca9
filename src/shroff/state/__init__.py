"""State: what payments are counted in, in this process or shared in Redis.

Reads payments, results and labels in the order of the ledger, and history to start from; times are
microseconds since 1970. Promises the features of the online engine with every kind of `State`, and
after a restart the state that follows from the ledger.
"""

from shroff.state.base import LocalState, News, State
from shroff.state.mark import Mark
from shroff.state.snapshots import Saved, Snapshots, remove_snapshots
from shroff.state.states import States, keeps_snapshots

__all__ = [
    "LocalState",
    "Mark",
    "News",
    "Saved",
    "Snapshots",
    "State",
    "States",
    "keeps_snapshots",
    "remove_snapshots",
]
