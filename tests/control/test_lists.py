"""Lists edited while the service runs: from when, until when, by whom; and any moment told
again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patience import PATIENCE, until
from serve.service import KEY, Service
from shroff.client import Client
from shroff.collect.personal import tokenizer
from shroff.control import Edit, Keys, Lists, LiveLists, effective, listed_value
from shroff.control.database import Control
from shroff.control.list_import import ListRow, Planned, plan_rows, rows_of_file, rows_of_text
from shroff.decide.standing import ListReaders
from shroff.errors import BadFile, ConfigurationError, ConsentRequired

Pay = Callable[..., dict[str, Any]]
MOMENTS = st.integers(0, 20)


@st.composite
def edits(draw: st.DrawFn) -> list[Edit]:
    made = []
    for number in range(draw(st.integers(0, 8))):
        since = draw(MOMENTS)
        made.append(
            Edit(
                id=number + 1,
                name=draw(st.sampled_from(["hosts", "cards", "unknown"])),
                value=draw(st.sampled_from("abc")),
                action=draw(st.sampled_from(["add", "remove"])),
                since=since,
                until=draw(st.none() | st.integers(since + 1, 21)),
                note=None,
                made_by="ada",
                made_at=number,
            )
        )
    return made


@given(edits(), MOMENTS)
def test_the_last_edit_that_covers_a_moment_decides(made: list[Edit], moment: int) -> None:
    seed = {"hosts": ("a",), "cards": ()}
    found = effective(seed, made, moment)
    for name, values in seed.items():
        for value in "abc":
            covering = [
                edit.action
                for edit in made
                if (edit.name, edit.value) == (name, value)
                and edit.since <= moment
                and moment < (edit.until or 99)
            ]
            expected = covering[-1] == "add" if covering else value in values
            assert (value in found.values[name]) == expected
    assert found.values.keys() == seed.keys()
    assert found.mark == (len(made), moment)


def test_an_edit_has_the_one_text_of_its_value(tmp_path: Path) -> None:
    lists = Lists(f"sqlite:///{tmp_path / 'control.db'}")
    assert lists.edit("codes", "555.0", "add", by="ada", since=0).value == "555"
    lists.edit("codes", "007.0", "add", by="ada", since=0)
    lists.edit("codes", "6011.0", "remove", by="ada", since=0)
    assert effective({"codes": ("6011",)}, lists.edits(), 1).values == {"codes": ("555", "007.0")}


def test_an_edit_must_make_sense(tmp_path: Path) -> None:
    lists = Lists(f"sqlite:///{tmp_path / 'control.db'}", clock=lambda: 100)
    with pytest.raises(ConfigurationError, match="1 to 500 characters"):
        lists.edit("hosts", "", "add", by="ada")
    with pytest.raises(ConfigurationError, match="ends after it begins"):
        lists.edit("hosts", "h", "add", by="ada", since=200, until=200)
    with pytest.raises(ConfigurationError, match="in the future"):
        lists.edit("hosts", "h", "add", by="ada", since=1, until=100)
    with pytest.raises(ConfigurationError, match="expected text in UTF-8"):
        lists.edit("hosts", "\udcff", "remove", by="ada")
    assert lists.edits() == []
    made = lists.edit("hosts", "h", "add", by="ada", note="seen in ticket 7")
    assert lists.edits() == [made]


def test_many_values_are_added_at_once_or_none(tmp_path: Path) -> None:
    lists = Lists(f"sqlite:///{tmp_path / 'control.db'}", clock=lambda: 1_000)
    lists.edit("hosts", "h2", "add", by="ada", until=2_000)
    messy = (
        "value;x,until,note\n h1 ,,\n,,\nCafé Zürich,2099-01-31,\nh1,,\nh0,,\nh2,,for good now\n"
    )
    (tmp_path / "hosts.csv").write_bytes(b"\xef\xbb\xbf" + messy.encode())

    def plan(rows: list[ListRow]) -> Planned:
        seed = {"hosts": ("h0",)}
        return plan_rows(lists, "hosts", rows, seed=seed, now=1_000, listed=str.lower, note="March")

    found = plan(rows_of_file(tmp_path / "hosts.csv", "value;x").rows)
    assert found.words == "hosts: 3 added, 1 on it already, 1 repeated, 1 without a value."
    made = lists.edit_all(found.edits, by="ada")
    assert [(one.value, one.note) for one in made] == [
        ("h1", "March"),
        ("café zürich", "March"),
        ("h2", "for good now"),
    ]
    assert made[1].until == 4_073_500_800_000_000
    again = plan(rows_of_file(tmp_path / "hosts.csv", "value;x").rows)
    assert again.edits == ()
    for several, why in ((again, "not on the list yet"), (found, "one end and one reason")):
        with pytest.raises(ConfigurationError, match=why):
            several.proposed()
    before = lists.edits()
    for text, why in (
        ("fine\nfar\u202eerised\nalso fine", "nothing was added. line 2: expected a value of"),
        ("\n".join(["x" * 501] * 3), "line 1, line 2, line 3: expected a value of 1 to 500"),
        (" \n ", "expected 1 to 50,000 values, got 0."),
    ):
        with pytest.raises(ConfigurationError, match=why):
            plan(rows_of_text(text))
    alone = Lists(f"sqlite:///{tmp_path / 'control.db'}", consent=True)
    with pytest.raises(ConsentRequired):
        alone.edit_all(found.edits, by="ada")
    (tmp_path / "other.csv").write_text("value,expires,until,reason,\nh3,2030-01-01,,stolen,\n")
    assert str(rows_of_file(tmp_path / "other.csv", "value").words).startswith(
        "not read: `expires`, `reason`; until when a value holds is read from `until`"
    )
    assert rows_of_file(tmp_path / "hosts.csv", "value;x").words is None
    (tmp_path / "latin.csv").write_bytes("value\nZürich\n".encode("latin-1"))
    with pytest.raises(BadFile, match="in UTF-8, cannot read it"):
        rows_of_file(tmp_path / "latin.csv", "value")
    pl.DataFrame({"value": [b"h4"]}).write_parquet(tmp_path / "bytes.parquet")
    with pytest.raises(BadFile, match=r"column `value`: expected texts.* got type Binary"):
        rows_of_file(tmp_path / "bytes.parquet", "value")
    (tmp_path / "named.csv").write_text("device_fp\nh3\n")
    with pytest.raises(BadFile, match="--column says which has the values"):
        rows_of_file(tmp_path / "named.csv", "value")
    (tmp_path / "soon.csv").write_text("value,until\nh3,soon\n")
    with pytest.raises(ConfigurationError, match="line 2: expected in `until` a day"):
        rows_of_file(tmp_path / "soon.csv", "value")
    (tmp_path / "later.csv").write_text("value,since\nh3,\nh4,2099-01-31\n")
    with pytest.raises(ConfigurationError, match="line 3: expected no `since`, got one"):
        rows_of_file(tmp_path / "later.csv", "value")
    assert lists.edits() == before


def waits(url: str) -> bool:
    """Whether somebody waits for a turn in a database of PostgreSQL."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database WHERE NOT granted "
        "AND locktype = 'advisory' AND datname = current_database())"
    )
    with Control(url).transaction("see who waits") as connection:
        return bool(connection.exec_driver_sql(query).scalar())


def test_a_service_misses_no_value_of_an_import_that_takes_long(postgres_server: str) -> None:
    lists = Lists(postgres_server)
    live, kept, go_on = LiveLists(lists), Event(), Event()
    many = [lists.checked("hosts", f"h{number}", "add") for number in range(1_200)]

    def import_slowly() -> None:
        with Control(postgres_server).transaction("keep edits of a list") as connection:
            assert len(lists.keep(connection, many, by="ada")) == len(many)
            kept.set()
            assert go_on.wait(PATIENCE)

    slow = Thread(target=import_slowly)
    other = Thread(target=lambda: lists.edit("hosts", "other", "add", by="bob"))
    slow.start()
    assert kept.wait(PATIENCE)
    other.start()
    # else it would be seen before the import
    until(lambda: waits(postgres_server) or not other.is_alive())
    live.refresh()
    go_on.set()
    for thread in (slow, other):
        thread.join()
    live.refresh()
    found = live.now({"hosts": ()}).values["hosts"]
    assert {*found} == {"other", *(one["value"] for one in many)}


def test_postgresql_keeps_edits_too(postgres_server: str) -> None:
    lists = Lists(postgres_server)
    made = [lists.edit("hosts", f"h{n}", "add", by="ada") for n in range(3)]
    assert lists.edits()[-3:] == made


def test_only_what_changed_is_read_and_what_ended_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100]
    lists = Lists(f"sqlite:///{tmp_path / 'control.db'}", clock=lambda: now[0])
    live = LiveLists(lists, clock=lambda: now[0])
    read: list[int] = []
    edits = lists.edits

    def noted(*, after: int = 0, also: Collection[int] = ()) -> list[Edit]:
        found = edits(after=after, also=also)
        read.append(len(found))
        return found

    monkeypatch.setattr(lists, "edits", noted)
    for number in range(30):
        lists.edit(
            "hosts",
            f"h{number % 10}",
            "add" if number % 2 else "remove",
            by="ada",
            until=200 if number % 3 else None,
        )
    live.refresh()
    for _ in range(3):
        live.refresh()
    lists.edit("hosts", "new", "add", by="ada")
    live.refresh()
    assert read == [30, 0, 0, 0, 1]
    assert live.edited == {("hosts", "add"): 16, ("hosts", "remove"): 15}
    for moment in (100, 199, 200, 10_000):
        now[0] = moment
        found, told = live.now({"hosts": ("h3",)}), effective({"hosts": ("h3",)}, edits(), moment)
        assert (found.mark, {*found.values["hosts"]}) == (told.mark, {*told.values["hosts"]})
    lists.edit("hosts", "newer", "add", by="ada")
    live.refresh()
    assert "newer" in live.now({"hosts": ()}).values["hosts"]
    assert len(live._known.edits) < 15, (
        "those that ended, and those that others stand before, are not kept"
    )


@given(edits(), st.lists(MOMENTS, min_size=1, max_size=4).map(sorted), st.data())
def test_what_is_kept_says_the_same_as_all_that_was_ever_made(
    made: list[Edit], moments: list[int], data: st.DataObject
) -> None:
    now, seed = [0], {"hosts": ("a",), "cards": ()}

    class Stored:
        def __init__(self) -> None:
            self.made: list[Edit] = []

        def edits(self, *, after: int = 0, also: Collection[int] = ()) -> list[Edit]:
            return [edit for edit in self.made if edit.id > after or edit.id in also]

        def newest(self) -> int:
            return max((edit.id for edit in self.made), default=0)

    stored = Stored()
    live = LiveLists(cast(Lists, stored), clock=lambda: now[0])
    # PostgreSQL shows edits in another order than that of their numbers
    coming = data.draw(st.permutations(made))
    held = live.now(seed)
    for moment in moments:
        now[0] = moment
        some = data.draw(st.integers(0, len(coming)))
        stored.made = sorted([*stored.made, *coming[:some]], key=lambda edit: edit.id)
        coming = coming[some:]
        live.refresh()
        told = effective(seed, stored.made, moment).values
        assert {name: {*values} for name, values in live.now(seed).values.items()} == {
            name: {*values} for name, values in told.items()
        }
        if live.hold(held):
            assert held.values == live.now(seed).values
        held = live.now(seed)


def test_another_database_is_read_from_its_beginning(tmp_path: Path) -> None:
    first, second = (Lists(f"sqlite:///{tmp_path / name}.db") for name in "ab")
    for number in range(3):
        first.edit("hosts", f"h{number}", "add", by="ada")
    second.edit("hosts", "other", "add", by="ada")
    live = LiveLists(first)
    live.refresh()
    live.store = second
    live.refresh()
    assert live.now({"hosts": ()}).values == {"hosts": ("other",)}
    assert live.edited == {("hosts", "add"): 1}


def test_an_edit_decides_the_next_payment(bundle_folder: Path, tmp_path: Path, pay: Pay) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    admin, shop = keys.create("ada", ["admin"]), keys.create("shop", ["decide", "read"])
    with (
        Service(bundle_folder, tmp_path, keys=True) as service,
        Client(service.url, key=shop) as client,
    ):

        def edit(key: str, name: str = "blocked", **body: Any) -> Any:
            headers = {"authorization": f"Bearer {key}"}
            return service.request("POST", f"/v1/lists/{name}/edits", headers=headers, json=body)

        assert client.decide(pay(host_id="10.7.7.7")).rules == ()
        assert edit(shop, value="10.7.7.7").status_code == 403
        made = edit(admin, value="10.7.7.7", note="card testing")
        assert made.status_code == 201
        assert (made.json()["by"], made.json()["note"]) == ("ada", "card testing")
        decision = client.decide(pay(host_id="10.7.7.7"))
        assert (decision.action, decision.rules) == ("decline", ("blocked_host",))
        assert edit(admin, value="10.6.6.6", action="remove").status_code == 201
        assert client.decide(pay(host_id="10.6.6.6")).rules == ()
        assert edit(admin, "blokked", value="x").json()["detail"] == (
            "there is no such list: did you mean `blocked`?"
        )
        assert edit(admin, value="x", until="yesterday").status_code == 400
        assert edit(admin, value="x", until="2020-01-01T00:00:00Z").status_code == 400
        listed = service.request(
            "GET", "/v1/lists", headers={"authorization": f"Bearer {shop}"}
        ).json()
        assert [(one["name"], one["values"], len(one["edits"])) for one in listed] == [
            ("blocked", ["10.7.7.7"], 2)
        ]
        assert [one["edited"] for one in listed] == [2]


def test_a_personal_value_is_kept_as_columns_have_it(bundle_folder: Path, tmp_path: Path) -> None:
    with Service(bundle_folder, tmp_path) as service:

        def edit(**body: Any) -> Any:
            return service.request("POST", "/v1/lists/blocked/edits", json=body)

        made = edit(value="203.0.113.9", personal=True).json()
        assert made["value"] == tokenizer(KEY)("203.0.113.9")
        for hidden in ("a\u202eb", "\u3164", "a\tb"):
            for sent, field in (
                ({"value": hidden}, "value"),
                ({"value": "x", "note": hidden}, "note"),
            ):
                answer = edit(**sent)
                assert answer.status_code == 400
                assert "of printable characters, got text" in answer.text, field
        assert edit(action="remove", value="a\u202eb").status_code == 201
        assert "of printable characters" in edit(action="remove", value="a\0b").text
        refused = edit(value="4111 1111 1111 1111")
        assert refused.status_code == 400
        assert "card number" in refused.text
        assert "4111" not in refused.text
        assert edit(value="x", note="4111 1111 1111 1111").status_code == 400
        assert edit(value="4111 1111 1111 1111", personal=True).status_code == 201
    stored = (tmp_path / "control.db").read_bytes()
    assert b"203.0.113.9" not in stored
    assert b"4111" not in stored


def test_an_edit_made_elsewhere_is_noticed(bundle_folder: Path, tmp_path: Path, pay: Pay) -> None:
    with Service(bundle_folder, tmp_path) as service, Client(service.url) as client:
        Lists(f"sqlite:///{tmp_path / 'control.db'}").edit("blocked", "10.8.8.8", "add", by="ops")
        decided = (client.decide(pay(host_id="10.8.8.8")).rules for _ in range(5_000))
        assert ("blocked_host",) in decided


def test_a_value_for_a_list_of_currencies_is_a_code_and_one_of_a_person_is_always_hashed() -> None:
    def listed(value: str, *, personal: bool = False, currency: str | None = "ccy") -> str:
        return listed_value(
            value,
            "add",
            personal=personal,
            readers=ListReaders(personal=[], currency=currency),
            token=tokenizer(b"k" * 32),
            numbers=(),
        )

    assert listed("USD") == "USD"
    for odd, right in (("usd", "write USD"), ("392", "write JPY"), ("Euro", "one of ISO 4217")):
        with pytest.raises(ConfigurationError, match=f"in `ccy`, .*{right}"):
            listed(odd)
    assert listed("usd", currency=None) == "usd"
    sent_hashed = "0f" * 32
    assert listed(sent_hashed, currency=None) == sent_hashed
    assert listed(sent_hashed, personal=True) == tokenizer(b"k" * 32)(sent_hashed)
