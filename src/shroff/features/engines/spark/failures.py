"""Why a Spark job failed, as an error of ours: one sentence instead of the traces of two languages.

What Java and Spark say is recognised by their own words. An error that none of them fits stays as
it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from shroff import errors
from shroff.errors import (
    BadFile,
    ConfigurationError,
    DataError,
    ShroffError,
    SourceUnavailable,
    one_line,
)

_OURS: Final = re.compile(r"^shroff\.errors\.(\w+): (.+)$", re.MULTILINE)
"""An error of ours in the traceback of a worker."""
_SET: Final = "PYSPARK_SUBMIT_ARGS='{} pyspark-shell'"


def ours(said: str) -> ShroffError | None:
    """The error of ours that a worker raised, if one."""
    found = _OURS.search(said)
    return None if found is None else getattr(errors, found[1])(found[2])


def translated(said: str) -> ShroffError | None:
    """The error of ours for all that Spark, Java or a worker said of a failure; None for what is
    not known.
    """
    if (raised := ours(said)) is not None:
        return raised
    for pattern, make in _KNOWN.items():
        if found := re.search(pattern, said):
            return make(*(one_line(part or "") for part in found.groups()))
    return None


def ended() -> ShroffError:
    """The error where Spark's own process is gone."""
    return ConfigurationError(
        "Spark's process has ended, most often for lack of memory: expected more of it, such as "
        f"{_SET.format('--driver-memory 4g')}, or fewer cores, such as --master local[1]."
    )


def _says(kind: type[ShroffError], sentence: str) -> Callable[..., ShroffError]:
    """What makes an error of a sentence with places for what was found."""
    return lambda *found: kind(sentence.format(*found))


def _away(where: str) -> ShroffError:
    named = f" ({where})" if where else ""
    return SourceUnavailable(f"a file system that Spark reads or writes does not answer{named}.")


_KNOWN: Final[Mapping[str, Callable[..., ShroffError]]] = {
    r"No space left on device": _says(
        ConfigurationError,
        "a disk that Spark writes to is full: make room, or name another (spark.local.dir).",
    ),
    r"java\.lang\.OutOfMemoryError|Java heap space|GC overhead limit": _says(
        ConfigurationError,
        "a task of Spark ran out of memory: expected more of it, such as "
        f"{_SET.format('--driver-memory 4g')} on one machine and spark.executor.memory on a "
        "cluster, or fewer cores a machine.",
    ),
    r"PYTHON_VERSION_MISMATCH": _says(
        ConfigurationError,
        "a Python worker of Spark is of another version of Python than the driver: expected the "
        "same on every machine (PYSPARK_PYTHON).",
    ),
    r"No module named '?([\w.]+)": _says(
        ConfigurationError,
        "a Python worker of Spark has no `{}`: expected Python with shroff, pyspark and pyarrow on "
        "every machine (docs/spark.md).",
    ),
    r"(?m)^MemoryError|failed to map segment|Cannot allocate memory|"
    r"Python worker exited unexpectedly|SIGKILL": _says(
        ConfigurationError,
        "a Python worker of Spark ended, most often for lack of memory: expected more of it "
        "(spark.executor.memoryOverhead on a cluster), fewer cores, such as --master local[1], or "
        "more partitions (spark.sql.shuffle.partitions).",
    ),
    r"JAVA_GATEWAY_EXITED|UnsupportedClassVersionError": _says(
        ConfigurationError,
        "Spark did not start: expected Java 17 or newer (JAVA_HOME, or `java` of the path), a "
        "master such as local[2] or yarn, and options that spark-submit takes "
        "(PYSPARK_SUBMIT_ARGS); what it printed above says which is wrong.",
    ),
    r"[Cc]ould not parse Master URL:? ?'?([^'\s]*)": _says(
        ConfigurationError,
        "expected a Spark master, such as local[2], yarn or spark://HOST:7077, got `{}`.",
    ),
    r"All masters are unresponsive|Cannot call methods on a stopped SparkContext": _says(
        SourceUnavailable, "the Spark master does not answer, or has ended the application."
    ),
    r"reading file (\S+?)\. (?:.|\n)*?Parquet column \[(.+?)\]\. Expected Spark type (\S+), "
    r"actual Parquet type (\w+)": _says(
        DataError,
        "{}: column `{}`: expected {}, as in other files of the table, got {}: clean all of them "
        "by one schema (`shroff collect`).",
    ),
    r"FAILED_READ_FILE(?:.|\n)*?reading file (\S+?)\.(?:\s|$)": _says(
        BadFile, "{}: expected a Parquet file, got one that is damaged or something else."
    ),
    r"No FileSystem for scheme:? \"?([\w.+-]+)": _says(
        ConfigurationError, "expected the URL of a file system that this Spark knows, got `{}:`."
    ),
    r"ClassNotFoundException: Class ([\w.$]+) not found": _says(
        ConfigurationError,
        "this Spark lacks the Java class {}, which the URL needs: add its package, such as "
        f"{_SET.format('--packages org.apache.hadoop:hadoop-aws:VERSION')}.",
    ),
    r"((?:AccessControlException|AccessDeniedException|Permission denied)[^\n;]*)": _says(
        BadFile, "Spark may not read or write what it was asked for: {}."
    ),
    r"Mkdirs failed to create (\S+?)/_temporary": _says(
        ConfigurationError, "{}: expected a folder that Spark can make, and it cannot."
    ),
    r"(?:ConnectException|NoRouteToHostException|SocketTimeoutException)"
    r"(?:[^\n]*? to (\S+?:\d+))?": _away,
    r"UnknownHostException: (\S+)": _away,
}
"""What makes the error, by words that are found in what was said; the first counts."""
