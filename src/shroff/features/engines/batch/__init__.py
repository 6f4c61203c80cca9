"""The batch engine: features of a whole table on one machine, in compiled loops over columns.

`compute` takes a table in memory, `compute_file` one on disk that may be larger than memory. The
engine groups the rows by each entity in turn and computes partitions of its keys in parallel, each
small enough for the processor's cache. It finds the bounds of every window once per partition;
measures are differences of running totals, or folds.

    engine          the table in memory, from columns to features
    disk            a table larger than memory, bucket by bucket
    bucket_files    the rows of each bucket on disk
    time_chunks     the same for links, in chunks of time
    encoded_table   columns as integers, rows grouped by key
    partition       some keys of an entity: their windows and measures
    spans           where windows over a partition's events begin and end
    links           what payments are linked to
    string_views    short strings as integers, read in place

and the compiled loops:

    grouping        codes of values, and rows grouped by code
    events          payments and events by key, in order
    kernel          windows, walked over them
    moves           how a fold reads what enters and leaves a window
    sum_folds       counts, totals, scatter
    code_folds      measures of how often each value occurs
    order_folds     extremes, first and last event, decay
    bigint_folds    sums that leave 64 bits, in Python's integers
    link_kernel     links, walked over the payments
"""

from shroff.features.engines.batch.disk import compute_file
from shroff.features.engines.batch.engine import compute, compute_plan

__all__ = ["compute", "compute_file", "compute_plan"]
