"""A process that writes batches to a group until it is killed:
`python -m store.writer ROOT NAME FIRST`.

It prints the name of each batch that it knows to be in.
"""

from __future__ import annotations

import sys

from shroff.store import FeatureStore
from store.world import LIMITS, limits


def batch(
    name: str, number: int, rows: int = 20_000
) -> tuple[str, list[tuple[str, float, float, float | None]]]:
    """The name of a batch and its rows."""
    return f"{name}-{number}", [(f"{name}{one}", number, number, float(one)) for one in range(rows)]


def main(root: str, name: str, first: str) -> None:
    """Write one batch after the other."""
    table = FeatureStore(root).group(LIMITS)
    number = int(first)
    while True:
        title, rows = batch(name, number)
        table.write(limits(rows), batch=title)
        sys.stdout.write(title + "\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
