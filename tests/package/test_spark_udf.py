"""A packaged model as a function of Spark, by MLflow's own `spark_udf`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from package.test_flavours import fitted, made_rows, probabilities
from shroff.detect import LogisticRegression
from shroff.package import write_pyfunc

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.filterwarnings("ignore")  # MLflow and PySpark warn of pandas and of each other
def test_spark_gives_our_probabilities_to_the_bit(spark: SparkSession, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow import pyfunc

    rows = made_rows()
    bundle = fitted(LogisticRegression(), rows, tmp_path / "bundle")
    write_pyfunc(bundle, tmp_path / "model")
    rows.write_parquet(tmp_path / "rows.parquet")
    table = spark.read.parquet(str(tmp_path / "rows.parquet"))
    score = pyfunc.spark_udf(spark, str(tmp_path / "model"), env_manager="local")
    found = table.select(score(*table.columns)).collect()
    assert [row[0] for row in found] == probabilities(bundle, rows).tolist()
