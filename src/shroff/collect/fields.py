"""Texts stored beside payments for people to read: ids, notes, sources."""

from __future__ import annotations

from shroff.collect.cards import holds_card_number, require_no_card_number
from shroff.collect.values import require_readable, unseen
from shroff.errors import BadPayment


def require_fit_note(note: str | None) -> None:
    """Raise `BadPayment` if a note holds a card number, or hides or reorders text."""
    if note is None:
        return
    if holds_card_number(note):
        raise BadPayment(
            "Expected a note without a card number, got one - at `$.note`: leave it out."
        )
    require_readable_field(note, "note")


def require_readable_field(text: str, field: str) -> None:
    """Raise `BadPayment` if a stored text has characters that hide or reorder text."""
    if found := unseen(text):
        raise BadPayment(f"Expected text of printable characters, got {found} - at `$.{field}`")


def card_number(field: str) -> BadPayment:
    """The error for a field with a card number in the open."""
    return BadPayment(
        f"Expected no card number that anybody can read, got one - at `$.{field}`: send another "
        "id, or declare the "
        "column in Schema(personal=[…]), so that only a keyed hash of it is kept."
    )


def require_note(note: str | None) -> None:
    """Raise `ConfigurationError` if a note holds a card number, or hides or reorders text."""
    if note is not None:
        require_no_card_number(note, "a note")
        require_readable(note, "a note")
