"""Sandbox: the process in which a model runs before any other process loads it.

`begin` starts it, `take` gives it. Reads a graph and rows from standard input, as `__main__` says,
and writes to standard output, as JSON, why the graph is refused, or what it did. Promises limits of
processor time, memory (on Linux) and files, and to import NumPy, onnx and ONNX Runtime only, and of
ours only its own modules: others would take a third of a second.
"""

from __future__ import annotations

from shroff.sandbox.standby import begin, take

__all__ = ["begin", "take"]
