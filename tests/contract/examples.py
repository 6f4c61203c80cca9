"""How many random examples a property is tried with."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

THOROUGH: Final = int(os.environ.get("SHROFF_TEST_THOROUGH", "1"))
"""By how much more examples there are in `make prove`, which has hours."""


def examples(count: int) -> settings:
    """So many examples in `make test`; each run draws others."""
    return settings(max_examples=count * THOROUGH)
