"""Packed tables: an array finds what a walk over all rows finds, in this process and mapped from a
file.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shroff import Rate, Rates, ReferenceTable
from shroff.collect.conversion import Converter, PackedRates, pack_rates
from shroff.collect.lookup import LookupReader, lookup
from shroff.collect.packed import TextIndex, index, pack, unpack
from shroff.collect.packed_table import PackedTable, pack_table
from shroff.collect.validity import NEVER_US, Validity
from shroff.errors import BadFile

KEYS = st.text(alphabet="\0 09aAé\U0001f600", max_size=12)


@given(kept=st.sets(KEYS), sought=st.lists(KEYS))
@example(kept={"a" * 8, "a" * 8 + "\0", "a" * 9, "aé"}, sought=["a" * 8 + "\0\0"])
@example(kept={"a", "a\0"}, sought=["a\0\0", ""])
def test_a_text_is_found_in_its_place(kept: set[str], sought: list[str]) -> None:
    # no value is an empty text, which stands for none
    ordered = sorted(kept - {""})
    arrays = {name: array.data for name, array in index("key", ordered).items()}
    found = TextIndex(arrays, "key")
    for text in (*ordered, *sought):
        assert found.find(text) == (ordered.index(text) if text in ordered else -1)


@given(
    rows=st.dictionaries(
        st.tuples(KEYS.filter(bool), st.integers(0, 6)), st.none() | st.integers(1, 4), max_size=12
    ),
    sought=st.lists(st.tuples(KEYS, st.integers(0, 12)), min_size=1),
)
def test_a_row_is_found_as_a_walk_over_all_rows_finds_it(
    rows: dict[tuple[str, int], int | None], sought: list[tuple[str, int]]
) -> None:
    held = [(key, at, None if lasts is None else at + lasts) for (key, at), lasts in rows.items()]
    held = sorted(
        row for row in held if not any(_meet(row, other) for other in held if other is not row)
    )
    keys, starts, ends = ([row[part] for row in held] for part in range(3))
    validity = Validity.of(keys, starts, ends)  # type: ignore[arg-type]  # three columns

    def walked(key: str, at: int) -> int:
        begun = [row for row in held if row[0] == key and row[1] <= at]
        last = max(begun, key=lambda row: row[1], default=None)
        return -1 if last is None or at >= (last[2] or NEVER_US) else held.index(last)

    expected = [walked(*one) for one in sought]
    assert [validity.row(*one) for one in sought] == expected
    times = pl.Series([at for _, at in sought]).cast(pl.Datetime("us", "UTC"))
    assert validity.rows(pl.Series([key for key, _ in sought]), times).tolist() == expected


def _meet(row: tuple[str, int, int | None], other: tuple[str, int, int | None]) -> bool:
    """Whether a row has an end that is behind the beginning of a later one of its key."""
    return row[0] == other[0] and row[1] < other[1] and row[2] is not None and row[2] > other[1]


CELLS = st.none() | st.text(alphabet="ab\0é", min_size=1)
NUMBERS = st.none() | st.floats(-1e9, 1e9) | st.sampled_from([1e308, 5e-324])
"""None of them looks like a card number."""


@given(rows=st.dictionaries(st.integers(0, 300).map(str), st.tuples(CELLS, NUMBERS), min_size=1))
def test_a_packed_table_holds_what_it_was_packed_from(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple[Any, Any]]
) -> None:
    given_ = [{"mcc": key, "family": text, "risk": risk} for key, (text, risk) in rows.items()]
    table = ReferenceTable.of("mcc", given_, key="mcc", numeric=["risk"])
    path = tmp_path_factory.mktemp("packed") / "table"
    path.write_bytes(b"".join(pack_table(table)))
    with path.open("rb") as file:
        packed = PackedTable(mmap(file.fileno(), 0, access=ACCESS_READ))
    assert (packed.name, packed.values, packed.numeric) == (table.name, table.values, ("risk",))
    lookups = [lookup("family", on="mcc", default="x"), lookup("risk", on="mcc")]
    own, live = (LookupReader(lookups, [one], time="at") for one in (table, packed))
    assert own.marks == live.marks
    for key in (*rows, "none", None):
        ours, theirs = {"mcc": key}, {"mcc": key}
        own.add(ours, 0)
        live.add(theirs, 0)
        # bit for bit: -0.0 is not 0.0
        assert repr(ours) == repr(theirs)
    frame = pl.DataFrame({"mcc": [*rows, "none", None], "at": [0] * (len(rows) + 2)})
    frame = frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))
    assert own.columns(frame).equals(live.columns(frame))


def test_packed_rates_convert_as_their_own() -> None:
    rates = Rates(
        "EUR", [Rate("JPY", "0.0065", until="2100-01-01"), Rate("USD", "0.9", "2024-01-01")]
    )
    packed = PackedRates(b"".join(pack_rates(rates)))
    assert (packed.rows, packed.mark) == (2, rates.mark)
    assert (*packed.fields(0, 3),) == msgspec.to_builtins(rates.rates)
    assert Converter(packed).minor("392", 0, 1198) == Converter(rates).minor("JPY", 0, 1198) == 779


def test_bytes_that_nobody_packed_are_refused() -> None:
    sound = b"".join(pack("x", {"a": np.arange(3)}))
    assert unpack(sound, str)[1]["a"].tolist() == [0, 1, 2]
    for spoilt in (b"", bytes(80), sound[:20], sound.replace(b'"format":1', b'"format":2')):
        with pytest.raises(BadFile, match="expected a packed table"):
            unpack(spoilt, str)
