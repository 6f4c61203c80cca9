"""`shroff score`: a log is decided as the service would have decided it, payment by payment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from serve.asking import Json, decide, run
from serve.fixtures import iso, make_bundle
from serve.service import KEY
from shroff.cli import app
from shroff.collect import clean
from shroff.errors import (
    BadFile,
    BundleError,
    ConfigurationError,
    MixedCurrencies,
    TooManyBadRows,
)
from shroff.ledger import Ledger
from shroff.package import Bundle, model_inputs, write_pyfunc
from shroff.pipeline import score_log
from shroff.portable.pyfunc import PortableModel
from shroff.scoring.history import history_of
from shroff.scoring.scorer import Scorer

N = 300
SMALL = 5 << 20
"""Bytes in which not all of them have room."""
Log = list[Json]


@pytest.fixture(scope="module")
def log() -> Log:
    """Payments of few cards in order of time, some at the same moment, some with a null."""
    random = np.random.default_rng(7)
    times = np.sort(random.integers(0, 3 * 86_400, N)) + 1_700_000_000

    def one_of(*values: str) -> str:
        return str(random.choice(values))

    return [
        {
            "payment_id": f"p{number}",
            "created_at": iso(float(at)),
            "amount": round(float(random.lognormal(4, 1)), 2),
            "currency": "EUR",
            "card_id": f"c{random.integers(8)}",
            "merchant_id": one_of("m1", "m2", "m3"),
            "host_id": one_of("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.6.6.6"),
            "mcc": one_of("5411", "6011", "7995"),
            "request_country": one_of("DK", "SE"),
            "account_country": "DK",
            "items": None if random.random() < 0.2 else int(random.integers(9)),
            "email": f"a{random.integers(5)}@example.org",
        }
        for number, at in enumerate(times)
    ]


@pytest.fixture(scope="module")
def answered(bundle: Bundle, log: Log, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """The service's answers to all of them, one by one."""
    ledger = tmp_path_factory.mktemp("ledger") / "ledger.db"
    scorer = Scorer(bundle, Ledger(f"sqlite:///{ledger}"), key=KEY)
    scorer.start()

    async def all_of_them() -> list[Json]:
        return [await decide(scorer, payment) for payment in log]

    answers = run(all_of_them())
    scorer.close()
    return {one["payment_id"]: one for one in answers}


def write(log: Log, path: Path) -> Path:
    frame = pl.DataFrame(log)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path)
    return path


@pytest.mark.parametrize(
    ("suffix", "memory", "cut", "again"),
    [
        (".csv", 1 << 30, 0, 0),
        (".parquet", SMALL, 0, 0),
        (".csv", SMALL, 150, 40),
        (".parquet", SMALL, 150, 9),
    ],
)
def test_a_log_is_decided_as_the_service_decided(
    bundle: Bundle,
    log: Log,
    answered: dict[str, Json],
    tmp_path: Path,
    suffix: str,
    memory: int,
    cut: int,
    again: int,
) -> None:
    """Whatever its format, the memory, and how much of it is history, or both."""
    data = write(log[cut:], tmp_path / f"log{suffix}")
    history = write(log[: cut + again], tmp_path / f"past{suffix}") if cut else None
    told: list[tuple[int, int | None]] = []
    done = score_log(
        bundle,
        data,
        tmp_path / "scores.parquet",
        key=KEY,
        memory=memory,
        history=history,
        count=lambda *now: told.append(now),
    )
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores["payment_id"].to_list() == [payment["payment_id"] for payment in log[cut:]]
    for row in scores.iter_rows(named=True):
        answer = answered[row["payment_id"]]
        assert row["probability"] == answer["probability"]
        assert (row["action"], row["rules"]) == (answer["action"], answer["rules"])
        assert [(one["code"], one["text"]) for one in row["reasons"]] == [
            (one["code"], one["text"]) for one in answer["reasons"]
        ]
        assert row["policy"] == answer["policy"]
    assert dict(scores["action"].value_counts().iter_rows()) == done.actions
    assert len(done.actions) == 3
    assert (done.payments, done.known, told[-1]) == (N - cut, again, (N - cut, N - cut))
    kept = {"scores.parquet", data.name, *([history.name] if history else [])}
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_features_that_a_log_cannot_feed_are_named(
    bundle: Bundle, log: Log, tmp_path: Path, suffix: str
) -> None:
    """A log without labels is decided as by a service that gets none, and says so."""
    results = [{**one, "result": "authorised", "result_at": one["created_at"]} for one in log]
    data = write(results[150:], tmp_path / f"log{suffix}")
    past = write(log[:150], tmp_path / f"past{suffix}")

    def notices(data: Path, history: Path | None = None) -> list[str]:
        target = tmp_path / "scores.parquet"
        done = score_log(bundle, data, target, key=KEY, memory=1 << 30, history=history)
        return list(done.notices)

    of_labels = "has no column `is_fraud`: no payment of it has a label for `merchant_risk_30d`."
    of_results = "has no column `result`: no payment of it has a result for `card_failed_1d`."
    (told,) = notices(data)
    assert told.startswith(f"{data} {of_labels}")
    told, *others = notices(data, past)
    assert told.startswith(f"{data} {of_labels}")
    assert [one.startswith((f"{past} {of_labels}", f"{past} {of_results}")) for one in others] == [
        True,
        True,
    ]
    known = [{**one, "is_fraud": 0, "labelled_at": one["created_at"]} for one in results]
    assert notices(write(known, tmp_path / f"known{suffix}")) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels_in_a_table_of_their_own_count_as_those_in_the_rows(
    bundle: Bundle, log: Log, tmp_path: Path, suffix: str
) -> None:
    """Of the log and of its history, however they are sliced."""
    fraud = {one["payment_id"]: number % 3 == 0 for number, one in enumerate(log[:200])}
    within = [
        {
            **one,
            "is_fraud": int(fraud[one["payment_id"]]) if one["payment_id"] in fraud else None,
            "labelled_at": one["created_at"] if one["payment_id"] in fraud else None,
        }
        for one in log
    ]
    said = [
        {name: one[name] for name in ("payment_id", "is_fraud", "labelled_at")}
        for one in within[:200]
    ]
    said.append({"payment_id": "unknown", "is_fraud": 1, "labelled_at": said[0]["labelled_at"]})
    labels = write(said, tmp_path / f"labels{suffix}")
    scores = {}
    for name, some, apart in (("within", within, None), ("apart", log, labels)):
        done = score_log(
            bundle,
            write(some[150:], tmp_path / f"log{suffix}"),
            tmp_path / "scores.parquet",
            key=KEY,
            memory=SMALL,
            history=write(some[:150], tmp_path / f"past{suffix}"),
            labels=apart,
        )
        scores[name] = pl.read_parquet(tmp_path / "scores.parquet")
    assert_frame_equal(scores["apart"], scores["within"])
    assert done.dropped == {f"labels in {labels}: expected the id of a payment in the table": 1}
    assert not any("is_fraud" in one for one in done.notices)


def test_a_packaged_model_gives_the_service_s_probabilities_for_the_inputs_of_a_clean_table(
    bundle: Bundle, log: Log, answered: dict[str, Json], tmp_path: Path
) -> None:
    later = dict.fromkeys(("result", "result_at", "is_fraud", "labelled_at"))
    raw = pl.DataFrame([payment | later for payment in log])
    table = clean(raw, bundle.schema, key=KEY).frame
    inputs = model_inputs(bundle, table)
    model = PortableModel(write_pyfunc(bundle, tmp_path / "model") / "data")
    found = model.predict(inputs.drop("payment_id").to_pandas()).tolist()
    assert found == [answered[name]["probability"] for name in inputs["payment_id"]]


def test_two_tables_are_joined_as_the_project_joined_them(
    bundle: Bundle, model: bytes, log: Log, tmp_path: Path
) -> None:
    later = ["mcc", "items"]
    log = [{**one, **dict.fromkeys(bundle.schema.later)} for one in log]
    whole = write(log, tmp_path / "whole.csv")
    facts = write([{n: one[n] for n in one if n not in later} for one in log], tmp_path / "f.csv")
    statistics = [{name: one[name] for name in ("payment_id", *later)} for one in log]
    second = write(statistics[::-1], tmp_path / "s.csv")
    joining = make_bundle(model, metrics={"join": "payment_id"})
    for one, data, join in ((joining, facts, second), (bundle, whole, None)):
        score_log(one, data, tmp_path / one.version, key=KEY, memory=SMALL, join=join)
    found, expected = (pl.read_parquet(tmp_path / one.version) for one in (joining, bundle))
    assert_frame_equal(found.drop("model", "policy"), expected.drop("model", "policy"))
    assert_frame_equal(
        history_of(joining, facts, KEY, 0.01, second), history_of(bundle, whole, KEY, 0.01)
    )
    with pytest.raises(ConfigurationError, match="names no column to join"):
        score_log(bundle, facts, tmp_path / "no", key=KEY, memory=SMALL, join=second)


def test_unusable_rows_are_counted_and_unusable_logs_refused(
    bundle: Bundle, log: Log, tmp_path: Path
) -> None:
    target = tmp_path / "scores.parquet"

    def scored(rows: list[dict[str, Any]], **asked: Any) -> Any:
        data = write(rows, tmp_path / "log.csv")
        return score_log(bundle, data, target, key=KEY, memory=1 << 30, **asked)

    rows = [{**payment, "amount": str(payment["amount"])} for payment in log]
    rows[3]["amount"] = "a lot"
    done = scored(rows)
    reason = "amount: expected a number from 0 to 100,000,000,000,000, got text"
    assert (done.payments, dict(done.dropped)) == (N - 1, {reason: 1})
    before = target.read_bytes()
    with pytest.raises(TooManyBadRows):
        scored(rows, max_bad=0.0)
    with pytest.raises(BadFile, match="expected a column `host_id`"):
        scored([{name: row[name] for name in row if name != "host_id"} for row in log])
    foreign, broken = make_bundle(bundle.model, currency="EUR"), make_bundle(b"no model")
    data = write([*log[:-1], {**log[-1], "currency": "USD"}], tmp_path / "log.csv")
    with pytest.raises(MixedCurrencies, match="expected payments in EUR only"):
        score_log(foreign, data, target, key=KEY, memory=1 << 30)
    with pytest.raises(BundleError):
        score_log(broken, data, target, key=KEY, memory=1 << 30)
    assert target.read_bytes() == before


def test_the_command(
    bundle_folder: Path, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHROFF_HOME", str(tmp_path / "home"))
    data, target = write(log, tmp_path / "log.csv"), tmp_path / "scores.parquet"
    words = ["score", str(bundle_folder), "--data", str(data), "--out", str(target)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"{N:,} payments decided in" in done.stdout
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (told["payments"], told["unscored"], told["dropped"]) == (N, 0, {})
    assert sum(told["actions"].values()) == N
    first = pl.read_parquet(target)
    CliRunner().invoke(app, [*words, "--history", str(data)])
    assert_frame_equal(pl.read_parquet(target), first)
    both = CliRunner().invoke(app, [*words, "--history", str(data), "--engine", "spark"])
    assert "leave out --history, and give --join and --labels to" in str(both.exception)
