"""The online engine: features of one payment at a time, from state that every payment extends.

State is kept per stream and key as a `Timeline`: event times in order, and beside them running
sums, minima and the times of each name. A window is then two binary searches, whatever its length,
and a new window of a sum needs no new state. Events that no window can reach are forgotten.
"""

from shroff.features.engines.online.base import Engine, Observed, StateEngine
from shroff.features.engines.online.choose import is_shared
from shroff.features.engines.online.engine import OnlineEngine

__all__ = ["Engine", "Observed", "OnlineEngine", "StateEngine", "is_shared"]
