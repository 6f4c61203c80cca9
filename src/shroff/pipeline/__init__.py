"""Pipeline: the whole path from a raw table to a bundle, as the command line and the demo walk it.

Reads a project's table or a training dataset, and runs the stages in order: payments, their
features, trained detectors, a bundle; or, of a bundle and a log, the decisions. Long steps report
through `progress`.

Promises to add no rule of its own: each stage defines what it does and refuses.
"""

from shroff.pipeline.features import after_stored, features_by_disk, is_large, store_features
from shroff.pipeline.payments import (
    Payments,
    collect_table,
    label_table,
    logged_payments,
    stored_payments,
)
from shroff.pipeline.progress import Progress, silent
from shroff.pipeline.references import history_notices
from shroff.pipeline.schemes import SchemeFigures, declared_figures, scheme_figures
from shroff.pipeline.scores import ScoredLog, score_log
from shroff.pipeline.training import Packaged, package, stored_dataset, summary, train_models

__all__ = [
    "Packaged",
    "Payments",
    "Progress",
    "SchemeFigures",
    "ScoredLog",
    "after_stored",
    "collect_table",
    "declared_figures",
    "features_by_disk",
    "history_notices",
    "is_large",
    "label_table",
    "logged_payments",
    "package",
    "scheme_figures",
    "score_log",
    "silent",
    "store_features",
    "stored_dataset",
    "stored_payments",
    "summary",
    "train_models",
]
