"""Collect: turn a raw payment log into the one clean table every later stage reads.

Times become UTC microseconds, money becomes integer minor units, a missing value is null, personal columns
become keyed hashes, and rows that cannot be used are dropped and counted by reason. `clean` does it for a
table, `PaymentReader` for one payment: the same rules, the same values.
"""

from shroff.collect.clean import Cleaned, clean, require_clean
from shroff.collect.large import Parts, clean_parts
from shroff.collect.payment import Payment, PaymentReader
from shroff.collect.schema import Schema
from shroff.collect.sources import parquet_rows, read, read_joined, write_parquet

__all__ = [
    "Cleaned",
    "Parts",
    "Payment",
    "PaymentReader",
    "Schema",
    "clean",
    "clean_parts",
    "parquet_rows",
    "read",
    "read_joined",
    "require_clean",
    "write_parquet",
]
