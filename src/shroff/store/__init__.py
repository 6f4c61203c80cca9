"""Store: groups of features at rest, versioned, on Delta Lake, on local disk or object storage.

Reads tables of features, payments, or anything else that becomes known at a time. Promises that a
batch is written once or not at all, however often it is tried; that every write is a version that
stays readable; and that a table holds the definition by which it was written, so it is never read
by another. Times are UTC in microseconds, a missing value is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.store.commits import Version
    from shroff.store.feature_store import FeatureStore, open_store
    from shroff.store.features import feature_table, payment_table
    from shroff.store.group import Column, Group
    from shroff.store.names import split_name
    from shroff.store.statistics import ColumnStatistics
    from shroff.store.tables import GroupTable
    from shroff.store.training_data import TrainingData
    from shroff.store.training_set import Joined, Labels, Split, TrainingSet

_HOME = {
    "Column": "group",
    "ColumnStatistics": "statistics",
    "FeatureStore": "feature_store",
    "Group": "group",
    "GroupTable": "tables",
    "Version": "commits",
    "feature_table": "features",
    "Joined": "training_set",
    "Labels": "training_set",
    "Split": "training_set",
    "TrainingSet": "training_set",
    "TrainingData": "training_data",
    "open_store": "feature_store",
    "payment_table": "features",
    "split_name": "names",
}

__all__ = [
    "Column",
    "ColumnStatistics",
    "FeatureStore",
    "Group",
    "GroupTable",
    "Joined",
    "Labels",
    "Split",
    "TrainingData",
    "TrainingSet",
    "Version",
    "feature_table",
    "open_store",
    "payment_table",
    "split_name",
]

__getattr__ = loading(__name__, _HOME)
