"""The page of metrics, from what each room declares in its `figures.py`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from docs.generate.docstrings import code, table

import shroff
from shroff.telemetry.family import Family, InfoFamily


def pages() -> dict[str, str]:
    """One page, with a table for each room."""
    parts = [
        "# Metrics",
        "Every metric of `/metrics`, by the room that counts it; those of `monitor/` are in the "
        "file that `shroff monitor --prometheus` writes. What labels mean, how the figures "
        "of several workers "
        "become one, alerts and a dashboard: see [telemetry.md](../telemetry.md).",
        code('curl -s localhost:8080/metrics -H "authorization: Bearer $KEY"', "sh"),
    ]
    for room, families in declared():
        parts += [
            f"## {room}/",
            table(["name", "kind", "labels", "meaning"], [_row(family) for family in families]),
        ]
    return {"metrics.md": "\n\n".join(parts) + "\n"}


def declared() -> Iterator[tuple[str, list[Family]]]:
    """The families of each room in the order of their declarations; those that rooms share are
    `telemetry`'s.
    """
    rooms = [path.parent.name for path in Path(shroff.__path__[0]).glob("*/figures.py")]
    known: set[Family] = set()
    for room in sorted(rooms, key=lambda name: (name != "telemetry", name)):
        values = vars(import_module(f"shroff.{room}.figures")).values()
        families = [value for value in values if isinstance(value, Family) and value not in known]
        known.update(families)
        yield room, families


def _row(family: Family) -> list[str]:
    labels = (*family.labels, *(family.texts if isinstance(family, InfoFamily) else ()))
    return [
        f"`{family.exposed}`",
        family.kind,
        ", ".join(f"`{label}`" for label in labels),
        family.about,
    ]
