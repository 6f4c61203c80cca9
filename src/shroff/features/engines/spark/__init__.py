"""The Spark engine: features on a cluster. Spark moves rows, the batch engine computes.

`compute_spark` takes and gives Spark tables, `features_job` reads and writes Parquet. PySpark is
imported when one of them runs; `pip install 'shroff[spark]'` brings it.
"""

from shroff.features.engines.spark.engine import compute_spark, features_job
from shroff.features.engines.spark.frames import read_clean
from shroff.features.engines.spark.skew import Skew

__all__ = ["Skew", "compute_spark", "features_job", "read_clean"]
