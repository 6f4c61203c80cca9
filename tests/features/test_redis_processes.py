"""State in Redis under many processes: every feature follows from the order that the state itself
recorded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from secrets import token_hex

import msgspec
import polars as pl
import redis
from polars.testing import assert_frame_equal

from contract.engines import ALWAYS, open_empty
from contract.oracle import Condition, Question, Row, answer
from features.online_world import COUNTS, SCHEMA, open_state, pay
from patience import PATIENCE
from shroff import Entity, FeatureGroup, Schema
from shroff.features.define import Aggregate
from shroff.features.engines.batch import compute
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine

TESTS = str(Path(__file__).parents[1])
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])
}
PROCESSES = 8
ROWS = 1_600
UTC = pl.Datetime("us", "UTC")
FAILED = Condition("result = 'failed'", lambda row: row.result == "failed", ("result",))
QUESTIONS = [
    Question(function="count", keys=("card",), window="1h"),
    Question(function="count", keys=("card",), window="1d", where=FAILED),
    Question(function="distinct", keys=("card",), window="1h", column="host"),
    Question(function="std", keys=("card", "host"), window="1d", column="amount"),
    Question(function="max", keys=("host",), window="1h", column="amount", delay="1m"),
    Question(function="mean", keys=("host",), window="1d", column="amount", resolution="1h"),
    Question(function="is_new", keys=("host",), window="1d", column="card"),
    Question(
        function="decayed_count", keys=("host",), window="1d", half_life="1h", include_current=True
    ),
]


LOG = Schema(
    id="id",
    time="time",
    amount="amount",
    result="result",
    result_at="result_at",
    keys=["card", "host"],
)


def feature(question: Question) -> Aggregate:
    """A question as a definition."""
    options = vars(question) | {"where": question.where and question.where.sql}
    del options["keys"]
    return Aggregate(entity=Entity("_".join(question.keys), question.keys), **options)


GROUP = FeatureGroup("shared", [feature(question) for question in QUESTIONS])

WORK = """
import json, sys
import polars as pl
from shroff.collect.payment import payments
from shroff.features.engines.online.redis import RedisEngine
from features.test_redis_processes import ALWAYS, GROUP, LOG

url, space, path, first, step = sys.argv[1:]
engine = RedisEngine([GROUP], LOG, url=url, lateness=ALWAYS, space=space)
mine = pl.read_parquet(path)[int(first)::int(step)]
waiting, results = list(payments(mine, LOG)), dict(mine.select("id", "result").iter_rows())
engine.ready()
print("ready", flush=True)
sys.stdin.readline()
size = 1 + int(first)
for at in range(0, len(waiting), size):
    batch = waiting[at : at + size]
    for payment, seen in zip(batch, engine.observe_all(batch)):
        print(json.dumps([payment.id, seen.arrived, seen.features]))
    for payment in waiting[max(0, at - size) : at]:
        engine.later(payment.id, "result", results[payment.id])
"""


def table() -> pl.DataFrame:
    """Few keys, so that processes meet at each; times are not in order."""
    rows = range(ROWS)
    return pl.DataFrame(
        {
            "id": [f"p{row}" for row in rows],
            "time": pl.Series(
                [1_700_000_000_000_000 + (row + row * 7919 % 13) * 11_000_000 for row in rows]
            ).cast(UTC),
            "amount": [row * 7919 % 100_003 for row in rows],
            "result": [
                "failed" if row % 3 == 0 else None if row % 7 == 0 else "authorised" for row in rows
            ],
            "result_at": pl.Series([None] * ROWS, dtype=UTC),
            "card": [f"c{row * 31 % 23}" for row in rows],
            "host": [f"h{row * row % 5}" if row % 9 else None for row in rows],
        }
    )


def test_features_of_eight_processes_are_those_of_the_recorded_order(
    redis_server: str, tmp_path: Path
) -> None:
    space, path, frame = token_hex(8), tmp_path / "log.parquet", table()
    frame.write_parquet(path)
    state = RedisEngine([GROUP], LOG, url=redis_server, lateness=ALWAYS, space=space)
    open_empty(state, [GROUP], LOG, lateness=ALWAYS)
    seen = at_once([WORK, redis_server, space, str(path)])
    arrivals = {identifier: arrived for identifier, arrived, _ in seen}
    assert len(arrivals) == len(set(arrivals.values())) == ROWS
    recorded = as_recorded(frame, arrivals, result_arrivals(redis_server, state))
    names = [feature.name for feature in GROUP.definitions]
    live = pl.DataFrame(
        [[identifier, *(features[name] for name in names)] for identifier, _, features in seen],
        schema={"id": pl.String} | dict.fromkeys(names, pl.Float64),
        orient="row",
    )
    live = recorded.select("id").join(live, on="id", how="left", maintain_order="left")
    assert_frame_equal(
        live,
        compute([GROUP], recorded, msgspec.structs.replace(LOG, arrived_at="arrived_at")),
        check_exact=True,
    )
    rows = oracle_rows(recorded)
    for at in range(5, ROWS, ROWS // 40):
        assert live.row(at)[1:] == tuple(
            [answer(question, rows[: at + 1], rows[at]) for question in QUESTIONS]
        )
    state.close()


def at_once(command: list[str]) -> list[tuple[str, int, dict[str, float | None]]]:
    """What processes print that start to work together."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", *command, str(first), str(PROCESSES)],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    printed = [worker.communicate(timeout=PATIENCE)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    return [tuple(json.loads(line)) for text in printed for line in text.splitlines()]


def result_arrivals(url: str, state: RedisEngine) -> dict[str, int]:
    """When each result arrived, as the state recorded it with the payment."""
    assert state.ready()
    prefix = state.calls.key(b"p:")
    with redis.Redis.from_url(url) as client:
        markers = list(client.scan_iter(prefix.replace(b"{", b"[{]") + b"*", count=1_000))
        # a marker becomes a hash with the first result or label
        told = [name for name in markers if client.type(name) == b"hash"]
        found = {name: client.hget(name, "result") for name in told}
    return {
        name[len(prefix) :].decode(): int.from_bytes(held[:8])
        for name, held in found.items()
        if held
    }


def as_recorded(
    frame: pl.DataFrame, arrived: dict[str, int], result_at: dict[str, int]
) -> pl.DataFrame:
    moments = pl.DataFrame(
        {
            "arrived_at": [arrived[identifier] for identifier in frame["id"]],
            "result_at": [result_at.get(identifier) for identifier in frame["id"]],
        }
    ).cast(UTC)
    return frame.drop("result_at").with_columns(moments).sort("arrived_at")


def oracle_rows(frame: pl.DataFrame) -> list[Row]:
    whole = frame.with_columns(pl.col("time", "arrived_at", "result_at").to_physical())
    return [
        Row(
            place=place,
            arrived=row["arrived_at"],
            time=row["time"],
            amount=Fraction(row["amount"], 100),
            values={"card": row["card"], "host": row["host"]},
            quantity=None,
            result=row["result"],
            result_at=row["result_at"],
            label=None,
            labelled_at=None,
        )
        for place, row in enumerate(whole.iter_rows(named=True))
    ]


OBSERVE_AND_HANG = """
import sys, time
from features.online_world import COUNTS, SCHEMA, pay
from shroff.features.engines.online.redis import RedisEngine

engine = RedisEngine([COUNTS], SCHEMA, url=sys.argv[1], space=sys.argv[2])
print(engine.observe_all([pay(0, 0), pay(1, 1)])[1].features["card_count_1d"], flush=True)
time.sleep(60)
"""


def test_a_payment_whose_process_was_killed_is_sent_again_and_counts_once(
    redis_server: str,
) -> None:
    """It was in the state, and nowhere else, when its process died."""
    space = token_hex(8)
    state = open_state(
        RedisEngine([COUNTS], SCHEMA, url=redis_server, space=space), OnlineEngine([COUNTS], SCHEMA)
    )
    command = [sys.executable, "-c", OBSERVE_AND_HANG, redis_server, space]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "1.0\n"
        worker.send_signal(signal.SIGKILL)
    assert state.observe(pay(2, 2, host="other"))["card_count_1d"] == 2.0
    again = state.observe_all([pay(1, 1)])[0]
    assert again.again
    assert again.features == {
        "card_count_1d": 1.0,
        "card_distinct_host_1d": 1.0,
        "card_risk_7d": 0.0,
    }
    assert state.observe(pay(3, 3))["card_count_1d"] == 3.0
    state.close()
