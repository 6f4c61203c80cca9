"""The types of NumPy arrays, by their element and by what they hold. Imports NumPy only."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.generic]
"""An array as a caller gives it, not yet checked."""

Floats: TypeAlias = npt.NDArray[np.float64]
"""Double precision: scores, probabilities, amounts in major units, learned constants."""

Floats32: TypeAlias = npt.NDArray[np.float32]
"""Single precision, in which networks are trained."""

Ints: TypeAlias = npt.NDArray[np.int64]
"""Row numbers, codes and counts."""

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""Encoded text."""

Texts: TypeAlias = npt.NDArray[np.str_]
"""Names of actions."""

Bools: TypeAlias = npt.NDArray[np.bool_]
"""Masks."""

Times: TypeAlias = npt.NDArray[np.datetime64]
"""Instants, datetime64[us] in UTC."""

Matrix: TypeAlias = Floats32
"""A detector's inputs [rows, columns]: missing is NaN, a nominal column holds codes 0 … count - 1.
"""

Rows: TypeAlias = Floats32
"""Rows as a network reads them [rows, width]: encoded, nothing missing."""

Labels: TypeAlias = Bools
"""One label per row, True for fraud."""

Scores: TypeAlias = Floats
"""One score per row, without a unit, higher for more suspicious rows."""
