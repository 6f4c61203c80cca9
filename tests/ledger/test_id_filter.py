"""What the ledger says it has not, it has not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patience import PATIENCE, until
from shroff.ledger import Entry, Kind, Ledger, Outcome, StoredEntry, id_filter, known_ids
from shroff.ledger.id_filter import IdFilter
from shroff.ledger.known_ids import KnownIds

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


@given(st.lists(st.lists(st.text(), max_size=20)), st.sets(st.text()))
def test_ids_given_by_pages_may_be_there_with_those_added(
    pages: list[list[str]], added: set[str]
) -> None:
    known = IdFilter(added)
    known.add_before(pages, sum(map(len, pages)))
    assert all(known.may_have(one) for one in chain(added, *pages))


def test_ids_given_by_pages_leave_it_sure_of_most() -> None:
    known = IdFilter()
    known.add_before([[f"p{number}" for number in range(2_000)]], 2_000)
    assert sum(known.may_have(f"q{number}") for number in range(10_000)) < 100


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


def test_ids_of_a_long_ledger_are_read_while_it_is_used(
    file: Path,
    entry: MakeEntry,
    written: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds: list[Kind] = ["payment", "result", "label", "start"]
    # three ids a page: it ends between records of one payment
    monkeypatch.setattr(known_ids, "_PAGE_IDS", 3)
    monkeypatch.setattr(known_ids, "_AT_ONCE_RECORDS", 0)
    ledger = Ledger(f"sqlite:///{file}")
    with ledger:
        written(ledger, [entry(number, kind=kind) for number in range(7) for kind in kinds])
        written(ledger, [entry(9, kind="label", payment_id="pay-1")])
    go_on, pages = Event(), KnownIds._keys

    def held(known: KnownIds) -> Iterator[list[str]]:
        for page in pages(known):
            assert go_on.wait(PATIENCE)
            yield page

    monkeypatch.setattr(KnownIds, "_keys", held)
    with ledger:
        known = ledger.known
        assert known is not None
        assert not known.complete
        written(ledger, [entry(8)])
        assert ledger.find("pay-3") is not None
        assert ledger.find("pay-10") is None
        go_on.set()
        until(lambda: known.complete)
        every = [*((f"pay-{number}", kind) for number in range(7) for kind in kinds)]
        assert all(known.may_have(*one) for one in [*every, ("pay-8", "payment")])
        assert not known.may_have("pay-10", "payment")
        assert all(ledger.find(*one) is not None for one in every)
        assert len(ledger.labels("pay-1")) == 2
