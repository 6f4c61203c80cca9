"""Which state an engine has, by one setting."""

from __future__ import annotations

from collections.abc import Sequence

from shroff.clock import Clock, system_time
from shroff.collect import Schema
from shroff.errors import ConfigurationError
from shroff.features.define import FeatureGroup
from shroff.features.engines.online.engine import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine

_REDIS = ("redis://", "rediss://", "unix://")


def engine_at(
    state: str,
    groups: Sequence[FeatureGroup],
    schema: Schema,
    *,
    lateness: str = "1d",
    space: str = "shroff",
    clock: Clock = system_time,
) -> OnlineEngine | RedisEngine:
    """The engine with its state there: `memory`, or the URL of a Redis server (which has a clock of its own).

    Args:
        space: what the names of all keys in Redis begin with: states of other spaces are never seen.

    Raises:
        ConfigurationError: it is neither.
        MissingExtra: the client for it is not installed.
    """
    if state == "memory":
        return OnlineEngine(groups, schema, lateness=lateness, clock=clock)
    if state.startswith(_REDIS):
        return RedisEngine(groups, schema, url=state, lateness=lateness, space=space)
    raise ConfigurationError(
        "expected `memory` or the URL of a Redis server such as `redis://host:6379/0` in SHROFF_STATE."
    )
