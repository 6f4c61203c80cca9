"""The modes of files that the product makes."""

from __future__ import annotations

import stat
from pathlib import Path


def mode(path: Path) -> int:
    """Who may read and write a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)
