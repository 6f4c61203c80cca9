"""What a service starts from is recorded, logged and shown; on a ledger that was changed it does
not start.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import redis

from patience import PATIENCE
from serve.asking import decide, run
from serve.fixtures import iso
from serve.service import KEY, Service
from shroff import Entity, FeatureGroup
from shroff.clock import system_time
from shroff.collect import clean
from shroff.collect.extent import Extent
from shroff.errors import BrokenChain, PaymentConflict
from shroff.features.engines.online.redis.link import Link
from shroff.ledger import Ledger
from shroff.package import Bundle
from shroff.scoring import check, health
from shroff.scoring.scorer import Scorer
from shroff.scoring.start import Start, stored_start

Pay = Callable[..., dict[str, Any]]
Table = Callable[[], pl.DataFrame]


@pytest.fixture
def past(bundle: Bundle, pay: Pay) -> Table:
    """Makes a clean history of three payments."""
    rows = [
        pay(payment_id=f"h{n}", created_at=iso(time.time() - 600 + n), result="authorised")
        | {
            "result_at": iso(time.time() - 300),
            "is_fraud": False,
            "labelled_at": iso(time.time() - 200),
        }
        for n in range(3)
    ]
    table = clean(pl.DataFrame(rows), bundle.schema, key=KEY).frame
    return lambda: table


def started(
    bundle: Bundle, url: str, work: Callable[[Scorer], object] = lambda scorer: None, **options: Any
) -> tuple[Start, health.Health]:
    """What a scorer says of its start, after it has worked."""
    scorer = Scorer(bundle, Ledger(url), **{"key": KEY, **options})
    scorer.start()
    try:
        work(scorer)
        assert scorer.started is not None
        return scorer.started, health.ready(scorer)
    finally:
        scorer.close()


def change(file: Path, seq: int) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE shroff_ledger SET arrived = arrived + 1 WHERE seq = ?", (seq,))


def test_a_start_says_what_it_was_built_from(
    bundle: Bundle, past: Table, pay: Pay, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, shown = started(
        bundle, ledger_url, lambda scorer: run(decide(scorer, pay())), history=past
    )
    assert first.history is not None
    assert (first.history.rows, first.history.newest, first.records, first.bundle) == (
        3,
        first.newest,
        0,
        bundle.version,
    )
    assert shown.start == first
    assert (
        f"features start from 3 payments of history (digest {first.history.digest[:12]})"
        in caplog.text
    )

    second, _ = started(bundle, ledger_url, history=past)
    assert second.history == first.history
    assert (second.records, second.checked.last) == (2, 2)
    assert second.newest is not None
    assert first.newest is not None
    assert second.newest > first.newest

    with closing(Ledger(ledger_url)) as ledger:
        kinds = [entry.kind for entry in ledger.entries()]
        assert kinds == ["start", "payment", "start"]
        assert stored_start(ledger.last_start()) == second
        assert ledger.verify().seq == 3


def test_a_start_from_nothing_is_said_where_the_model_knew_more(
    bundle: Bundle, past: Table, pay: Pay, ledger_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    trained = replace(
        bundle, history=Extent(digest="0" * 64, rows=9, newest="2024-01-01T00:00:00.000000Z")
    )
    nothing, shown = started(trained, ledger_url)
    assert nothing.newest is None
    sentence = (
        "features start from nothing, but the model was trained with history until 2024-01-01"
    )
    assert shown.notice is not None
    assert shown.notice.startswith(sentence)
    assert sentence in caplog.text

    _, shown = started(trained, ledger_url, history=past)
    assert shown.notice is None


def test_what_was_missing_is_said_no_longer_than_windows_reach_it(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    trained = replace(
        bundle, history=Extent(digest="0" * 64, rows=9, newest="2024-01-01T00:00:00.000000Z")
    )
    ahead, said = [0], list[str | None]()

    def work(scorer: Scorer) -> None:
        for seconds in (60, scorer.state.engine.plan.horizon // 1_000_000 + 600):
            ahead[0] = seconds
            run(decide(scorer, pay(created_at=iso(time.time() + seconds))))
            said.append(scorer.notice)

    _, shown = started(
        trained, ledger_url, work, clock=lambda: system_time() + ahead[0] * 1_000_000
    )
    assert "features start from nothing" in str(said[0])
    assert (said[1], shown.notice) == (None, None)


def test_a_history_that_is_left_out_is_missed_at_every_start(
    bundle: Bundle, past: Table, pay: Pay, ledger_url: str
) -> None:
    first, _ = started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())), history=past)
    for _ in range(3):
        start, shown = started(bundle, ledger_url)
        assert start.lost == first.history
        assert "knew 3 payments of history, this one knows 0" in str(shown.notice)
    start, shown = started(bundle, ledger_url, history=past)
    assert (start.lost, shown.notice) == (None, None)


def test_a_ledger_of_fewer_columns_is_said(bundle: Bundle, pay: Pay, ledger_url: str) -> None:
    shops = FeatureGroup("shops", [Entity("shop", "shop_id").count("1h")])
    wider = replace(
        bundle, schema=bundle.schema.with_keys(["shop_id"]), groups=(*bundle.groups, shops)
    )
    started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())))
    start, shown = started(wider, ledger_url)
    assert start.lacking == 1
    assert "1 payments of the ledger lack a column that features read" in str(shown.notice)


def test_another_key_of_personal_columns_is_said(bundle: Bundle, pay: Pay, ledger_url: str) -> None:
    payment = pay(payment_id="p", email="ada@example.com")

    def refused(scorer: Scorer) -> None:
        with pytest.raises(PaymentConflict):
            run(decide(scorer, payment))

    first, _ = started(bundle, ledger_url, lambda scorer: run(decide(scorer, payment)))
    assert first.other_tokens is False
    other, shown = started(bundle, ledger_url, refused, key=bytes(32))
    assert (other.tokens == first.tokens, other.other_tokens) == (False, True)
    assert "other tokens for the same people" in (shown.notice or "")
    again, shown = started(bundle, ledger_url, key=bytes(32))
    assert (again.tokens, again.other_tokens) == (other.tokens, False)
    assert "other tokens" not in (shown.notice or "")


def test_without_a_personal_column_the_key_does_not_matter(bundle: Bundle, ledger_url: str) -> None:
    schema = msgspec.structs.replace(bundle.schema, personal=())
    for key in (KEY, bytes(32)):
        start, _ = started(replace(bundle, schema=schema), ledger_url, key=key)
        assert (start.tokens, start.other_tokens) == (None, False)


def test_a_state_server_that_drops_keys_is_said(
    bundle: Bundle, ledger_url: str, redis_server: str
) -> None:
    with closing(redis.Redis.from_url(redis_server)) as server, ExitStack() as undone:
        undone.callback(server.config_set, "maxmemory", "0")
        undone.callback(server.config_set, "maxmemory-policy", "noeviction")
        server.config_set("maxmemory-policy", "volatile-lru")
        assert Link(redis_server).evicting() is None, "there is no limit of memory"
        server.config_set("maxmemory", "1gb")
        _, shown = started(bundle, ledger_url, state=redis_server)
        said = "drops keys when its memory is full (maxmemory-policy volatile-lru)"
        assert said in str(shown.notice)
        server.config_set("maxmemory-policy", "noeviction")
        assert Link(redis_server).evicting() is None


def test_a_ledger_that_is_shorter_than_the_windows_is_said(
    bundle: Bundle, pay: Pay, ledger_url: str
) -> None:
    trained = replace(
        bundle, history=Extent(digest="0" * 64, rows=9, newest="2024-01-01T00:00:00.000000Z")
    )
    started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())))
    for _ in range(2):
        _, shown = started(trained, ledger_url)
        assert "features look 30 days back, but the ledger begins at" in str(shown.notice)


def test_a_changed_ledger_is_refused_unless_that_is_accepted(
    bundle: Bundle, pay: Pay, ledger_url: str, tmp_path: Path
) -> None:
    started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())))
    change(tmp_path / "ledger.db", 2)
    with pytest.raises(BrokenChain, match=r"record 2 does not follow.*--accept-broken-chain"):
        started(bundle, ledger_url)

    accepted, _ = started(bundle, ledger_url, accept_broken_chain=True)
    assert "record 2" in str(accepted.checked.broken)
    # what was accepted is not asked about again, but what is changed after it
    again, _ = started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())))
    assert (again.checked.broken, again.checked.after) == (None, 3)
    change(tmp_path / "ledger.db", 5)
    with pytest.raises(BrokenChain, match="record 5"):
        started(bundle, ledger_url)
    with pytest.raises(BrokenChain, match="record 2"):
        Ledger(ledger_url).verify()


@pytest.mark.parametrize("accept", [False, True])
def test_a_record_that_cannot_be_read_is_refused_and_nothing_that_does_not_help_is_advised(
    bundle: Bundle, pay: Pay, ledger_url: str, tmp_path: Path, accept: bool
) -> None:
    started(bundle, ledger_url, lambda scorer: run(decide(scorer, pay())))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("UPDATE shroff_ledger SET body = CAST(body AS TEXT) WHERE seq = 2")
    with pytest.raises(
        BrokenChain, match=r"record 2 holds a value of another type\. Restore it from a copy"
    ) as refused:
        started(bundle, ledger_url, accept_broken_chain=accept)
    assert "--accept-broken-chain" not in str(refused.value)


def test_of_a_long_ledger_only_the_end_is_proved(
    bundle: Bundle, pay: Pay, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_MAX_WHOLE_RECORDS", 2)

    def pay_twice(scorer: Scorer) -> None:
        for _ in range(2):
            run(decide(scorer, pay()))

    assert started(bundle, ledger_url, pay_twice)[0].checked.after == 0
    assert started(bundle, ledger_url, pay_twice)[0].checked.after == 0
    assert started(bundle, ledger_url)[0].checked.after == 3
    change(tmp_path / "ledger.db", 2)
    assert started(bundle, ledger_url)[0].checked.broken is None
    change(tmp_path / "ledger.db", 8)
    with pytest.raises(BrokenChain, match="record 8"):
        started(bundle, ledger_url)


def test_the_service_ends_on_a_changed_ledger(
    bundle_folder: Path, tmp_path: Path, pay: Pay
) -> None:
    with Service(bundle_folder, tmp_path) as service:
        service.request("POST", "/v1/decisions", json=pay())
        shown = service.request("GET", "/health/ready").json()
    assert shown["start"]["checked"]["last"] == 0
    change(tmp_path / "ledger.db", 2)
    settings = {
        "SHROFF_HOME": str(tmp_path),
        "SHROFF_LEDGER": service.ledger,
        "SHROFF_PERSONAL_KEY": KEY.hex(),
    }
    command = [
        sys.executable,
        "-c",
        "from shroff.cli import main; main()",
        "serve",
        str(bundle_folder),
    ]
    ended = subprocess.run(
        [*command, "--port", "0", "--without-keys"],
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 2
    *_, sentence = ended.stderr.splitlines()
    assert sentence.startswith(
        "shroff: the ledger was changed: record 2 does not follow from the record before it."
    )
