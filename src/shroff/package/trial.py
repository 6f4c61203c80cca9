"""The trial of a model: its graph runs in a process with limits before any other loads it.

A graph is a program of the bundle's maker: it may run for ever, take all memory, name files to
read, or give no number. The trial scores rows as typical as those of training, most of which must
get a number, and extreme ones.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import numpy as np

from shroff import speedups
from shroff.arrays import Floats, Matrix
from shroff.detect.preparation import Numeric, Preparation
from shroff.errors import BundleError, one_line
from shroff.sandbox import take

MAX_PROCESSOR_SECONDS: Final = 10
"""Processor time of a trial, and one second more for each 20 MB of the model."""
MAX_MEMORY_BYTES: Final = 1 << 30
"""Memory of a trial, besides six times the size of the model."""
_MAX_DELAY_RATIO: Final = 20
"""How many times its processor time a trial may last, on a busy machine."""
_TYPICAL_ROWS: Final = 32
_EXTREME_ROWS: Final = 64


class PassedTrial(NamedTuple):
    """What the trial of a model that passed says of it."""

    together: bool
    """Whether rows score the same in a batch as alone."""
    trees: str | None = None
    """What `_speedups.Trees` takes to give its scores, as JSON; None: it has none of our graphs, or
    there are no compiled loops.
    """


_passed: dict[bytes, PassedTrial] = {}
"""Models that passed their trial, by what was tried; a model that failed is tried again."""


def try_model(model: bytes, preparation: Preparation) -> PassedTrial:
    """Run a model on made-up rows; returns whether rows score the same in a batch as alone, and the
    trees that compiled loops can score.

    Raises:
        BundleError: it does not end in time, takes too much memory, has a loop, does not fit its
            inputs, or gives no number for most usual rows.
    """
    usual, wild = _usual(preparation), _wild(preparation)
    tried = sha256(model + usual.tobytes() + wild.tobytes()).digest()
    if tried not in _passed:
        _passed[tried] = _judged(_run(model, usual, wild))
    return _passed[tried]


def passed() -> dict[bytes, PassedTrial]:
    """The models that passed, for a process that this one starts, which gives them to `trust`."""
    return dict(_passed)


def trust(verdicts: Mapping[bytes, PassedTrial]) -> None:
    """Take over the verdicts of the parent process, so that no bytes are tried twice."""
    _passed.update(verdicts)


def _judged(found: dict[str, Any]) -> PassedTrial:
    if "refused" in found:
        raise BundleError(f"the model {found['refused']}.")
    if found["numbers"] * 2 < _TYPICAL_ROWS:
        raise BundleError(
            f"the model gives no number as the score of {_TYPICAL_ROWS - found['numbers']} of "
            f"{_TYPICAL_ROWS} usual rows."
        )
    return PassedTrial(found["together"], found["trees"])


def _run(model: bytes, usual: Matrix, wild: Matrix) -> dict[str, Any]:
    seconds = MAX_PROCESSOR_SECONDS + len(model) // 20_000_000
    head = {
        "seconds": seconds,
        "memory": MAX_MEMORY_BYTES + 6 * len(model),
        "model": len(model),
        "columns": usual.shape[1],
        "usual": len(usual),
        "wild": len(wild),
        "trees": speedups.compiled is not None,
    }
    given = json.dumps(head).encode() + b"\n" + model + usual.tobytes() + wild.tobytes()
    try:
        process = take()
    except OSError as error:
        return {"refused": f"cannot be tried in a process of its own ({error.strerror})"}
    with process:
        try:
            output, errors = process.communicate(given, timeout=_MAX_DELAY_RATIO * seconds)
            found: dict[str, Any] = json.loads(output)
        except subprocess.TimeoutExpired:
            process.kill()
            return {"refused": f"does not end in {_MAX_DELAY_RATIO * seconds} seconds"}
        except ValueError:
            return {"refused": _death(process.returncode, seconds, errors)}
    return found


def _death(code: int, seconds: int, errors: bytes) -> str:
    if code in (-24, -9):  # SIGXCPU, or SIGKILL by the harder limit
        return f"takes more than {seconds} seconds to score {_TYPICAL_ROWS + _EXTREME_ROWS} rows"
    said = errors.decode(errors="replace").strip().rpartition("\n")[2]
    if code == 1 and said and "MemoryError" not in said:
        # an error in Python before the model is read: the process has not found its modules
        return (
            f"cannot be tried, because the process for that did not start ({one_line(said)}): if "
            "Shroff was installed anew or moved meanwhile, start this process again"
        )
    return f"ends the process that tries it (code {code}), as one does that needs too much memory"


def _usual(preparation: Preparation) -> Matrix:
    """Typical inputs of training rows: none missing, no outliers."""
    random = np.random.default_rng(1)
    columns = [_typical(column, random) for column in preparation.numeric]
    codes = [np.arange(_TYPICAL_ROWS) % many for many in preparation.nominal_codes.values()]
    return np.column_stack([*columns, *codes]).astype(np.float32)


def _typical(column: Numeric, random: np.random.Generator) -> Floats:
    if column.spread is None:
        return np.zeros(_TYPICAL_ROWS)
    low, high = column.spread.usual
    with np.errstate(over="ignore"):
        return (
            random.choice([low, column.spread.median, high], _TYPICAL_ROWS) - column.mean
        ) / column.std


def _wild(preparation: Preparation) -> Matrix:
    """Inputs of all sizes, some missing, with every nominal code in turn."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((_EXTREME_ROWS, len(preparation.names))) * 10 ** random.uniform(
        -2, 2, (_EXTREME_ROWS, 1)
    )
    rows[random.random(rows.shape) < 0.05] = np.nan
    for column, codes in preparation.nominal_codes.items():
        rows[:, column] = np.arange(_EXTREME_ROWS) % codes
    return rows.astype(np.float32)
