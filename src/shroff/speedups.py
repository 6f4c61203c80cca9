"""The loops that are compiled where a C compiler was at hand when Shroff was installed.

Python gives the same results without them, and more slowly. `SHROFF_COMPILED=0` in the environment
leaves them out, and so does a file that was compiled from an older `_speedups.pyx`.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import Final

INTERFACE: Final = 4
"""What `_speedups.pyx` must say of itself; it rises here and there with every change of what that
does. A source tree that was updated keeps the compiled file of before, until it is installed again.
"""


def _found() -> ModuleType | None:
    if os.environ.get("SHROFF_COMPILED") == "0":
        return None
    try:
        found = import_module("shroff._speedups")
    except ImportError:
        return None
    return found if getattr(found, "INTERFACE", None) == INTERFACE else None


compiled = _found()
"""The compiled module; None: Python does its work."""
