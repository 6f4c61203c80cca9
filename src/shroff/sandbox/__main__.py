"""The process itself: runs a graph within limits on rows from standard input."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, BinaryIO

import numpy as np
import onnx

from shroff.sandbox.operators import why_refused
from shroff.sandbox.runtime import BATCH_ROWS, in_batches, score, session_of
from shroff.sandbox.trees import described_trees


def main(source: BinaryIO) -> dict[str, Any]:
    """The head is a line of JSON: `seconds`, `memory`, the `model`'s bytes, the `columns` of two
    blocks of rows, and whether `trees` are asked for.
    """
    head = json.loads(source.readline())
    resource.setrlimit(resource.RLIMIT_CPU, (head["seconds"], head["seconds"] + 1))
    content = source.read(head["model"])
    usual, wild = (_rows(source, size, head["columns"]) for size in (head["usual"], head["wild"]))
    _bound_memory(head["memory"])
    model = onnx.load_model_from_string(content)
    refused = why_refused(model)
    if refused is not None:
        return {"refused": refused}
    session = session_of(content)
    scores = score(session, usual)
    if (
        not isinstance(scores, np.ndarray)
        or scores.shape != (len(usual),)
        or scores.dtype.kind != "f"
    ):
        return {"refused": "gives no output `score` of one float for each row of `X`"}
    alone = in_batches(session, wild, 1)
    return {
        "numbers": int(np.isfinite(scores).sum()),
        "together": all(in_batches(session, wild, size) == alone for size in BATCH_ROWS),
        "trees": described_trees(model, wild) if head["trees"] else None,
    }


def _rows(source: BinaryIO, size: int, columns: int) -> Any:
    return np.frombuffer(source.read(4 * size * columns), np.float32).reshape(size, columns)


def _bound_memory(more: int) -> None:
    """Limit this process to so many more bytes, and forbid files, such as those a graph names.

    Only Linux reports and enforces it.
    """
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # nothing else needs pathlib
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def _why(error: Exception) -> str:
    """What is wrong with the model, in our words: ONNX Runtime's repeat names from the model."""
    if isinstance(error, MemoryError) or "alloc" in str(error):
        return "needs more memory than a trial may take"
    return f"cannot be loaded and run by ONNX Runtime ({type(error).__name__})"


if __name__ == "__main__":
    try:
        found = main(sys.stdin.buffer)
    except Exception as error:  # noqa: BLE001  # ONNX Runtime has no common base class
        found = {"refused": _why(error)}
    json.dump(found, sys.stdout)
