"""In which order workers take the files of tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
LONGEST: Final = (
    # the kernels of the batch engine are compiled by the first worker, while the others have no
    # need of them
    "contract/test_engines.py",
    "serve/test_workers.py",
    "kafka/test_consume.py",
    "state/test_workers.py",
    "detect/deep/test_stream.py",
    "kafka/test_refusals.py",
    "contract/test_label_histories.py",
    "test_cli_training.py",
    "contract/test_laws.py",
    "contract/test_currencies.py",
    "features/test_online.py",
    "test_cli_demo.py",
    "features/test_spark.py",
    "collect/test_payment.py",
    "ledger/test_failover.py",
    "serve/test_fuzz.py",
    "benchmarks/test_fuzz.py",
    "test_expression.py",
    "store/test_datasets.py",
    "monitor/test_parity.py",
    "test_cli_store.py",
    "scoring/test_labels.py",
    "contract/test_lookups.py",
    "contract/test_long_histories.py",
    "test_cli.py",
)
"""Files that take longest, by `pytest --durations`."""


def sort_longest_first(items: list[pytest.Item]) -> None:
    """The longest files, then those of most tests: at the end no worker is left alone with a long
    one.
    """
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), -tests[item.path], item.path))
