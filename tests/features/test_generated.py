"""The function that is generated for a plan: what it says, and that people can read it where it
fails.
"""

from __future__ import annotations

import inspect
import linecache
import traceback

import pytest

from features.online_world import SCHEMA, card, pay
from golden import observe
from shroff import FeatureGroup, generated, speedups
from shroff.collect.payment import Payment
from shroff.features.engines.online import OnlineEngine
from shroff.generated import define, function


def test_the_source_of_a_plan_is_the_one_that_was_read_and_approved() -> None:
    # if a change is meant, `PYTHONPATH=tests python -m golden.observe` writes it
    assert observe.engine().source == observe.GOLDEN.read_text()
    if speedups.compiled is not None:
        source = observe.engine(speedups.compiled).source
        assert source == observe.COMPILED.read_text()


def test_a_traceback_shows_the_generated_line() -> None:
    payment = Payment("p1", 1, 1, 100, 10_000, {"card_id": [], "merchant_id": None})  # type: ignore[dict-item]  # no key
    with pytest.raises(TypeError) as raised:
        observe.engine().observe(payment)
    linecache.checkcache()
    last = traceback.extract_tb(raised.tb)[-1]
    assert last.filename.startswith("<shroff observe ")
    assert last.line == "line = get2(key, unseen2)"


def test_windows_of_any_number_are_read() -> None:
    """They are nested in code, which Python takes to a depth of a hundred."""
    minutes, last = 60_000_000, 150
    group = FeatureGroup("g", [card.count([f"{width}m" for width in range(1, last)])])
    engine = OnlineEngine([group], SCHEMA)
    for minute in (0, 1, 5, 80, 100, 145):
        features = engine.observe(pay(minute, minute * minutes))
    for width in range(1, last):
        seen = sum(145 - width < minute < 145 for minute in (0, 1, 5, 80, 100))
        assert features[f"card_count_{width}m"] == seen


def test_source_can_be_inspected() -> None:
    source = function("double(x)", ["if x is None: return None", "return 2 * x"])
    assert inspect.getsource(define(source, {})) == source


def test_only_the_newest_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "_MAX_FILES", 3)
    monkeypatch.setattr(generated, "_files", {})
    files = [
        define(function(f"f{number}()", ["return 1"]), {}).__code__.co_filename
        for number in range(5)
    ]
    assert [file in linecache.cache for file in files] == [False, False, True, True, True]


def test_equal_sources_share_a_file_and_not_their_globals() -> None:
    source = function("scaled(x)", ["return x * by"])
    twice, thrice = (define(source, {"by": by}) for by in (2, 3))
    assert (twice(1), thrice(1)) == (2, 3)
    assert twice.__code__.co_filename == thrice.__code__.co_filename
