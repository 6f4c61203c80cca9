"""Where online state is, by one setting."""

from __future__ import annotations

from shroff.errors import ConfigurationError

_REDIS = ("redis://", "rediss://", "unix://")


def is_shared(state: str) -> bool:
    """Whether processes share the state there: `memory` is this process's own, the URL of a Redis
    server is shared.

    Raises:
        ConfigurationError: it is neither.

    >>> is_shared("memory"), is_shared("redis://localhost:6379/0")
    (False, True)
    """
    if state == "memory":
        return False
    if state.startswith(_REDIS):
        return True
    raise ConfigurationError(
        "expected `memory` or the URL of a Redis server such as `redis://host:6379/0` in "
        "SHROFF_STATE."
    )
