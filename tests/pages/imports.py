"""What commands of `shroff` import, for `forks`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

import shroff
from shroff.lazy import without_collection

THREADS: Final = "Polars and its allocator start threads that no command misses"
LIBRARIES: Final = (
    "polars",
    "numba",
    "scipy.stats",
    "sklearn.linear_model",
    "sklearn.svm",
    "lightgbm",
    "onnx",
    "onnxruntime",
    "sqlalchemy.dialects.sqlite",
    "sqlglot",
    "deltalake",
    "httpx",
)
_LEFT_OUT: Final = (
    "shroff.detect.deep.",
    "shroff.experiment.plots",
    "shroff.experiment.tune",
    "shroff.simulate.",
    "shroff.tracking.",
)
"""Modules that start threads, which no fork has, and those of libraries that few commands need."""

with without_collection():
    for _library in LIBRARIES:
        import_module(_library)
    for _found in pkgutil.walk_packages(shroff.__path__, "shroff."):
        if not f"{_found.name}.".startswith(_LEFT_OUT) and _found.name != "shroff.__main__":
            import_module(_found.name)
    # starting Numba and compiling the formulas of features takes as long as the imports
    for _recipe in import_module("shroff.features.aggregates").RECIPES.values():
        import_module("shroff.features.engines.batch.partition").compiled(_recipe)
