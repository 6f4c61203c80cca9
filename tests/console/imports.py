"""What a process that serves the console imports, for `forks`."""

from typing import Final

from shroff.lazy import without_collection

THREADS: Final = "Polars and its allocator start threads that no page misses"

with without_collection():
    import shroff.cli.console
    import shroff.cli.service
    import shroff.console
    import shroff.serve.server  # noqa: F401  # the processes use it
