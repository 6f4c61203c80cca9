"""The state that payments are judged by and extend, in this process or shared: see `State`."""

from shroff.state.base import LocalState, News, State
from shroff.state.rebuild import Mark
from shroff.state.states import States

__all__ = ["LocalState", "Mark", "News", "State", "States"]
