"""Features: defined once as frozen values, computed by sibling engines with equal results.

`compute` gives the features of a payment log as it is: `shroff.features.compute(project, log)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shroff.features.history import compute

__all__ = ["compute"]


def __getattr__(name: str) -> object:
    # the serving process imports parts of this package, but never the batch engine
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shroff.features import history

    return getattr(history, name)
