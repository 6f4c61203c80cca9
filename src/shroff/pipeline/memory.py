"""How much memory a training takes, and a refusal before it begins where there is less."""

from __future__ import annotations

import os
from math import ceil, floor
from pathlib import Path
from typing import Final

from shroff.collect import parquet_rows
from shroff.errors import ConfigurationError
from shroff.experiment.dataset import default_inputs
from shroff.machine import available_bytes
from shroff.project import Project

_PROCESS_BYTES: Final = 560 << 20
"""About the bytes that the process takes before it has read a row."""
_COLUMN_BYTES: Final = 16
"""About the bytes of a value in a clean table: most are texts."""
_FEATURE_BYTES: Final = 8
_INPUT_BYTES: Final = 9
"""A detector's input as float32, and what two fits at a time make of it: of the training part."""
_OTHER_BYTES: Final = 36
"""Labels, cards, scores and probabilities of a row."""


def training_bytes(project: Project, rows: int) -> int:
    """About the most bytes that training on so many payments takes at once."""
    plan = project.plan
    inputs = default_inputs(plan) if project.inputs is None else project.inputs
    table = _COLUMN_BYTES * len(plan.schema.scales) + _FEATURE_BYTES * len(plan.names)
    return _PROCESS_BYTES + rows * (table + _INPUT_BYTES * len(inputs) + _OTHER_BYTES)


def payment_rows(data: str | os.PathLike[str]) -> int:
    """The rows of a Parquet file; 0 for other data, whose rows are known when it is read."""
    path = os.fspath(data)
    local = path.lower().endswith(".parquet") and Path(path).is_file()
    return parquet_rows(path) if local else 0


def require_memory(project: Project, rows: int, memory: int | None = None) -> None:
    """Raise `ConfigurationError` where training takes more than so many bytes, or than there are.

    Args:
        memory: the most to use; by default what the machine and the control group have.
    """
    have = available_bytes() if memory is None else memory
    need = training_bytes(project, rows)
    if need <= have or not rows:
        return
    each = (need - _PROCESS_BYTES) / rows
    fit = int((have - _PROCESS_BYTES) / each) // 1000 * 1000
    # with fewer it would take about as much
    advice = (
        f"train on the latest {fit:,} payments, on fewer features or on a larger machine"
        if fit > 0
        else "free some, or train on a larger machine"
    )
    # rounded apart, so that the two are never the same
    raise ConfigurationError(
        f"to train on {rows:,} payments takes about {ceil(need / 1e8) / 10:.1f} GB of memory, and "
        f"{floor(have / 1e8) / 10:.1f} GB may be used: {advice}, or say with --memory "
        "(SHROFF_MEMORY) how much may be used."
    )
