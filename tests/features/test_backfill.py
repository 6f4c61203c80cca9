"""A new feature in a group: its state is built from history while the old one serves, and swapped
in.
"""

from __future__ import annotations

from secrets import token_hex

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.online_world import MINUTE, SCHEMA, card, open_state
from shroff import Entity, FeatureGroup
from shroff.collect.payment import Payment, payments
from shroff.features.engines.batch import compute
from shroff.features.engines.online import Engine, OnlineEngine
from shroff.features.engines.online.redis import RedisEngine
from shroff.features.engines.replay import warmed

ROWS, CUT, SWAP = 600, 400, 430
UTC = pl.Datetime("us", "UTC")
host = Entity("host", "host")
OLD = FeatureGroup("g", [card.count("1h")])
ADDED = [
    card.mean("amount", "1d"),
    card.risk("1d"),
    host.distinct("card", "1h"),
    host.max("amount", "1d"),
]
NEW = FeatureGroup("g", [card.count("1h"), *ADDED], 2)


def log() -> pl.DataFrame:
    """A payment each minute; every eleventh is fraud, which is known ninety minutes later."""
    times = [row * MINUTE for row in range(ROWS)]
    return pl.DataFrame(
        {
            "id": [f"p{row}" for row in range(ROWS)],
            "time": pl.Series(times).cast(UTC),
            "amount": [row * 37 % 1_000 for row in range(ROWS)],
            "fraud": [row % 11 == 0 for row in range(ROWS)],
            "fraud_at": pl.Series([time + 90 * MINUTE + 1 for time in times]).cast(UTC),
            "card": [f"c{row % 7}" for row in range(ROWS)],
            "host": [f"h{row * row % 5}" for row in range(ROWS)],
        }
    )


@pytest.fixture(params=["memory", "redis"])
def state(request: pytest.FixtureRequest) -> str:
    return "memory" if request.param == "memory" else request.getfixturevalue("redis_server")


def at(state: str, group: FeatureGroup, space: str, source: OnlineEngine) -> Engine:
    """An engine of these definitions that begins with what the source knows."""
    if state == "memory":
        return source
    return open_state(RedisEngine([group], SCHEMA, url=state, space=space), source)


def test_features_after_the_swap_are_those_of_the_batch_engine(state: str) -> None:
    frame, space = log(), token_hex(8)
    serving = at(state, OLD, space, OnlineEngine([OLD], SCHEMA))
    stream = list(payments(frame, SCHEMA))
    labels = dict(frame.select("id", "fraud").iter_rows())

    def live(engine: Engine, rows: range) -> list[dict[str, object]]:
        """Payments as they come, with the labels that come in between."""
        return [one(engine, stream[row], labels, row) for row in rows]

    live(serving, range(CUT))
    # history as it was then; what is not known yet is not there
    now = pl.lit(stream[CUT - 1].time).cast(UTC)
    history = frame[:CUT].with_columns(
        pl.when(pl.col("fraud_at") <= now).then("fraud").alias("fraud")
    )
    source = warmed([NEW], history, SCHEMA)
    live(serving, range(CUT, SWAP))
    following = at(state, NEW, space, source)
    live(following, range(CUT, SWAP))
    after = live(following, range(SWAP, ROWS))
    expected = compute([NEW], frame, SCHEMA).drop("id")[SWAP:]
    assert_frame_equal(pl.DataFrame(after, schema=expected.schema), expected, check_exact=True)


def one(engine: Engine, payment: Payment, labels: dict[str, bool], row: int) -> dict[str, object]:
    if row > 90:
        engine.later(f"p{row - 91}", "label", labels[f"p{row - 91}"])
    return dict(engine.observe(payment))
