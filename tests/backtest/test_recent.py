"""The ledger's last days in memory: as if read at once, whatever comes and is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from patience import until
from scoring.test_forgotten import World, sent
from shroff import Rule
from shroff.backtest import RecentPast, past_of_ledger, trial
from shroff.clock import system_time
from shroff.collect.times import DAY_US
from shroff.decide.standing import own
from shroff.errors import ConfigurationError, NotFound
from shroff.package import Bundle, load
from shroff.promotion import Contender

Pay = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def bundle(sealed_folder: Path) -> Bundle:
    return load(sealed_folder)


@pytest.fixture
def world(bundle: Bundle, tmp_path: Path, pay: Pay) -> World:
    made = World(
        bundle, f"sqlite:///{tmp_path / 'ledger.db'}", f"sqlite:///{tmp_path / 'control.db'}"
    )
    asyncio.run(made.record(pay))
    return made


def recent_of(world: World, **options: Any) -> RecentPast:
    return RecentPast(world.ledger, lambda version: None, **options)


def at_once(world: World) -> pl.DataFrame:
    """All of the ledger, read in one go, as `shroff backtest --ledger` does."""
    lists = own(world.bundle).policy.lists
    entries = [one for one in world.ledger().entries() if one.forgotten is None]
    return past_of_ledger(world.bundle, entries, lambda version: None, lists=lists).frame


async def more(world: World, pay: Pay) -> None:
    """Later payments, and later labels of those that were read before."""
    scorer = world.scorer()
    for number in range(24, 40):
        await scorer.decide(msgspec.json.encode(sent(pay, number)))
    for number, label in ((0, False), (1, True), (25, True), (2, True), (2, False)):
        await scorer.learn("label", f"p{number}", label)
    scorer.close()


@pytest.mark.parametrize("chunk", [3, 1_000])
def test_what_is_read_in_parts_is_what_is_read_at_once(
    world: World, pay: Pay, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shroff.backtest.recent._CHUNK_RECORDS", chunk)
    monkeypatch.setattr("shroff.backtest.recent._MAX_PARTS", 4)
    recent, one = recent_of(world), Contender(world.bundle, own(world.bundle))
    assert recent.follow(one, []).frame.equals(at_once(world))
    asyncio.run(more(world, pay))
    assert recent.follow(one, []).frame.equals(at_once(world))
    assert len(recent.follow(one, [])) == recent.payments == 40
    world.forget()
    fewer = recent.follow(one, [])
    assert fewer.frame.equals(at_once(world))
    assert 0 < len(fewer) < 40


def test_old_payments_and_what_memory_cannot_hold_are_left_out(world: World) -> None:
    one = Contender(world.bundle, own(world.bundle))
    size = at_once(world).estimated_size()
    half = recent_of(world, most_bytes=size // 2).follow(one, [])
    assert 0 < len(half) <= 12
    assert "are kept in memory" in half.notices[0]
    assert half.frame.equals(at_once(world).tail(len(half)))
    now = [system_time()]
    later = recent_of(world, clock=lambda: now[0])
    assert len(later.follow(one, [])) == 24
    now[0] += 60 * DAY_US
    assert len(later.follow(one, [])) == 0


def test_it_is_read_in_the_background_and_says_why_it_is_not(world: World) -> None:
    one = Contender(world.bundle, own(world.bundle))
    recent = recent_of(world)
    assert recent.ask(one, []) is None
    until(lambda: recent.ask(one, []) is not None, said=lambda: str(recent.problem))
    found = recent.ask(one, [])
    assert found is not None
    assert len(found) == 24

    def away() -> Any:
        raise ConfigurationError("the ledger is away")

    broken = RecentPast(away, lambda version: None)
    assert broken.ask(one, []) is None
    until(lambda: broken.problem == "the ledger is away")


def test_a_rule_is_tried_on_what_was_decided(world: World) -> None:
    bundle = replace(world.bundle, currency="EUR")
    one = Contender(bundle, own(bundle))
    past = recent_of(world).follow(one, [])
    given = one.standing.given
    rule = Rule("often", "card_count_1d >= 0 AND amount > 1", action="decline")
    asked = msgspec.structs.replace(given, rules=[*given.rules, rule])
    with pytest.raises(NotFound, match="whose labels are in, which takes 7 days"):
        trial(one, asked, past)
    began = int(past.moment[4])
    shadow = trial(one, asked, past, decided_since=began)
    (figures,) = shadow.rules
    assert figures.name == "often"
    held = (past.frame["amount"] > 1) & (past.frame["\0moment"] >= began)
    assert figures.matches.payments == held.sum() > 0
    grown = trial(one, asked, past, clock=lambda: system_time() + 20 * DAY_US)
    assert grown.found.payments.payments == 24
    assert grown.found.swap["newly_annoyed"].payments > 0
    example = grown.examples[0]
    assert example.set == "newly_annoyed"
    assert any("by this card" in said for said in example.said)
    assert trial(one, given, past, decided_since=began).rules == ()
