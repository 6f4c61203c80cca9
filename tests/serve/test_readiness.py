"""Whether the service says that it is ready while it refuses every payment, at every address that
is asked for it.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from package.test_trial import loop, model
from patience import until
from serve.asking import decide, refusal, run
from serve.fixtures import make_bundle
from serve.service import Service
from shroff.errors import LedgerUnavailable
from shroff.ledger import Ledger, Noted
from shroff.package import save
from shroff.scoring.health import LastRecord, ready
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
READY = ["/health/ready", "/ping", "/v2/health/ready", "/v2/models/logistic_regression/ready"]


@contextmanager
def locked(file: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Another program holds the ledger's write lock, as a backup does."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"BEGIN {how}")
        yield


def test_a_ledger_that_cannot_be_written_is_told_wherever_readiness_is_asked(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    sent = pay()
    with Service(bundle_folder, tmp_path / "home") as service:

        def statuses() -> set[int]:
            return {service.request("GET", path).status_code for path in READY}

        assert statuses() == {200}
        with locked(tmp_path / "home" / "ledger.db"):
            assert service.request("POST", "/v1/decisions", json=sent).status_code == 503
            assert statuses() == {503}
            told = service.request("GET", "/health/ready").json()["detail"]
            assert "the ledger's database answered OperationalError SQLITE_BUSY" in told
            status = service.request("GET", "/v1/models/logistic_regression").json()[
                "model_version_status"
            ][0]
            assert (status["state"], status["status"]["error_code"]) == ("LOADING", "UNAVAILABLE")
            assert service.request("GET", "/health/live").status_code == 200
        # nobody sends payments to a service that is not ready
        until(lambda: statuses() == {200})
        assert service.request("POST", "/v1/decisions", json=sent).status_code == 200


@pytest.mark.parametrize("how", ["locked", "moved"])
def test_a_payment_that_is_decided_tells_it_too(
    scorer: Scorer, pay: Pay, tmp_path: Path, how: str
) -> None:
    file, sent = tmp_path / "ledger.db", pay()
    if how == "locked":
        with locked(file):
            assert isinstance(run(refusal(decide(scorer, sent))), LedgerUnavailable)
            assert "SQLITE_BUSY" in str(scorer.unready)
    else:
        file.rename(tmp_path / "elsewhere.db")
        assert isinstance(run(refusal(decide(scorer, sent))), LedgerUnavailable)
        assert "moved or replaced" in str(scorer.unready)
        (tmp_path / "elsewhere.db").rename(file)
    until(lambda: scorer.unready is None)
    assert run(decide(scorer, sent))["payment_id"] == sent["payment_id"]


def test_a_model_that_may_not_run_leaves_the_policy_to_decide(tmp_path: Path, pay: Pay) -> None:
    save(make_bundle(model(loop())), tmp_path / "bundle")
    with Service(tmp_path / "bundle", tmp_path / "home", ready=503) as service:
        until(lambda: "has a loop" in service.request("GET", "/health/ready").text)
        said = service.request("GET", "/health/ready").json()["detail"]
        assert said.endswith("."), "one sentence, which holds another"
        assert ".." not in said
        decided = service.request("POST", "/v1/decisions", json=pay()).json()
        assert (decided["degraded"], decided["probability"], decided["action"]) == (
            True,
            None,
            "review",
        )


def test_readiness_says_that_nothing_gets_a_score(scorer: Scorer, pay: Pay) -> None:
    well = scorer.decider._score
    scorer.decider._score = lambda rows: [math.inf] * len(rows)
    for _ in range(19):
        assert run(decide(scorer, pay()))["degraded"]
    assert ready(scorer).degraded is None, "some clients send odd values"
    run(decide(scorer, pay()))
    assert ready(scorer).degraded == "the model gave no number as the score of the last 20 payments"
    scorer.decider._score = well
    assert not run(decide(scorer, pay()))["degraded"]
    assert ready(scorer).degraded is None


def test_a_lost_write_ahead_log_is_told_and_a_kill_then_loses_no_answer(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    home, answered = tmp_path / "home", list[str]()
    with Service(bundle_folder, home) as service:
        for _ in range(20):
            payment = pay()
            assert service.request("POST", "/v1/decisions", json=payment).status_code == 200
            answered.append(payment["payment_id"])
        (home / "ledger.db-wal").unlink()
        assert service.request("POST", "/v1/decisions", json=pay()).status_code == 503
        told = service.request("GET", "/health/ready")
        assert told.status_code == 503
        assert "write-ahead log of the ledger" in told.json()["detail"]
        assert "restart the service" in told.json()["detail"]
        service.process.kill()
    with Service(bundle_folder, home) as service:
        for payment_id in answered:
            assert service.request("GET", f"/v1/decisions/{payment_id}").status_code == 200


def test_where_the_ledger_ends_is_told_while_it_runs_and_when_it_stops(
    scorer: Scorer, ledger_url: str, pay: Pay, caplog: pytest.LogCaptureFixture
) -> None:
    run(decide(scorer, pay()))
    end = Ledger(ledger_url).head()
    assert ready(scorer).ledger == LastRecord(2, end.chain.hex())
    with caplog.at_level("INFO", "shroff"):
        scorer.close()
    noted = f"2:{end.chain.hex()[:12]}"
    assert f"the ledger ends with {noted};" in caplog.text
    assert Ledger(ledger_url).verify(since=Noted.read(noted)) == end
