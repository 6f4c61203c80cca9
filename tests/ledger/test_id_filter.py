"""What the ledger says it has not, it has not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff.ledger import Entry, Kind, Ledger, Outcome, StoredEntry, id_filter
from shroff.ledger.id_filter import IdFilter

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]


@given(st.sets(st.text()))
def test_every_id_that_was_added_may_be_there(ids: set[str]) -> None:
    known = IdFilter(ids)
    assert all(known.may_have(one) for one in ids)


def test_it_grows_and_stays_sure_of_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_filter, "_FIRST_FILTER_IDS", 64)
    known = IdFilter(f"p{number}" for number in range(2_000))
    assert all(known.may_have(f"p{number}") for number in range(2_000))
    assert sum(known.may_have(f"q{number}") for number in range(10_000)) < 300


def test_a_new_payment_costs_no_look_up(
    ledger: Ledger, entry: MakeEntry, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Kind]] = []
    find = ledger._finder.find

    def noted(payment_id: str, kind: Kind) -> StoredEntry | None:
        asked.append((payment_id, kind))
        return find(payment_id, kind)

    monkeypatch.setattr(ledger._finder, "find", noted)
    alone = ledger._database.alone
    assert ledger.find("pay-1") is None
    # another process may have written it where others can write
    assert ledger.find("pay-1", "label") is None
    assert asked == ([] if alone else [("pay-1", "payment"), ("pay-1", "label")])
    written(ledger, [entry(1), entry(1, kind="label")])
    for _ in range(2):
        assert ledger.find("pay-1") is not None
        assert ledger.find("pay-1", "label") is not None
        assert ledger.find("pay-1", "result") is None
        ledger.close()
        ledger.open()
