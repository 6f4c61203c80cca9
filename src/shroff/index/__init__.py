"""Index: find recorded payments again by what people know of them, and count them by the minute.

Reads the ledger, sealed or not, whichever process writes it; keeps a SQLite file of its own. Times
are microseconds since the epoch, amounts ten-thousandths of a major unit, as `Payment.units`.

Promises that the file is derived: what it says follows from the ledger and the schema alone, so it
may be deleted at any time and is made again; that it is followed in parts, each record once, in
memory that does not grow with the ledger; that the ledger is read as any reader does and never
waits; and that who was forgotten is gone from it, counts included, a step after their keys.
"""

from __future__ import annotations

from shroff.index.file import IndexFile
from shroff.index.follow import IndexFollower, forget_gone
from shroff.index.minutes import IndexedMinutes, MoneyKept, indexed_until, money_kept
from shroff.index.rows import UNITS, IndexedPayment, found_by, keys_of, shape_of
from shroff.index.search import FoundPayments, PaymentQuery, search_payments

__all__ = [
    "UNITS",
    "FoundPayments",
    "IndexFile",
    "IndexFollower",
    "IndexedMinutes",
    "IndexedPayment",
    "MoneyKept",
    "PaymentQuery",
    "forget_gone",
    "found_by",
    "indexed_until",
    "keys_of",
    "money_kept",
    "search_payments",
    "shape_of",
]
