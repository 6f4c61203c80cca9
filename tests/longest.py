"""In which order workers take the files of tests, and which files go to the same worker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling

TESTS: Final = Path(__file__).parent
LOOPS: Final = (
    "contract/test_engines.py",
    "contract/test_links.py",
)
"""Files that compile the loops of the batch engine, which all others then find compiled."""
SPARK: Final = (
    "features/test_spark.py",
    "features/test_spark_failures.py",
    "test_expression.py",
    "monitor/test_parity.py",
    "store/test_readers.py",
    "package/test_spark_udf.py",
)
"""Files that start Spark, whose Java machine they share."""
DEEP: Final = (
    "detect/deep/test_stream.py",
    "detect/deep/test_centres.py",
    "detect/deep/test_few_columns.py",
    "detect/deep/test_gpu.py",
    "detect/deep/test_ops.py",
    "detect/test_autoencoder.py",
    "detect/test_gan.py",
    "detect/test_mlp.py",
    "detect/test_scikit_learn.py",
    "detect/test_svdd.py",
    "package/test_flavours.py",
    "src/shroff/detect/autoencoder.py",
    "src/shroff/detect/gan.py",
    "src/shroff/detect/mlp.py",
    "src/shroff/detect/svdd.py",
)
"""Files that import TensorFlow, which takes five seconds, and trace networks."""
BROWSED: Final = (
    "console/test_cases.py",
    "console/test_access.py",
    "console/test_attacks.py",
    "console/test_features.py",
    "console/test_frame.py",
    "console/test_models.py",
    "console/test_payments.py",
    "console/test_rules.py",
    "console/test_streams.py",
    "pages/test_site.py",
    "report/test_report.py",
    "monitor/test_exports.py",
    "serve/test_help_browser.py",
    "test_cli_backtest.py",
)
"""Files that share a browser, and the installation that the console shows."""
TOGETHER: Final = {name: files[0] for files in (LOOPS, SPARK, DEEP, BROWSED) for name in files}
"""By file, the first of those that one worker runs because they share what takes long to start."""
LONGEST: Final = (
    "contract/test_engines.py",
    # these need none of the compiled loops, which the first worker is compiling
    "serve/test_workers.py",
    "detect/deep/test_stream.py",
    "kafka/test_consume.py",
    "features/test_spark.py",
    "pages/test_blocks.py",
    "console/test_cases.py",
    "test_cli_store.py",
    "state/test_workers.py",
    "store/test_datasets.py",
    "collect/test_remote.py",
    "retrain/test_retrain.py",
    "test_cli_training.py",
    "kafka/test_refusals.py",
    "retrain/test_guard.py",
    "control/test_live_replacements.py",
    "kafka/test_shown.py",
    "serve/test_connection.py",
    "state/test_garbled.py",
    "serve/test_metrics.py",
    "serve/test_fuzz.py",
    "benchmarks/test_fuzz_kept.py",
    "features/test_online.py",
    "promotion/test_promote.py",
    "serve/test_neighbours.py",
    "contract/test_laws.py",
    "decide/test_choice.py",
    "serve/test_policy.py",
    "tracking/test_tracking.py",
    "scoring/test_forgotten.py",
    "contract/test_label_histories.py",
    "telemetry/test_deploy.py",
    "collect/test_messages_documented.py",
    "scoring/test_labels.py",
    "serve/test_encoding.py",
    "monitor/test_alerts.py",
    "contract/test_lookups.py",
    "contract/test_currencies.py",
    "demo/test_months.py",
    "serve/test_readiness.py",
    "serve/test_server.py",
    "serve/test_forgettings.py",
    "test_cli_policy.py",
    "store/test_erase.py",
    "benchmarks/test_fuzz.py",
    "serve/test_addresses.py",
    "act/test_evidence.py",
    "collect/test_hostile_tables.py",
    "test_cli_demo.py",
    "collect/test_csv_dialect.py",
    "telemetry/test_tracing.py",
    "test_cli_init.py",
    "control/test_control.py",
    "features/test_redis_processes.py",
    "store/test_faults.py",
    "collect/test_clean.py",
    "ledger/test_lost_files.py",
    "ledger/test_failover.py",
    "serve/test_rates.py",
    "benchmarks/test_loop.py",
    "ledger/test_puncturable.py",
    "store/test_object_store.py",
    "ledger/test_ledger.py",
    "serve/test_batch.py",
    "serve/test_tls.py",
    "contract/test_long_histories.py",
    "test_scores.py",
    "serve/test_doors.py",
    "serve/test_help.py",
    "features/test_kernel.py",
    "ledger/test_forgeries.py",
    "backtest/test_past.py",
    "serve/test_tables.py",
    "test_expression_checker.py",
    "control/test_lists.py",
    "package/test_trial.py",
    "collect/test_payment.py",
    "scoring/test_away.py",
    "kafka/test_by_cost.py",
    "test_large.py",
    "act/test_desk.py",
    "ledger/test_processes.py",
    "test_cli.py",
    "collect/test_times.py",
    "evaluate/test_cost.py",
    "features/test_redis_server.py",
    "scoring/test_start.py",
    "features/test_links.py",
    "scoring/test_clock.py",
    "features/test_disk.py",
    "store/test_tables.py",
    "act/test_follow.py",
    "embed/test_features.py",
    "database/test_timeouts.py",
    "monitor/test_drift.py",
    "control/test_rate_limit.py",
    "features/test_redis.py",
    "serve/test_loadtest.py",
    "serve/test_private.py",
    "features/test_batch.py",
    "evaluate/test_review.py",
    "scoring/test_deployments.py",
    "test_client.py",
    "benchmarks/test_train.py",
)
"""Files that take longest, by `pytest --durations`, and those whose processes take most."""


class FilesToWorkers(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed
    """A file goes to one worker as a whole, and so do those that share something."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return TOGETHER.get(file.removeprefix(f"{TESTS.name}/"), file)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """The longest files, then those of most tests: at the end no worker is left alone with a long
    one.
    """
    ranks = {_path(name): rank for rank, name in enumerate(LONGEST)}
    tests = Counter(item.path for item in items)
    first = {_path(name): _path(leader) for name, leader in TOGETHER.items()}

    def place(item: pytest.Item) -> tuple[int, int, Path]:
        path = first.get(item.path, item.path)
        return ranks.get(path, len(ranks)), -tests[item.path], item.path

    items.sort(key=place)


def _path(name: str) -> Path:
    return (TESTS.parent if name.startswith("src/") else TESTS) / name
