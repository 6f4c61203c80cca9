"""The state that payments are judged by and extend, in this process or shared: see `State`."""

from shroff.serve.state.base import LocalState, News, State
from shroff.serve.state.rebuild import Mark
from shroff.serve.state.states import States

__all__ = ["LocalState", "Mark", "News", "State", "States"]
