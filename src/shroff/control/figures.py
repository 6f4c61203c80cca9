"""The figures of control: refused API keys and edited lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shroff.control.gate import Gate
from shroff.control.live_lists import LiveLists
from shroff.telemetry.family import CounterFamily, Figure

REFUSALS: Final = CounterFamily(
    name="shroff_key_refusals",
    about="Requests refused for their API key, by kind; its name where the key is valid.",
    labels=("kind", "key"),
)
LIST_EDITS: Final = CounterFamily(
    name="shroff_list_edits",
    about="Edits of the lists that rules read, since there are lists.",
    labels=("list", "action"),
    merge="max",
)


def figures(gate: Gate | None, lists: LiveLists | None) -> Iterator[Figure]:
    """The figures now; without a gate or lists, their families have no values."""
    yield REFUSALS.of({} if gate is None else gate.refused)
    yield LIST_EDITS.of({} if lists is None else lists.edited)
