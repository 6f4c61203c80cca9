"""A slice of what the fuzzer gives where something is kept: topics, bundles, tables to start from,
Redis.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from benchmarks.fuzz import bundles, histories, messages, spoil, state
from benchmarks.fuzz.apart import outcome
from benchmarks.fuzz.outcome import Outcome

from servers import kafka, or_skip, redis
from shroff.errors import DataError


def failures(found: Iterable[Outcome]) -> list[str]:
    """What failed for any reason but the time it took, for which other programs of the machine may
    stand.
    """
    return [
        failure for one in found for failure in one.failures if "neighbour waited" not in failure
    ]


def test_a_consumer_stands_messages_of_every_kind(tmp_path: Path) -> None:
    with or_skip(kafka(), "Kafka broker"):
        found = list(messages.fuzz_messages(tmp_path / "fuzz", cases=25, seed=1))
    assert failures(found) == []
    assert {one.kind: one.cases for one in found} == dict.fromkeys(messages.KINDS, 5)


def test_bundles_work_or_are_refused_in_a_sentence_beside_a_service(tmp_path: Path) -> None:
    found = list(bundles.fuzz_bundles(tmp_path, cases=len(bundles.KINDS), seed=1))
    assert failures(found) == []
    assert [one.kind for one in found] == list(bundles.KINDS)


def test_tables_are_started_from_or_refused_in_a_sentence(tmp_path: Path) -> None:
    found = list(
        histories.fuzz_histories(tmp_path / "fuzz", cases=3 * len(histories.KINDS), seed=1)
    )
    assert failures(found) == []
    assert sum(one.cases for one in found) == 18


def test_a_service_stands_keys_that_are_gone(tmp_path: Path) -> None:
    with or_skip(redis(), "Redis server"):
        (found,) = state.fuzz_state(tmp_path / "fuzz", cases=5, seed=1, kinds=["state gone"])
    assert failures([found]) == []
    assert found.cases == 5


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (DataError("expected rows, got none; pass others."), ""),
        (DataError("expected rows"), "no sentence"),
        (DataError("one line.\nanother."), "no sentence"),
        (KeyError("4111"), "KeyError in test_fuzz_kept.py, trial"),
        (KeyboardInterrupt(), "KeyboardInterrupt in"),
    ],
)
def test_what_is_no_refusal_is_found(error: BaseException, wrong: str) -> None:
    def trial() -> str:
        raise error

    assert wrong in outcome(trial)
    assert bool(outcome(trial)) == bool(wrong)


def test_what_is_spoilt_is_a_copy_and_follows_from_the_seed() -> None:
    document = {"a": [1, {"b": None}], "c": "x"}
    first, again = (spoil.spoilt(Random(7), document, 3) for _ in range(2))
    assert first == again != document
    assert document == {"a": [1, {"b": None}], "c": "x"}
    assert spoil.spoilt_bytes(Random(7), b"good") == spoil.spoilt_bytes(Random(7), b"good")
