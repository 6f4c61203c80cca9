"""A model on trial: its graph is run in a process of its own, with limits, before any other process
loads it.

A graph is a program by whoever made the bundle: it may go on for ever, take all memory, name files
to read, or answer no number. The trial scores rows as usual as those of training, most of which
must get a number, and rows of all sizes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from shroff.arrays import Floats, Matrix
from shroff.detect.preparation import Numeric, Preparation
from shroff.errors import BundleError

MAX_PROCESSOR_SECONDS: Final = 10
"""Seconds of processor time that a trial may take, and one more for each 20 MB of the model."""
MAX_MEMORY_BYTES: Final = 1 << 30
"""Bytes that it may take, besides six times the size of the model."""
_MAX_DELAY_RATIO: Final = 20
"""How many times its processor time a trial may last, for machines that are busy with other things.
"""
_USUAL_ROWS: Final = 32
_WILD_ROWS: Final = 64
_RUN: Final = str(Path(__file__).with_name("trial_run.py"))
_passed: dict[bytes, bool] = {}
"""Models that passed their trial, by what was tried (see `try_model`); one that failed is tried
again.
"""


def try_model(model: bytes, preparation: Preparation) -> bool:
    """Run a model on rows that its inputs may have; returns whether rows score the same in a batch
    as alone.

    Raises:
        BundleError: it does not end in time, takes too much memory, has a loop, does not fit its
            inputs, or gives no number for most usual rows.
    """
    usual, wild = _usual(preparation), _wild(preparation)
    tried = sha256(model + usual.tobytes() + wild.tobytes()).digest()
    if tried not in _passed:
        _passed[tried] = _judged(_run(model, usual, wild))
    return _passed[tried]


def passed() -> dict[bytes, bool]:
    """The models that passed their trial, for a process that this one starts, which gives them to
    `trust`.
    """
    return dict(_passed)


def trust(verdicts: Mapping[bytes, bool]) -> None:
    """Take the verdicts of the process that started this one: the same bytes are not tried
    again.
    """
    _passed.update(verdicts)


def _judged(found: dict[str, Any]) -> bool:
    if "refused" in found:
        raise BundleError(f"the model {found['refused']}.")
    if found["numbers"] * 2 < _USUAL_ROWS:
        raise BundleError(
            f"the model gives no number as the score of {_USUAL_ROWS - found['numbers']} of "
            f"{_USUAL_ROWS} usual rows."
        )
    return bool(found["together"])


def _run(model: bytes, usual: Matrix, wild: Matrix) -> dict[str, Any]:
    seconds = MAX_PROCESSOR_SECONDS + len(model) // 20_000_000
    head = {
        "seconds": seconds,
        "memory": MAX_MEMORY_BYTES + 6 * len(model),
        "model": len(model),
        "columns": usual.shape[1],
        "usual": len(usual),
        "wild": len(wild),
    }
    given = json.dumps(head).encode() + b"\n" + model + usual.tobytes() + wild.tobytes()
    try:
        # -P: the modules in that file's folder must not be imported by their bare names
        command, wait = [sys.executable, "-P", _RUN], _MAX_DELAY_RATIO * seconds
        done = subprocess.run(command, input=given, capture_output=True, timeout=wait, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"refused": f"does not end in {_MAX_DELAY_RATIO * seconds} seconds"}
    except ValueError:
        return {"refused": _death(done.returncode, seconds)}
    except OSError as error:
        return {"refused": f"cannot be tried in a process of its own ({error.strerror})"}
    return found


def _death(code: int, seconds: int) -> str:
    if code in (-24, -9):  # SIGXCPU, or SIGKILL by the harder limit
        return f"takes more than {seconds} seconds to score {_USUAL_ROWS + _WILD_ROWS} rows"
    return f"ends the process that tries it (code {code}), as one does that needs too much memory"


def _usual(preparation: Preparation) -> Matrix:
    """Inputs as most training rows have them: none missing, no value far out."""
    random = np.random.default_rng(1)
    columns = [_typical(column, random) for column in preparation.numeric]
    codes = [np.arange(_USUAL_ROWS) % many for many in preparation.nominal_codes.values()]
    return np.column_stack([*columns, *codes]).astype(np.float32)


def _typical(column: Numeric, random: np.random.Generator) -> Floats:
    if column.spread is None:
        return np.zeros(_USUAL_ROWS)
    low, high = column.spread.usual
    with np.errstate(over="ignore"):
        return (
            random.choice([low, column.spread.median, high], _USUAL_ROWS) - column.mean
        ) / column.std


def _wild(preparation: Preparation) -> Matrix:
    """Inputs of all sizes, some missing, with every nominal code in turn."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((_WILD_ROWS, len(preparation.names))) * 10 ** random.uniform(
        -2, 2, (_WILD_ROWS, 1)
    )
    rows[random.random(rows.shape) < 0.05] = np.nan
    for column, codes in preparation.nominal_codes.items():
        rows[:, column] = np.arange(_WILD_ROWS) % codes
    return rows.astype(np.float32)
