"""A graph in ONNX Runtime, and its scores of rows in batches."""

from __future__ import annotations

from typing import Any, Final

import onnxruntime

BATCH_ROWS: Final = (2, 3, 4, 5, 8, 16, 31, 64)
"""Sizes of batches in which rows must score as they do alone."""


def session_of(content: bytes) -> Any:
    """A session of one thread, which prints nothing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def score(session: Any, rows: Any) -> Any:
    """What a session gives as the scores of rows together."""
    return session.run(["score"], {"X": rows})[0]


def in_batches(session: Any, rows: Any, size: int) -> bytes:
    """The bytes of all scores, with so many rows at a time."""
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    return b"".join(score(session, batch).tobytes() for batch in batches)
