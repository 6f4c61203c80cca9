"""The other engines over a clean table, to compare with batch: in memory, in Redis, on Spark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import polars as pl

from shroff.collect import write_parquet
from shroff.features.engines.batch import compute_plan
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.engines.replay import replay, replay_with
from shroff.features.engines.spark import features_job
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.monitor.parity import Parity, compare, explain


def engine_parity(
    groups: Sequence[FeatureGroup],
    frame: pl.DataFrame,
    plan: Plan,
    *,
    redis: str | None = None,
    spark: str | None = None,
) -> list[Parity]:
    """Compute a clean table's features in batch, and again by every other engine, and compare to
    the bit.

    Args:
        frame: payments from the beginning of what windows should see.
        redis: URL of a server, on which a temporary state is made.
        spark: where Spark runs, such as `local[2]`.

    Raises:
        StateUnavailable: the Redis server does not answer.
        MissingExtra: a library is not installed.
    """
    batch = compute_plan(plan, frame)
    others = {"online": replay(groups, frame, plan.schema)}
    if redis is not None:
        others["online in Redis"] = _in_redis(groups, frame, plan, redis)
    if spark is not None:
        others["Spark"] = _on_spark(frame, plan, spark)
    return [
        explain(compare(batch, other, "batch", name), frame, plan) for name, other in others.items()
    ]


def _in_redis(
    groups: Sequence[FeatureGroup], frame: pl.DataFrame, plan: Plan, url: str
) -> pl.DataFrame:
    engine = RedisEngine(
        groups, plan.schema, url=url, lateness="36500d", space=f"parity-{token_hex(4)}"
    )
    filling = claim(engine)
    try:
        if filling is not None:
            filling.open()
        return replay_with(engine, frame)
    finally:
        engine.discard()
        engine.close()


def _on_spark(frame: pl.DataFrame, plan: Plan, master: str) -> pl.DataFrame:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "payments.parquet"), Path(folder, "features")
        write_parquet(frame, source)
        features_job(plan, str(source), str(target), master=master)
        computed = pl.read_parquet(f"{target}/*.parquet")
    identifier = plan.schema.id
    return (
        frame.select(identifier)
        .join(computed, on=identifier, how="left", maintain_order="left")
        .select(identifier, *plan.names)
    )
