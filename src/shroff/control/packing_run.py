"""What packs a stored table in a process of its own; see `packing`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from shroff.control.packing import MAX_SECONDS, REFUSED, Kind, Task
from shroff.control.rates import StoredRates
from shroff.control.replacements import Replacements
from shroff.control.tables import StoredTables
from shroff.errors import ShroffError

_STORES: Final[dict[Kind, Callable[[str], Replacements[Any]]]] = {
    "rates": StoredRates,
    "tables": StoredTables,
}


def main(number: int) -> int:
    """Put the packed table, or the reason why there is none, into the open file of a number, in the
    place of the task.
    """
    _stand_back()
    with os.fdopen(number, "r+b") as file:
        file.seek(0)
        task = msgspec.json.decode(file.read(), type=Task)
        try:
            parts = [*_STORES[task.kind](task.url).packed(task.one)]
            code = 0
        except ShroffError as error:
            parts, code = [str(error).encode()], REFUSED
        file.seek(0)
        file.truncate()
        file.writelines(parts)
    return code


def _stand_back() -> None:
    """Let all others have the processor first, and let Linux end this process before others when
    memory is short; end for good some time after nobody can be waiting any more.
    """
    os.nice(19)
    signal.alarm(MAX_SECONDS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
