"""Features: defined once as frozen values, computed by sibling engines with equal results.

Reads definitions (`Entity`, `FeatureGroup`, `sql` and `calendar` of `shroff`) and payments, clean
or as they were logged. `compute` gives the features of a payment log on one machine,
`compute_spark` and `features_job` on a cluster. Values are float64 or text, money in major units,
windows in microseconds; a missing value is null.

Promises that all engines give the same values, to the bit, and that a definition that does not fit
its schema is refused before any row is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.features.engines.spark import compute_spark, features_job, read_clean
    from shroff.features.history import compute

__all__ = ["compute", "compute_spark", "features_job", "read_clean"]

# the serving process imports parts of this package, but never the batch engine
__getattr__ = loading(
    __name__,
    {
        "compute": "history",
        "compute_spark": "engines.spark",
        "features_job": "engines.spark",
        "read_clean": "engines.spark",
    },
)
