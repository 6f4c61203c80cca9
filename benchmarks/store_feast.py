"""Feast's offline store as `store.py` asks for it: the same join of the same Parquet files.

    FEAST/bin/python benchmarks/store_feast.py FOLDER STORE [--known]

Runs in an environment of its own, with Feast (`pip install 'feast[duckdb]'`) but nothing of this
project. FOLDER has `payments.parquet` and `cards.parquet`; STORE is `dask`, Feast's default for
local files, or `duckdb`. `--known` asks Feast to leave out rows that had not arrived, which it does
not do by default. Prints JSON: seconds of `get_historical_features` until its table is there, its
rows, how many have values, and the peak memory in MB. Reading the payments is not counted, the
registry is made before.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import warnings
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

VALUES = [f"value_{number}" for number in range(10)]
TTL = timedelta(days=3_650)


def registered(folder: Path, offline: str) -> FeatureStore:
    """A store with one feature view, of the cards."""
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(folder / f"registry_{offline}.db"),
        offline_store={"type": offline},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    card = Entity(name="card", join_keys=["card_id"], value_type=ValueType.STRING)
    source = FileSource(
        path=str(folder / "cards.parquet"),
        timestamp_field="at",
        created_timestamp_column="known",
    )
    view = FeatureView(
        name="cards",
        entities=[card],
        ttl=TTL,
        schema=[Field(name=name, dtype=Float64) for name in VALUES],
        source=source,
        online=False,
    )
    store = FeatureStore(config=config)
    store.apply([card, view])
    return store


def joined(store: FeatureStore, payments: pd.DataFrame, *, known: bool) -> pd.DataFrame:
    """The payments with the values of their cards."""
    more: dict[str, Any] = {"filter_by_created_timestamp": True} if known else {}
    features = [f"cards:{name}" for name in VALUES]
    return store.get_historical_features(entity_df=payments, features=features, **more).to_df()


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("store", choices=("dask", "duckdb"))
    parser.add_argument("--known", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with redirect_stdout(sys.stderr):
        store = registered(given.folder, given.store)
        payments = pd.read_parquet(
            given.folder / "payments.parquet", columns=["id", "card_id", "at"]
        )
        payments = payments.rename(columns={"at": "event_timestamp"})
        begun = perf_counter()
        found = joined(store, payments, known=given.known)
        took = perf_counter() - begun
    print(
        json.dumps(
            {
                "seconds": took,
                "rows": len(found),
                "present": int(found[VALUES[0]].notna().sum()),
                "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
