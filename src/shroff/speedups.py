"""The loops that are compiled where a C compiler was at hand when Shroff was installed.

Python gives the same results without them, and more slowly. `SHROFF_COMPILED=0` in the environment
leaves them out.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType


def _found() -> ModuleType | None:
    if os.environ.get("SHROFF_COMPILED") == "0":
        return None
    try:
        return import_module("shroff._speedups")
    except ImportError:
        return None


compiled = _found()
"""The compiled module; None: Python does its work."""
