"""Collect: turn a raw payment log into the one clean table that every later stage reads.

Reads tables (CSV, Parquet, of a database or service, of messages, two that are joined), or one
payment as JSON;
a `Schema` says which column is what. `clean` does a table, `PaymentReader` a payment: the same
rules, the same values. Times become UTC microseconds, money integer minor units, a missing value
null, personal columns keyed hashes.

Promises that rows that cannot be used are dropped and counted by reason, and that no message
carries a value.
"""

from shroff.lazy import deferred

# a serving process reads payments, and no table unless it is given one
deferred("polars")

# isort: split

from shroff.collect.clean import Cleaned, clean, require_clean
from shroff.collect.copies import local_copies
from shroff.collect.large import CleanFiles, clean_large
from shroff.collect.mappings import Iso8583, Iso20022
from shroff.collect.nulls import NULLS
from shroff.collect.payment import Payment
from shroff.collect.payment_reader import PaymentReader
from shroff.collect.personal import tokenizer
from shroff.collect.schema import Schema
from shroff.collect.sources import parquet_rows, read, read_joined, write_clean, write_parquet

__all__ = [
    "NULLS",
    "CleanFiles",
    "Cleaned",
    "Iso8583",
    "Iso20022",
    "Payment",
    "PaymentReader",
    "Schema",
    "clean",
    "clean_large",
    "local_copies",
    "parquet_rows",
    "read",
    "read_joined",
    "require_clean",
    "tokenizer",
    "write_clean",
    "write_parquet",
]
