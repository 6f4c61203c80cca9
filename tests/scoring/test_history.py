"""The history that a service starts from: what is left out of it is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from program import shroff
from serve.asking import decide, run
from serve.fixtures import BLIND_VELOCITY, iso, make_bundle
from serve.service import KEY
from shroff.collect.labels import HISTORY
from shroff.errors import BadFile
from shroff.ledger import Ledger
from shroff.monitor import ledger_parity
from shroff.package import Bundle
from shroff.scoring.history import history_of, source_of
from shroff.scoring.scorer import Scorer


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


def labelled_apart(
    pay: Callable[..., dict[str, Any]], folder: Path
) -> tuple[Path, Path, list[dict[str, Any]]]:
    """Payments without columns of labels, and a table of what was said of them."""
    now = time.time()
    rows = [
        pay(payment_id=f"h{n}", created_at=iso(now - 86_400 + n), result=None, result_at=None)
        for n in range(4)
    ]
    said = [
        {"payment_id": name, "is_fraud": fraud, "labelled_at": iso(now - ago)}
        for name, fraud, ago in (
            ("h0", 1, 7_200),
            ("h1", 1, 7_100),
            ("h1", 0, 60),  # a chargeback is withdrawn
            ("h2", 0, 7_000),
            ("h9", 1, 7_000),
        )
    ]
    payments, labels = folder / "payments.csv", folder / "labels.csv"
    pl.DataFrame(rows).write_csv(payments)
    pl.DataFrame(said).write_csv(labels)
    return payments, labels, rows


def test_labels_in_a_table_of_their_own_warm_what_reads_labels(
    bundle: Bundle,
    pay: Callable[..., dict[str, Any]],
    tmp_path: Path,
    ledger_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    payments, labels, _ = labelled_apart(pay, tmp_path)
    table = history_of(bundle, payments, KEY, 0.0, labels=labels)
    assert f"left out 1: labels in {labels}: expected the id of a payment" in caplog.text
    assert table["is_fraud"].to_list() == [True, False, False, None]
    risks = {}
    for name, made in (("labels", table), ("none", table.drop(HISTORY).head(0))):
        url = ledger_url.replace("ledger.db", f"{name}.db")
        scorer = Scorer(bundle, Ledger(url), key=KEY, history=made.clone)
        scorer.start()
        run(decide(scorer, pay(payment_id="live")))
        scorer.close()
        (record,) = (one for one in Ledger(url).records() if one.kind == "payment")
        risks[name] = msgspec.json.decode(record.body)["features"]["merchant_risk_30d"]
    # one of the three whose label is known
    assert risks["labels"] > risks["none"]
    found = ledger_parity(
        bundle, Ledger(ledger_url.replace("ledger.db", "labels.db")).records(), history=table
    )
    assert (found.payments, found.holds) == (1, True)


def test_a_changed_table_of_labels_is_another_source(
    bundle: Bundle, pay: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    payments, labels, _ = labelled_apart(pay, tmp_path)
    first = source_of(bundle, payments, 0.0, labels)
    assert first == source_of(bundle, payments, 0.0, labels) != source_of(bundle, payments, 0.0)
    labels.write_text(labels.read_text().replace("h2,0", "h2,1"))
    assert source_of(bundle, payments, 0.0, labels) not in {None, first}
    assert source_of(bundle, payments, 0.0, tmp_path / "none.csv") is None


def test_labels_without_their_payments_are_refused(tmp_path: Path) -> None:
    for words in (
        ["serve", "bundle", "--warm-labels", "l.csv"],
        ["consume", "bundle", "--from", "a", "--to", "b", "--warm-labels", "l.csv"],
        ["monitor", "bundle", "--labels", "l.csv"],
        ["monitor", "bundle", "--warm-labels", "l.csv"],
        ["replay", "p1", "--labels", "l.csv"],
        ["cases", "pack", "1", "--out", "case.zip", "--labels", "l.csv"],
        ["parity", "bundle", "--ledger", "--labels", "l.csv"],
        ["retrain", "project", "--labels", "l.csv"],
        ["guard", "--labels", "l.csv"],
        ["promote", "bundle", "--to", "candidate", "--why", "x", "--labels", "l.csv"],
    ):
        done = shroff(tmp_path, *words)
        assert done.returncode == 2
        assert "the payments of these labels, got labels alone." in " ".join(done.stderr.split())
