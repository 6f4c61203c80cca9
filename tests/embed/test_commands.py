"""`shroff embed` as its user meets it, over the project of the examples."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from commands import answer, run
from shroff.embed import read_vectors
from shroff.errors import BadFile, ConfigurationError, NotFound

PROJECT = Path(__file__).parents[2] / "examples" / "payments"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "payments.parquet"
    run("simulate", path, "--payments", "2000", "--days", "20")
    return path


def test_train_writes_the_same_file_again_and_leaves_out_what_is_later(
    log: Path, tmp_path: Path
) -> None:
    words = ("embed", "train", PROJECT, "--data", log, "--before", "2024-01-11")
    first = answer(*words, "--out", tmp_path / "one.arrow")
    second = answer(*words, "--out", tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()
    assert first["digest"] == second["digest"] == read_vectors(tmp_path / "one.arrow").digest
    assert first["left_out"] > 0
    assert first["latest"] < first["before"] == "2024-01-11T00:00:00+00:00"
    whole = answer("embed", "train", PROJECT, "--data", log, "--out", tmp_path / "all.arrow")
    assert (whole["left_out"], whole["before"]) == (0, None)
    assert whole["payments"] == first["payments"] + first["left_out"]


def test_a_log_without_labels_and_results_teaches_the_same(log: Path, tmp_path: Path) -> None:
    later = ("result", "result_at", "is_fraud", "labelled_at")
    bare = tmp_path / "bare.parquet"
    pl.read_parquet(log).drop(later).write_parquet(bare)
    files = [tmp_path / "whole.arrow", tmp_path / "bare.arrow"]
    for data, file in zip((log, bare), files, strict=True):
        run("embed", "train", PROJECT, "--data", data, "--out", file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_neighbours_are_of_the_same_column_and_in_order(log: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.arrow"
    assert "tokens in 8 dimensions" in run("embed", "train", PROJECT, "--data", log, "--out", file)
    found = answer("embed", "neighbours", file, "amount=10-20", "--most", "3")["neighbours"]
    assert [one["column"] for one in found] == ["amount"] * 3
    assert "10-20" not in [one["token"] for one in found]
    cosines = [one["cosine"] for one in found]
    assert cosines == sorted(cosines, reverse=True)
    assert found[0]["token"] in run("embed", "neighbours", file, "amount=10-20")


def test_a_wrong_call_is_one_sentence(log: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.arrow"
    with pytest.raises(ConfigurationError, match="did you mean `purchases`"):
        run("embed", "train", PROJECT, "--data", log, "--out", file, "--name", "purchase")
    with pytest.raises(ConfigurationError, match="expected a time"):
        run("embed", "train", PROJECT, "--data", log, "--out", file, "--before", "March")
    with pytest.raises(BadFile, match="no such file"):
        run("embed", "neighbours", file, "mcc=5411")
    run("embed", "train", PROJECT, "--data", log, "--out", file)
    with pytest.raises(ConfigurationError, match="COLUMN=VALUE"):
        run("embed", "neighbours", file, "5411")
    with pytest.raises(NotFound, match="too rare or was never seen"):
        run("embed", "neighbours", file, "mcc=0000")


def test_a_map_has_every_token_of_its_column_once(log: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "vectors.arrow", tmp_path / "map.html"
    run("embed", "train", PROJECT, "--data", log, "--out", file)
    found = answer("embed", "plot", file, "amount", "--out", page)
    texts = [text for column, text in read_vectors(file).tokens if column == "amount"]
    drawn = page.read_text(encoding="utf-8")
    assert found["tokens"] == drawn.count("<circle") == len(texts)
    assert all(drawn.count(f">{escape(text)}</text>") == 1 for text in texts)
    assert "<script" not in drawn
    places = re.findall('cx="([0-9]+)" cy="([0-9]+)"', drawn)
    assert all(0 <= int(place) <= 900 for pair in places for place in pair)
    assert len(set(places)) > len(texts) // 2
    run("embed", "plot", file, "amount", "--out", page.with_suffix(".png"))
    with Image.open(page.with_suffix(".png")) as image:
        assert (image.format, image.size) == ("PNG", (1800, 1800))
        at = [(2 * int(x), 2 * int(y)) for x, y in places]
        assert all(image.getpixel(place) != (255, 255, 255) for place in at)
    with pytest.raises(ConfigurationError, match=r"ends in \.html or \.png"):
        run("embed", "plot", file, "amount", "--out", page.with_suffix(".gif"))
    with pytest.raises(ConfigurationError, match="did you mean `amount`"):
        run("embed", "plot", file, "amout", "--out", page)
