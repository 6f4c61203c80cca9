"""Portable: scoring where Shroff is not installed; packages for other servers hold a copy of it.

Reads a model's ONNX graph and, as JSON, how features become its inputs and its score a probability.
Promises the probabilities that Shroff gives, to the bit, and to import NumPy, pandas and ONNX
Runtime only, and nothing of ours but each other: so imports are relative here, and errors are
Python's own.
"""

import os

from .logistic import logistic, logistic_of_one

# ONNX Runtime reports names and digests of models to its maker, unless this is set before it loads
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["logistic", "logistic_of_one"]
