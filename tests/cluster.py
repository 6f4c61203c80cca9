"""A Spark of this machine, for all tests of a process: to start one, and the Python workers of it,
takes seconds.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from shroff.features.engines.spark.frames import session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
}


@contextmanager
def local_spark() -> Iterator[SparkSession]:
    """Two cores, started and stopped as jobs do it.

    Raises:
        LookupError: PySpark or Java is not installed.
    """
    if find_spec("pyspark") is None:
        raise LookupError("PySpark is not installed")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise LookupError("Java is not installed")
    options = " ".join(f"--conf {name}={value}" for name, value in _SETTINGS.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{options} pyspark-shell"
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # of a library beside Spark's, which is imported where it is there and not used here
            warnings.filterwarnings("ignore", "PySpark does not yet fully", FutureWarning)
            spark = stack.enter_context(session("tests", "local[2]"))
        yield spark
