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


def _other_type(file: str, column: str, wanted: str, got: str) -> ShroffError:
    return DataError(
        f"{file}: column `{column}`: expected {wanted}, as in other files of the table, got "
        f"{got}: clean all of them by one schema (`shroff collect`)."
    )


def _unreadable(file: str) -> ShroffError:
    return BadFile(f"{file}: expected a Parquet file, got one that is damaged or something else.")


def _no_scheme(scheme: str) -> ShroffError:
    return ConfigurationError(
        f"expected the URL of a file system that this Spark knows, got `{scheme}:`."
    )


def _no_class(name: str) -> ShroffError:
    return ConfigurationError(
        f"this Spark lacks the Java class {name}, which the URL needs: add its package, such as "
        f"{_SET.format('--packages org.apache.hadoop:hadoop-aws:VERSION')}."
    )


def _forbidden(said: str) -> ShroffError:
    return BadFile(f"Spark may not read or write what it was asked for: {said}.")


def _no_memory() -> ShroffError:
    return ConfigurationError(
        "a task of Spark ran out of memory: expected more of it, such as "
        f"{_SET.format('--driver-memory 4g')} on one machine and spark.executor.memory on a "
        "cluster, or fewer cores a machine."
    )


def _lost_worker() -> ShroffError:
    return ConfigurationError(
        "a Python worker of Spark ended, most often for lack of memory: expected more of it "
        "(spark.executor.memoryOverhead on a cluster), fewer cores, such as --master local[1], or "
        "more partitions (spark.sql.shuffle.partitions)."
    )


def _no_module(name: str) -> ShroffError:
    return ConfigurationError(
        f"a Python worker of Spark has no `{name}`: expected Python with shroff, pyspark and "
        "pyarrow on every machine (docs/spark.md)."
    )


def _other_python() -> ShroffError:
    return ConfigurationError(
        "a Python worker of Spark is of another version of Python than the driver: expected the "
        "same on every machine (PYSPARK_PYTHON)."
    )


def _no_java() -> ShroffError:
    return ConfigurationError(
        "Spark did not start: expected Java 17 or newer (JAVA_HOME, or `java` of the path), a "
        "master such as local[2] or yarn, and options that spark-submit takes "
        "(PYSPARK_SUBMIT_ARGS); what it printed above says which is wrong."
    )


def _no_master(name: str) -> ShroffError:
    return ConfigurationError(
        f"expected a Spark master, such as local[2], yarn or spark://HOST:7077, got `{name}`."
    )


def _silent() -> ShroffError:
    return SourceUnavailable("the Spark master does not answer, or has ended the application.")


def _away(where: str) -> ShroffError:
    named = f" ({where})" if where else ""
    return SourceUnavailable(f"a file system that Spark reads or writes does not answer{named}.")


def _full() -> ShroffError:
    return ConfigurationError(
        "a disk that Spark writes to is full: make room, or name another (spark.local.dir)."
    )


def _cannot_make(path: str) -> ShroffError:
    return ConfigurationError(f"{path}: expected a folder that Spark can make, and it cannot.")


_KNOWN: Final[Mapping[str, Callable[..., ShroffError]]] = {
    r"No space left on device": _full,
    r"java\.lang\.OutOfMemoryError|Java heap space|GC overhead limit": _no_memory,
    r"PYTHON_VERSION_MISMATCH": _other_python,
    r"No module named '?([\w.]+)": _no_module,
    r"(?m)^MemoryError|failed to map segment|Cannot allocate memory|"
    r"Python worker exited unexpectedly|SIGKILL": _lost_worker,
    r"JAVA_GATEWAY_EXITED|UnsupportedClassVersionError": _no_java,
    r"[Cc]ould not parse Master URL:? ?'?([^'\s]*)": _no_master,
    r"All masters are unresponsive|Cannot call methods on a stopped SparkContext": _silent,
    r"reading file (\S+?)\. (?:.|\n)*?Parquet column \[(.+?)\]\. Expected Spark type (\S+), "
    r"actual Parquet type (\w+)": _other_type,
    r"FAILED_READ_FILE(?:.|\n)*?reading file (\S+?)\.(?:\s|$)": _unreadable,
    r"No FileSystem for scheme:? \"?([\w.+-]+)": _no_scheme,
    r"ClassNotFoundException: Class ([\w.$]+) not found": _no_class,
    r"((?:AccessControlException|AccessDeniedException|Permission denied)[^\n;]*)": _forbidden,
    r"Mkdirs failed to create (\S+?)/_temporary": _cannot_make,
    r"(?:ConnectException|NoRouteToHostException|SocketTimeoutException)"
    r"(?:[^\n]*? to (\S+?:\d+))?": _away,
    r"UnknownHostException: (\S+)": _away,
}
"""What makes the error, by words that are found in what was said; the first counts."""
