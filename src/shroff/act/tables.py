"""The tables of cases in the control database."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from shroff.control.database import METADATA
from shroff.database.partial import partial_index

_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
_NUL_SYMBOL: Final = "\N{SYMBOL FOR NULL}"
_KEPT_CHARACTERS: Final = 350
_MAX_BYTES: Final = 1_500
"""Of a value in UTF-8, beside the payment's id in the same index: a row of an index in PostgreSQL
holds 2,704.
"""
_SHORTENED: Final = re.compile(rf".{{{_KEPT_CHARACTERS}}}… [0-9a-f]{{64}}", re.DOTALL)


def stored(text: str) -> str:
    """A payment's value as every database keeps and indexes it: without NUL, and a long one as its
    beginning and its SHA-256.

    >>> stored("a\\0b"), stored("ø" * 900)[349:367]
    ('a␀b', 'ø… 4dd1a8e20f5e32f')
    """
    text = text.replace("\0", _NUL_SYMBOL)
    if len(text) <= _KEPT_CHARACTERS or len(whole := text.encode()) <= _MAX_BYTES:
        return text
    return f"{text[:_KEPT_CHARACTERS]}… {sha256(whole).hexdigest()}"


def is_whole(text: str) -> bool:
    """Whether a stored value is as its payments have it, so that they are found by it.

    >>> is_whole("grocer"), is_whole(stored("ø" * 900)), is_whole(stored("a\\0b"))
    (True, False, False)
    """
    return _NUL_SYMBOL not in text and not _SHORTENED.fullmatch(text)


CASES: Final = Table(
    "shroff_case",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("kind", String(200), nullable=False),
    Column("subject", String(1_024), nullable=False),
    Column("queue", String(200), nullable=False),
    Column("status", String(10), nullable=False),
    Column("version", Integer, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("payments", Integer, nullable=False),
    Column("amount", Float, nullable=False),
    Column("expected_loss", Float, nullable=False),
    Column("worth", Float, nullable=False),
    Column("probability", Float),
    Column("action", String(20), nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("lease", BigInteger),
    Column("wake", BigInteger),
    Column("outcome", String(20)),
    Column("closed", BigInteger),
    Column("parent", _NUMBER, index=True),
)
_OPEN: Final[Any] = CASES.c.status == "open"
# of one subject at most one case is open, whatever two processes do at once
partial_index("shroff_case_subject", CASES.c.kind, CASES.c.subject, where=_OPEN, unique=True)
Index("shroff_case_of", CASES.c.kind, CASES.c.subject)
Index("shroff_case_worth", CASES.c.status, CASES.c.queue, CASES.c.worth.desc(), CASES.c.id)
Index("shroff_case_best", CASES.c.status, CASES.c.worth.desc(), CASES.c.id)
Index("shroff_case_holder", CASES.c.holder)

CASE_PAYMENTS: Final = Table(
    "shroff_case_payment",
    METADATA,
    Column("payment_id", String(1_024), primary_key=True),
    Column("case", _NUMBER, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("amount", Float, nullable=False),
    Column("probability", Float),
    Column("action", String(20), nullable=False),
    Column("fraud", Boolean),
)

CASE_SIGHTINGS: Final = Table(
    "shroff_case_sighting",
    METADATA,
    Column("kind", String(200), primary_key=True),
    Column("payment_id", String(1_024), primary_key=True),
    Column("subject", String(1_024), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("amount", Float, nullable=False),
    Column("probability", Float),
    Column("action", String(20), nullable=False),
    Column("fraud", Boolean),
    Index("shroff_case_sighting_subject", "kind", "subject"),
)
"""Payments of the last minutes that were declined or are to be reviewed, by what spikes share."""

CASE_EVENTS: Final = Table(
    "shroff_case_event",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("case", _NUMBER, nullable=False, index=True),
    Column("content", String, nullable=False),
)
"""`content` is the JSON of a `CaseEvent`."""

CASE_NOTES: Final = Table(
    "shroff_case_note",
    METADATA,
    Column("event", _NUMBER, primary_key=True),
    Column("case", _NUMBER, nullable=False, index=True),
    Column("salt", String(64), nullable=False),
    Column("note", String, nullable=False),
)
"""Notes of steps, apart from their chain, so that they can be erased."""

CASE_QUEUES: Final = Table(
    "shroff_case_queue",
    METADATA,
    Column("name", String(200), primary_key=True),
    Column("place", Integer, nullable=False),
    Column("condition", String, nullable=False),
    Column("sla_minutes", Integer, nullable=False),
    Column("minutes", Float, nullable=False),
    Column("second_review", Float),
    Column("hide_reasons", Float),
)

CASE_SECOND: Final = Table(
    "shroff_case_second",
    METADATA,
    Column("case", _NUMBER, primary_key=True),
    Column("queue", String(200), nullable=False),
    Column("first_by", String(200), nullable=False),
    Column("first", String(20), nullable=False),
    Column("drawn", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("lease", BigInteger),
    Column("by", String(200)),
    Column("outcome", String(20), index=True),
    Column("at", BigInteger),
)
"""Closed cases that were drawn to be judged again, and what they came to then."""

CASE_LABELS: Final = Table(
    "shroff_case_label",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("payment_id", String(1_024), nullable=False),
    Column("event", String(200), nullable=False),
    Column("fraud", Boolean, nullable=False),
    Column("by", String(200), nullable=False),
    Column("sent", Boolean, nullable=False, index=True),
    Column("hold", BigInteger),
    Column("taken", Boolean),
    UniqueConstraint("payment_id", "event"),
)
"""The outbox: labels that decisions gave, until the ledger has them; `hold` is a moment before
which one is not sent, and one that was `taken` may have been.
"""

CASE_TRAITS: Final = Table(
    "shroff_case_trait",
    METADATA,
    Column("payment_id", String(1_024), primary_key=True),
    Column("kind", String(200), primary_key=True),
    Column("value", String(1_024), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Index("shroff_case_trait_newest", "kind", "value", "at"),
)
"""By what payments of cases resemble each other: values of their columns, and codes of reasons."""

CASE_READINGS: Final = Table(
    "shroff_case_reading",
    METADATA,
    Column("case", _NUMBER, primary_key=True),
    Column("share", Float, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("outcome", String(20)),
    Column("decided", BigInteger),
)
"""Cases that were drawn to be worked on with or without reasons, and how that went."""

CASE_MARK: Final = Table(
    "shroff_case_mark",
    METADATA,
    Column("ledger", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
"""Up to which record of a ledger its payments are in cases."""
