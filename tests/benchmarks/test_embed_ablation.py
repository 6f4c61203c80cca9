"""The ablation goes on from its file, and its gains are paired by seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.embed_ablation import Figures, finished, interval, keep, show
from numpy import array

AP = {"velocity": (0.5, 0.7), "links": (0.6, 0.9)}


def test_it_reads_what_it_wrote_and_pairs_by_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "arms.jsonl"
    assert finished(file) == finished(None) == {}
    for way, figures in AP.items():
        for seed, ap in enumerate(figures):
            keep(file, ("simulated", 100, seed, "GAN", way), Figures(ap, ap / 2, 7))
    found = finished(file)
    assert found["simulated", 100, 1, "GAN", "links"] == Figures(0.9, 0.45, 7)
    show(found)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "GAN" in line]
    # gains of 0.1 and 0.2: their mean, and t(0.975, 1) = 12.706 times 0.05
    assert rows[1] == "simulated GAN links 2 14 0.750 +0.150 ± 0.635 0.375 +0.075 ± 0.318".split()
    assert rows[0][-3:] == ["14", "0.600", "0.300"]


def test_one_seed_has_no_interval() -> None:
    assert interval(array([0.25])) == "+0.250"
