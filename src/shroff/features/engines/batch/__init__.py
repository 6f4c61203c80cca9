"""The batch engine: features of a whole table on one machine, Polars around the compiled sweep.

`compute` takes a table in memory, `compute_file` one on disk that may be larger than memory. The rows are grouped by
each entity in turn, and runs of its keys are worked on in parallel, each small enough to stay in the processor's cache:
where windows begin and end is found once per run, and their measures are differences or folds.
"""

from shroff.features.engines.batch.disk import compute_file
from shroff.features.engines.batch.whole import compute, compute_plan

__all__ = ["compute", "compute_file", "compute_plan"]
