"""The load test: every payment sent once, every answer timed, every failure named."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import Any

import msgspec
import polars as pl
import pytest

import commands
import program
from collect.messages import pacs008
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from serve.service import Service
from shroff.collect import Iso20022
from shroff.collect.cards import holds_card_number
from shroff.errors import BadFile, ConfigurationError
from shroff.loadtest import new_run, payments_from, run_load
from shroff.location import Location
from shroff.package import save

Pay = Callable[..., dict[str, Any]]


def log(pay: Pay, path: Path, n: int, **fields: Any) -> Path:
    pl.DataFrame([pay(payment_id=f"p{i}", **fields) for i in range(n)]).write_csv(path)
    return path


def test_every_payment_is_decided_once(service: Service, pay: Pay, tmp_path: Path) -> None:
    path = log(pay, tmp_path / "log.csv", 60)
    bodies = payments_from(service.url, path, requests=60, run="load-")
    report = run_load(service.url, bodies, parallel=7)

    assert (len(report.milliseconds), report.failed) == (60, 0)
    summary = report.summary()
    assert summary["requests"] == 60
    assert report.milliseconds.min() <= summary["p50_ms"] <= summary["p99_ms"] <= summary["max_ms"]  # type: ignore[operator]  # numbers by these names
    assert sum(answers for _, _, answers in report.histogram()) == 60
    for n in (0, 59):
        assert service.request("GET", f"/v1/decisions/load-p{n}").status_code == 200


def test_no_run_makes_card_numbers_of_ids_that_are_digits() -> None:
    ids = [f"{number:012d}" for number in range(200)]
    assert any(holds_card_number(f"2e5d4103-{one}") for one in ids)
    assert not any(holds_card_number(new_run() + one) for one in ids)
    assert new_run() != new_run()


@pytest.mark.parametrize(
    "items", [pl.Series([1.0, float("nan")]), pl.Series(["1", "nan"]), pl.Series(["1.0", "NULL"])]
)
def test_a_gap_in_a_column_of_numbers_is_sent_as_none(
    service: Service, pay: Pay, tmp_path: Path, items: pl.Series
) -> None:
    pl.DataFrame([pay(), pay()]).with_columns(items=items).write_parquet(
        path := tmp_path / "log.parquet"
    )
    bodies = payments_from(service.url, path, requests=2, run="gap-")
    assert [json.loads(body).get("items") for body in bodies] == [1.0, None]
    assert b"NaN" not in b"".join(bodies)


def test_a_local_time_is_sent_without_a_zone(service: Service, pay: Pay, tmp_path: Path) -> None:
    moment = pl.Series([datetime(2024, 5, 4, 10)])
    sent = []
    for created in (moment, moment.dt.replace_time_zone("Europe/Copenhagen")):
        pl.DataFrame([pay()]).with_columns(created_at=created).write_parquet(
            path := tmp_path / "log.parquet"
        )
        (body,) = payments_from(service.url, path, requests=1, run="local-")
        sent.append(json.loads(body)["created_at"])
    assert sent == ["2024-05-04T10:00:00.000000", "2024-05-04T08:00:00.000000Z"]


def test_a_log_is_sent_in_its_dialect(service: Service, pay: Pay, tmp_path: Path) -> None:
    path = log(pay, tmp_path / "log.csv", 2, merchant_id="M")
    path.write_text(
        path.read_text().replace(",M,", ',"TV 42\\" Set",', 1).replace(",M,", ',"a\\\\b",', 1)
    )
    merchants = [
        json.loads(body)["merchant_id"]
        for body in payments_from(service.url, path, requests=2, run="")
    ]
    assert merchants == ['TV 42" Set', "a\\b"]
    path.write_text(path.read_text().replace('"TV 42\\" Set"', "Shop"))
    with pytest.raises(BadFile, match=r"row 2: expected one meaning of its backslashes"):
        payments_from(service.url, path, requests=2, run="")
    (_, body) = payments_from(service.url, path, requests=2, run="", dialect="rfc4180")
    assert json.loads(body)["merchant_id"] == "a\\\\b"


def test_amounts_of_a_database_and_messages_are_sent_as_numbers(
    service: Service, pay: Pay, tmp_path: Path
) -> None:
    exact = pl.Series(["12.30"]).cast(pl.Decimal(38, 4))
    pl.DataFrame([pay()]).with_columns(amount=exact).write_parquet(path := tmp_path / "log.parquet")
    (body,) = payments_from(service.url, path, requests=1, run="exact-")
    assert json.loads(body)["amount"] == 12.3
    messages = Iso20022(
        {
            "payment_id": "CdtTrfTxInf/PmtId/EndToEndId",
            "created_at": "GrpHdr/CreDtTm",
            "amount": "CdtTrfTxInf/IntrBkSttlmAmt",
            "currency": "CdtTrfTxInf/IntrBkSttlmAmt/@Ccy",
            "card_id": "CdtTrfTxInf/DbtrAcct/Id/IBAN",
        }
    )
    schema = msgspec.structs.replace(SCHEMA, messages=[messages])
    row = {"id": "E1", "amount": "136.69", "currency": "EUR", "debtor": "D", "bank": "", "text": ""}
    (tmp_path / "log.xml").write_text(pacs008([row], at=pay()["created_at"]))
    bodies = payments_from(
        service.url, tmp_path / "log.xml", requests=1, run="message-", schema=schema
    )
    assert json.loads(bodies[0])["amount"] == 136.69
    assert run_load(service.url, bodies).failed == 0


def test_two_tables_are_joined_before_they_are_sent(
    service: Service, pay: Pay, tmp_path: Path
) -> None:
    whole = pl.read_csv(log(pay, tmp_path / "log.csv", 2), infer_schema=False)
    whole.drop("amount").write_csv(tmp_path / "facts.csv")
    whole.select(SCHEMA.id, "amount").write_csv(tmp_path / "statistics.csv")
    bodies = payments_from(
        service.url,
        tmp_path / "facts.csv",
        requests=2,
        run="joined-",
        join=(Location.of(tmp_path / "statistics.csv"), SCHEMA.id),
    )
    amounts = [json.loads(body)["amount"] for body in bodies]
    assert amounts == whole["amount"].cast(pl.Float64).to_list()
    assert run_load(service.url, bodies).failed == 0
    with pytest.raises(ConfigurationError, match="expected --data with the payments, and --proj"):
        commands.run("loadtest", service.url, "--join", tmp_path / "statistics.csv")


def test_a_steady_rate_takes_its_time(service: Service, pay: Pay, tmp_path: Path) -> None:
    path = log(pay, tmp_path / "log.csv", 20)
    bodies = payments_from(service.url, path, requests=20, run="steady-")
    report = run_load(service.url, bodies, parallel=5, rate=100.0)
    assert report.failed == 0
    assert report.seconds >= 0.19  # the last of 20 is due after 19 hundredths of a second


def test_a_stall_counts_for_all_that_had_to_wait_behind_it(
    service: Service, pay: Pay, tmp_path: Path
) -> None:
    path = log(pay, tmp_path / "log.csv", 100)
    bodies = payments_from(service.url, path, requests=100, run="stalled-")
    service.process.send_signal(signal.SIGSTOP)
    going_on = Timer(1.0, service.process.send_signal, [signal.SIGCONT])
    going_on.start()
    report = run_load(service.url, bodies, parallel=2, rate=100.0)
    going_on.join()
    # only two were on their way, the others were due meanwhile
    assert report.failed == 0
    assert (report.milliseconds > 500).sum() > 20


def test_failures_are_named_by_kind_and_what_was_said(service: Service, pay: Pay) -> None:
    good = json.dumps(pay(payment_id="among-bad")).encode()
    report = run_load(service.url, [b"{}", good, b"[1]"], parallel=1)
    assert (len(report.milliseconds), report.failures) == (1, {"400": 2})
    assert "missing field" in report.first["400"]
    refused = run_load("http://127.0.0.1:9", [good], parallel=1)
    assert refused.failures == {"connection": 1}
    assert refused.histogram() == []
    assert refused.summary()["p99_ms"] is None
    assert report.summary()["first_failures"] == report.first


def test_mistakes_are_told(service: Service, pay: Pay, tmp_path: Path) -> None:
    path = log(pay, tmp_path / "log.csv", 3)
    with pytest.raises(BadFile, match="at least 9 payments, found 3"):
        payments_from(service.url, path, requests=9, run="")
    pl.read_csv(path).drop("amount").write_csv(tmp_path / "less.csv")
    with pytest.raises(BadFile, match="no column `amount`"):
        payments_from(service.url, tmp_path / "less.csv", requests=3, run="")
    blank = pl.read_csv(path).with_columns(amount=pl.lit(None, pl.Float64))
    blank.write_csv(tmp_path / "blank.csv")
    with pytest.raises(BadFile, match="values in the required column `amount`, found none in 3"):
        payments_from(service.url, tmp_path / "blank.csv", requests=3, run="")
    with pytest.raises(ConfigurationError, match="expected a Shroff service"):
        payments_from("http://127.0.0.1:9", path, requests=3, run="")
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="expected a rate above zero"):
            run_load("http://127.0.0.1:1", [b"{}"], rate=rate)
    with pytest.raises(ConfigurationError, match="expected the URL of a service, such"):
        run_load("localhost", [b""])
    for url in ("\udcff", "http://\udcff", "http://h:abc", "http://h:99999"):
        with pytest.raises(ConfigurationError, match="expected the URL of a service, such"):
            payments_from(url, path, requests=3, run="")


def test_an_old_log_is_moved_into_the_day_that_ends_now(
    service: Service, pay: Pay, tmp_path: Path
) -> None:
    """As Excel writes it in a country with decimal commas, with local times of ten days."""
    rows = [
        pay(created_at=f"2024-05-{day:02}T10:00:00", amount=f"{day},5") for day in range(10, 20)
    ]
    pl.DataFrame(rows).write_csv(path := tmp_path / "log.csv", separator=";")
    zone = {"timezone": "Europe/Berlin", "number_format": "1.234,56"}
    schema, now = msgspec.structs.replace(SCHEMA, **zone), datetime.now(UTC)
    bodies = payments_from(service.url, path, requests=9, run="moved-", schema=schema, now=now)
    sent = [json.loads(body) for body in bodies]
    assert [one["amount"] for one in sent] == [day + 0.5 for day in range(10, 19)]
    times = [datetime.fromisoformat(one["created_at"]) for one in sent]
    assert times[-1] == now
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert gaps == {timedelta(hours=23) / 8}
    assert run_load(service.url, bodies).failed == 0
    with pytest.raises(BadFile, match=r"`amount`, found none: name the project .* `--project`"):
        payments_from(service.url, path, requests=9, run="plain-", now=now)
    # an hour stays an hour
    bodies = payments_from(service.url, path, requests=1, run="one-", schema=schema, now=now)
    assert datetime.fromisoformat(json.loads(bodies[0])["created_at"]) == now


def test_an_old_log_is_refused_with_the_option_that_moves_it(
    service: Service, pay: Pay, tmp_path: Path
) -> None:
    assert run_load(service.url, [json.dumps(pay()).encode()]).failed == 0
    log(pay, tmp_path / "log.csv", 2, created_at="2024-05-10T10:00:00Z")
    words = ("loadtest", service.url, "--data", "log.csv", "--requests", "2", "--parallel", "1")
    refused = program.shroff(tmp_path, *words)
    assert refused.returncode == 1
    assert "`--now` moves the payments" in refused.stderr
    assert program.shroff(tmp_path, *words, "--now").returncode == 0


def test_simulated_payments_can_be_sent_again_and_again(model: bytes, tmp_path: Path) -> None:
    schema = msgspec.structs.replace(SCHEMA, id="transaction_id").with_keys(VELOCITY.key_columns)
    save(make_bundle(model, schema=schema), tmp_path / "bundle")
    with Service(tmp_path / "bundle", tmp_path) as service:
        for run in ("first-", "second-", "third-"):
            bodies = payments_from(service.url, None, requests=1_000, run=run)
            report = run_load(service.url, bodies, parallel=2)
            assert (len(report.milliseconds), report.failures, report.first) == (1_000, {}, {})
    times = [datetime.fromisoformat(json.loads(body)["created_at"]) for body in bodies]
    assert times == sorted(times)
    assert timedelta(hours=12) < times[-1] - times[0] < timedelta(days=1)
