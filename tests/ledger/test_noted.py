"""A head that was noted elsewhere finds what no chain can show: an older copy, a cut-off end, a
ledger written anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from shroff.errors import BrokenChain, ConfigurationError
from shroff.ledger import Entry, Head, Ledger, Noted, Outcome

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]


@given(st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32), st.integers(12, 64))
def test_a_head_is_read_as_it_is_printed(seq: int, chain: bytes, digits: int) -> None:
    printed = str(Head(seq, chain))
    assert Noted.read(printed) == (seq, chain.hex())
    assert Noted.read(f" {printed.upper()}\n") == (seq, chain.hex())
    assert Noted.read(printed[: printed.index(":") + 1 + digits]) == (seq, chain.hex()[:digits])


@pytest.mark.parametrize(
    "text", ["", "200", "200:", "200:abc", "-1:" + "a" * 64, "1:" + "a" * 65, "1:" + "g" * 12]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match="expected the head of a ledger as `shroff ledger head` prints it"
    ):
        Noted.read(text)


def test_a_ledger_goes_on_from_what_was_noted(url: str, entry: MakeEntry, written: Write) -> None:
    with Ledger(url) as ledger:
        heads = [ledger.head()]
        for number in range(4):
            written(ledger, [entry(number)])
            heads.append(ledger.head())
    for head in heads:
        assert Ledger(url).verify(since=Noted.read(str(head))) == heads[-1]
    with pytest.raises(
        BrokenChain, match="expected record 3 with the chain value that was noted, got another"
    ):
        Ledger(url).verify(since=Noted(3, heads[2].chain.hex()))


def test_an_end_that_was_cut_off_is_noticed(url: str, entry: MakeEntry, written: Write) -> None:
    with Ledger(url) as ledger:
        written(ledger, [entry(number) for number in range(5)])
        noted = Noted.read(str(ledger.head()))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM shroff_ledger WHERE seq > 3")
        end = "(SELECT chain FROM shroff_ledger WHERE seq = 3)"
        connection.exec_driver_sql(f"UPDATE shroff_ledger_head SET seq = 3, chain = {end}")
    engine.dispose()
    assert Ledger(url).verify().seq == 3
    with pytest.raises(
        BrokenChain, match="goes on from record 5, which was noted, got one that ends with record 3"
    ):
        Ledger(url).verify(since=noted)


def test_an_older_copy_is_noticed_also_when_it_was_written_on(
    file: Path, entry: MakeEntry, written: Write
) -> None:
    ledger = Ledger(f"sqlite:///{file}")
    with ledger:
        written(ledger, [entry(number) for number in range(3)])
    shutil.copy(file, file.with_suffix(".old"))
    with ledger:
        written(ledger, [entry(number) for number in range(3, 6)])
        noted = Noted.read(str(ledger.head()))
    file.with_suffix(".old").rename(file)
    restored = Ledger(f"sqlite:///{file}")
    with pytest.raises(BrokenChain, match="older copy"):
        restored.verify(since=noted)
    with restored:
        written(restored, [entry(number) for number in range(100, 110)])
        assert restored.verify().seq == 13
        with pytest.raises(
            BrokenChain, match="expected record 6 with the chain value that was noted"
        ):
            restored.verify(since=noted)
