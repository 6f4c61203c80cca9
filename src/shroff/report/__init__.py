"""Report: one run as one HTML file that anybody can open, print and forward.

Reads a `RunRecord` of a run that finished; amounts are in major units of its currency,
probabilities are calibrated, and a threshold flags payments at or above it. Promises a file of at
most 1 MB that fetches nothing, holds counts and never a payment, says everything without
JavaScript, and runs no script but its own (by a strict content security policy): a slider that
moves the threshold.
"""

from shroff.report.page import render

__all__ = ["render"]
