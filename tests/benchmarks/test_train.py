"""The benchmark of a whole run: ours and the script by hand do the same work."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.train import OURS, SPLIT, STAGES, Result, Watch, prepare, report, shroff

from benchmarks import train_by_hand
from shroff.evaluate import TemporalSplit, parse_split


def test_both_ways_pass_every_stage_and_find_the_same_frauds(tmp_path: Path) -> None:
    prepare(6_000, log := tmp_path / "payments.parquet")
    split = parse_split(SPLIT)
    assert isinstance(split, TemporalSplit)
    ours, by_hand, bare = Watch(), Watch(), Watch()
    found = shroff(log, ours.done)
    assert train_by_hand.run(log, split, threads=1, done=by_hand.done) == pytest.approx(
        found, abs=0.1
    )
    train_by_hand.bare(log, split, threads=1, done=bare.done)
    assert {*STAGES} == ours.stages.keys() - {"imports"} == by_hand.stages.keys()
    results = {
        OURS: Result(ours.stages, 2**30, found),
        "bare": Result(bare.stages, 2**29, found),
    }
    assert results["bare"].total(0) == bare.stages["fits"][0], "no stage before the fit counts"
    assert report(results, 6_000).row_count == 2
