"""What a process that serves or consumes imports, for `forks`."""

from shroff.lazy import without_collection

with without_collection():
    import shroff.cli.consume
    import shroff.cli.service
    import shroff.kafka
    import shroff.kafka.figures
    import shroff.serve.server  # noqa: F401  # the processes use it
