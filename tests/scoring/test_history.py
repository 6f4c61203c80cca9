"""The history that a service starts from: what is left out of it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from serve.fixtures import BLIND_VELOCITY, make_bundle
from serve.service import KEY
from shroff.errors import BadFile
from shroff.scoring.history import history_of


def test_rows_left_out_of_a_history_are_in_the_log(
    model: bytes,
    pay: Callable[..., dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [pay(payment_id=f"p{number}") for number in range(4)]
    rows[2]["amount"] = None
    columns = ("is_fraud", "labelled_at", "result", "result_at")
    table = pl.DataFrame(rows).with_columns(pl.lit(None).alias(name) for name in columns)
    table.write_parquet(tmp_path / "log.parquet")
    found = history_of(make_bundle(model), tmp_path / "log.parquet", KEY, 0.5)
    assert len(found) == 3
    assert "log.parquet: left out 1: amount: expected a value" in caplog.text


def test_a_history_may_lack_labels_where_no_feature_reads_them(
    model: bytes,
    pay: Callable[..., dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "log.parquet"
    rows = [pay(payment_id=f"p{number}") for number in range(4)]
    absent = (pl.lit(None).alias(name) for name in ("result", "result_at"))
    table = pl.DataFrame(rows).with_columns(absent)
    table.write_parquet(path)
    blind = make_bundle(model, groups=(BLIND_VELOCITY,))
    found = history_of(blind, path, KEY, 0.0)
    assert (len(found), found["is_fraud"].null_count()) == (4, 4)
    assert "there is no column `is_fraud`: these payments have no labels" in caplog.text
    with pytest.raises(BadFile, match="expected a column `is_fraud`"):
        history_of(make_bundle(model), path, KEY, 0.0)  # the risk of a merchant reads them
    with pytest.raises(BadFile, match="expected a column `is_fraud`"):
        history_of(blind, path, KEY, 0.0, spare_labels=False)
    table.with_columns(pl.lit(0).alias("isfraud")).write_parquet(path)
    with pytest.raises(BadFile, match="did you mean `isfraud`"):
        history_of(blind, path, KEY, 0.0)
