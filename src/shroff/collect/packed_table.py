"""A reference table as a running service reads it: packed, with no object a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from mmap import mmap

import msgspec
import numpy as np

from shroff.arrays import Array
from shroff.collect.packed import PackedNumbers, PackedTexts, pack, texts, unpack
from shroff.collect.tables import Cells, ReferenceTable
from shroff.collect.validity import Validity, periods


class _TableFacts(msgspec.Struct, frozen=True):
    name: str
    key: str
    numeric: tuple[str, ...]
    columns: tuple[str, ...]
    mark: str


class PackedTable:
    """A reference table in bytes, as `pack_table` packs it; see `LookupTable`.

    >>> rows = [{"mcc": "5411", "risk": 0.1, "family": "food"}, {"mcc": "7995", "risk": 3}]
    >>> table = ReferenceTable.of("mcc", rows, key="mcc", numeric=["risk"])
    >>> packed = PackedTable(b"".join(pack_table(table)))
    >>> packed.mark == table.mark, packed.values
    (True, ('risk', 'family'))
    >>> row = packed.validity.row("5411", 0)
    >>> [packed.columns[name][row] for name in packed.values]
    [0.1, 'food']
    """

    def __init__(self, content: bytes | mmap) -> None:
        facts, arrays = unpack(content, _TableFacts)
        self.name, self.numeric, self.mark = facts.name, facts.numeric, facts.mark
        self.values = tuple(name for name in facts.columns if name != facts.key)
        self.validity = Validity(arrays)
        self.columns: Mapping[str, Cells] = {
            name: PackedNumbers(arrays[f"of {name}"])
            if name in facts.numeric
            else PackedTexts(arrays, f"of {name}")
            for name in self.values
        }


def pack_table(table: ReferenceTable) -> Iterator[bytes]:
    """A reference table as bytes, in parts."""
    facts = _TableFacts(table.name, table.key, tuple(table.numeric), (*table.columns,), table.mark)
    keys: tuple[str, ...] = table.columns[table.key]  # type: ignore[assignment]  # keys are texts
    arrays: dict[str, Array] = periods(keys, *table.periods)
    for name in table.values:
        cells = table.columns[name]
        arrays |= (
            {f"of {name}": np.array(cells, np.float64)}
            if name in table.numeric
            else texts(f"of {name}", cells)  # type: ignore[arg-type]  # a column of texts
        )
    return pack(facts, arrays)
