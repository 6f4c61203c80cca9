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
    "features/test_spark.py",
    "serve/test_workers.py",
    "detect/deep/test_stream.py",
    "kafka/test_consume.py",
    "pages/test_blocks.py",
    "test_cli_store.py",
    "test_cli_training.py",
    "serve/test_neighbours.py",
    "retrain/test_retrain.py",
    "state/test_workers.py",
    "serve/test_encoding.py",
    "tracking/test_tracking.py",
    "kafka/test_shown.py",
    "store/test_datasets.py",
    "control/test_live_replacements.py",
    "contract/test_laws.py",
    "contract/test_links.py",
    "benchmarks/test_fuzz_kept.py",
    "serve/test_policy.py",
    "package/test_flavours.py",
    "serve/test_metrics.py",
    "scoring/test_forgotten.py",
    "contract/test_label_histories.py",
    "kafka/test_refusals.py",
    "test_cli_demo.py",
    "demo/test_months.py",
    "store/test_erase.py",
    "contract/test_currencies.py",
    "serve/test_forgettings.py",
    "features/test_online.py",
    "serve/test_readiness.py",
    "contract/test_lookups.py",
    "detect/test_gan.py",
    "collect/test_messages_documented.py",
    "benchmarks/test_loop.py",
    "test_cli.py",
    "act/test_desk.py",
    "package/test_spark_udf.py",
    "test_scores.py",
    "backtest/test_past.py",
    "serve/test_connection.py",
    "features/test_online.py",
    "serve/test_encoding.py",
    "store/test_erase.py",
    "contract/test_lookups.py",
    "serve/test_metrics.py",
    "benchmarks/test_fuzz_kept.py",
    "serve/test_policy.py",
    "collect/test_messages_documented.py",
    "serve/test_readiness.py",
    "pages/test_site.py",
    "detect/test_gan.py",
    "serve/test_server.py",
    "detect/test_svdd.py",
    "promotion/test_promote.py",
    "serve/test_help_browser.py",
    "serve/test_addresses.py",
    "serve/test_fuzz.py",
    "benchmarks/test_fuzz.py",
    "telemetry/test_tracing.py",
    "test_cli_policy.py",
    "detect/test_scikit_learn.py",
    "scoring/test_labels.py",
    "store/test_faults.py",
    "collect/test_remote.py",
    "telemetry/test_deploy.py",
    "test_expression_checker.py",
    "serve/test_app.py",
    "ledger/test_lost_files.py",
    "contract/test_long_histories.py",
    "serve/test_rates.py",
    "collect/test_clean.py",
    "serve/test_doors.py",
    "collect/test_csv_dialect.py",
    "console/test_rules.py",
)
"""Files that take longest, by `pytest --durations`, and those whose processes take most."""

SPARK: Final = (
    "features/test_spark.py",
    "test_expression.py",
    "monitor/test_parity.py",
    "store/test_readers.py",
    "package/test_spark_udf.py",
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
