"""In which order workers take the files of tests, and which files go to the same worker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling

TESTS: Final = Path(__file__).parent
LONGEST: Final = (
    # the kernels of the batch engine are compiled by the first worker, while the others have no
    # need of them
    "contract/test_engines.py",
    "serve/test_workers.py",
    "kafka/test_consume.py",
    "state/test_workers.py",
    "detect/deep/test_stream.py",
    "features/test_spark.py",
    "kafka/test_refusals.py",
    "contract/test_label_histories.py",
    "test_cli_training.py",
    "contract/test_laws.py",
    "contract/test_currencies.py",
    "features/test_online.py",
    "test_cli_demo.py",
    "collect/test_payment.py",
    "ledger/test_failover.py",
    "serve/test_fuzz.py",
    "benchmarks/test_fuzz.py",
    "store/test_datasets.py",
    "test_cli_store.py",
    "scoring/test_labels.py",
    "contract/test_lookups.py",
    "contract/test_long_histories.py",
    "test_cli.py",
)
"""Files that take longest, by `pytest --durations`."""

SPARK: Final = (
    "features/test_spark.py",
    "test_expression.py",
    "monitor/test_parity.py",
    "store/test_readers.py",
)
"""Files that start Spark: one worker runs them all, so that they share its Java machine."""


class FilesToWorkers(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed
    """A file goes to one worker as a whole, and those of Spark to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return SPARK[0] if file.removeprefix(f"{TESTS.name}/") in SPARK else file


def sort_longest_first(items: list[pytest.Item]) -> None:
    """The longest files, then those of most tests: at the end no worker is left alone with a long
    one.
    """
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    tests = Counter(item.path for item in items)
    first = {TESTS / name: TESTS / SPARK[0] for name in SPARK}

    def place(item: pytest.Item) -> tuple[int, int, Path]:
        path = first.get(item.path, item.path)
        return ranks.get(path, len(ranks)), -tests[item.path], item.path

    items.sort(key=place)
