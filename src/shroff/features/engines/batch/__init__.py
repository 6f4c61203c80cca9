"""The batch engine: features of a whole table on one machine, Polars around the compiled sweep.

`compute` takes a table in memory. The rows are grouped by each entity in turn, and runs of its keys are worked on
in parallel, each small enough to stay in the processor's cache: a window is traced once per run, and its measures
are folds over the trace.
"""

from shroff.features.engines.batch.whole import compute, compute_plan

__all__ = ["compute", "compute_plan"]
