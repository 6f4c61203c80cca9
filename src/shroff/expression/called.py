"""Functions that every engine calls as the same Python function: equal to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shroff.expression.dates import date_diff, moment
from shroff.expression.elementary import distance_km, exp, power
from shroff.expression.regular import regexp_like
from shroff.expression.similar import similarity
from shroff.expression.tree import Kind

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# arguments are never null; a result of None is null
CALLED: Final[dict[str, Callable[..., float | None]]] = {
    "DATE_DIFF": date_diff,
    "DISTANCE_KM": distance_km,
    "EXP": exp,
    "MOMENT": moment,
    "POWER": power,
    "REGEXP_LIKE": regexp_like,
    "SIMILARITY": similarity,
}


def gives(op: str) -> Kind:
    """The kind of a function's result."""
    return "boolean" if op == "REGEXP_LIKE" else "number"


def name_in_spark(op: str) -> str:
    """The name of a registered function in a Spark session."""
    return f"shroff_{op.lower()}"


def register(spark: SparkSession) -> None:
    """Register DATE_DIFF, DISTANCE_KM, EXP, POWER, REGEXP_LIKE and SIMILARITY in a Spark session.

    `Expression.spark_sql` needs it for these.
    Computing features on Spark needs no such call. Workers must be able to import `shroff`.
    """
    for op, function in CALLED.items():
        kind = "boolean" if gives(op) == "boolean" else "double"
        spark.udf.register(name_in_spark(op), _null_for_null(function), kind)


def _null_for_null(function: Callable[..., float | None]) -> Callable[..., float | None]:
    def called(*args: float | str | None) -> float | None:
        return None if None in args else function(*args)

    return called
