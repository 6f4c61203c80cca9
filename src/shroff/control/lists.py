"""Edits of lists in the control database: append-only, each with its author and time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    Select,
    String,
    Table,
    func,
    or_,
    select,
)

from shroff.canonical import canonical
from shroff.clock import Clock, system_time
from shroff.collect import money
from shroff.collect.cards import holds_card_number
from shroff.collect.fields import require_note
from shroff.collect.values import require_readable
from shroff.control.database import LISTS_LOCK, METADATA, Control
from shroff.database.urls import turn_at
from shroff.decide.hashed import require_hashed_value
from shroff.decide.lists import Action, Edit
from shroff.decide.standing import ListReaders
from shroff.errors import ConfigurationError, ConsentRequired

_MAX_TEXT_CHARACTERS: Final = 500
_EDIT_TABLE = Table(
    "shroff_list_edit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("value", String(_MAX_TEXT_CHARACTERS), nullable=False),
    Column("action", String(10), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("note", String(_MAX_TEXT_CHARACTERS)),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
)


class Lists:
    """The edits in a control database.

    Args:
        consent: edits need a second person's: they are proposed, see `Proposals`.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time, consent: bool = False) -> None:
        self._control = Control(url)
        self._consent = consent
        self._clock = clock

    def edit(
        self,
        name: str,
        value: str,
        action: Action,
        *,
        by: str,
        since: int | None = None,
        until: int | None = None,
        note: str | None = None,
    ) -> Edit:
        """Add a value to a list or remove one, from `since` (default: now) until `until` (default:
        for good).

        Raises:
            ConfigurationError: a value that is empty, too long or holds hidden characters, or an
                end that is not after the beginning.
            ConsentRequired: one person alone may not edit lists here.
        """
        self.require_no_consent()
        made = self.checked(name, value, action, since=since, until=until, note=note)
        with self._control.transaction("keep an edit of a list") as connection:
            (kept,) = self.keep(connection, [made], by=by)
        return kept

    def require_no_consent(self) -> None:
        """Raise `ConsentRequired` where one person alone may not edit lists."""
        if self._consent:
            raise ConsentRequired(
                "expected a second person's consent to an edit of a list (SHROFF_CONSENT): propose "
                "it with `shroff lists add` or `remove`, or in the console."
            )

    def checked(
        self,
        name: str,
        value: str,
        action: Action,
        *,
        since: int | None = None,
        until: int | None = None,
        note: str | None = None,
    ) -> dict[str, Any]:
        """The fields of an edit that may be made now; raises as `edit`."""
        now, value = self._clock(), canonical(value)
        start = now if since is None else since
        if action not in get_args(Action):
            raise ConfigurationError("expected an edit that is `add` or `remove`.")
        if not 0 < len(value) <= _MAX_TEXT_CHARACTERS or len(note or "") > _MAX_TEXT_CHARACTERS:
            raise ConfigurationError(
                f"expected a value of 1 to {_MAX_TEXT_CHARACTERS} characters, and a note of no "
                "more."
            )
        if action == "add" or "\0" in value:
            # values that an earlier release added must stay removable, but PostgreSQL has no NUL
            require_readable(value, "a value")
        require_note(note)
        if until is not None and until <= max(start, now):
            raise ConfigurationError(
                "expected an edit that ends after it begins, and in the future."
            )
        return {
            "name": name,
            "value": value,
            "action": action,
            "since": start,
            "until": until,
            "note": note,
            "made_at": now,
        }

    def edit_all(self, edits: Iterable[dict[str, Any]], *, by: str) -> list[Edit]:
        """Keep all of some edits that `checked` gave, or none of them; raises as `edit`."""
        self.require_no_consent()
        with self._control.transaction("keep edits of a list") as connection:
            return self.keep(connection, edits, by=by)

    def keep(
        self, connection: Connection, checked: Iterable[dict[str, Any]], *, by: str
    ) -> list[Edit]:
        """Keep edits in a transaction of the same database, whose consent was asked for there.

        In PostgreSQL others wait until it ends: services read what comes after the last number that
        they have seen, so edits must appear in the order of their numbers.
        """
        rows = [one | {"made_by": by} for one in checked]
        if not rows:
            return []
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(turn_at(LISTS_LOCK))
        numbers = _EDIT_TABLE.insert().returning(_EDIT_TABLE.c.id, sort_by_parameter_order=True)
        kept = connection.scalars(numbers, rows).all()
        return [Edit(id=number, **row) for number, row in zip(kept, rows, strict=True)]

    def edits(self, *, after: int = 0, also: Collection[int] = ()) -> list[Edit]:
        """The edits after a number, and those numbered in `also`, oldest first; else all."""
        wanted = _EDIT_TABLE.c.id > after
        if also:
            wanted = or_(wanted, _EDIT_TABLE.c.id.in_([*also]))
        return self._read(select(_EDIT_TABLE).where(wanted).order_by(_EDIT_TABLE.c.id))

    def of(self, name: str, values: Collection[str]) -> list[Edit]:
        """The edits of some values of a list, oldest first."""
        own = (_EDIT_TABLE.c.name == name, _EDIT_TABLE.c.value.in_([*values]))
        return self._read(select(_EDIT_TABLE).where(*own).order_by(_EDIT_TABLE.c.id))

    def latest(self, name: str, count: int) -> list[Edit]:
        """The last `count` edits of a list, oldest first."""
        query = (
            select(_EDIT_TABLE)
            .where(_EDIT_TABLE.c.name == name)
            .order_by(_EDIT_TABLE.c.id.desc())
            .limit(count)
        )
        return self._read(query)[::-1]

    def newest(self) -> int:
        """The number of the last edit; 0 if there is none."""
        with self._control.transaction("read the edits of lists") as connection:
            return connection.scalar(select(func.max(_EDIT_TABLE.c.id))) or 0

    def _read(self, query: Select[Any]) -> list[Edit]:
        with self._control.transaction("read the edits of lists") as connection:
            return [Edit(**row) for row in connection.execute(query).mappings().all()]


def listed_value(
    value: str,
    action: Action,
    *,
    personal: bool,
    readers: ListReaders,
    token: Callable[[str], str],
    numbers: Collection[str],
) -> str:
    """A value as the columns of payments have it: for personal columns its token.

    Args:
        personal: the value is one of a person as payments are sent with it, whatever it looks like;
            without it, a keyed hash is taken as it is.
        readers: the columns that are compared with the list, of `list_readers`.
        token: makes the tokens of personal columns.
        numbers: columns of long numbers that are no card numbers, see `PaymentReader`.

    Raises:
        ConfigurationError: an unhashed card number would be added, or a value that no payment could
            equal: one in the open, or no code of a currency.
    """
    if personal:
        return token(canonical(value))
    if action == "add":
        require_hashed_value(value, readers.personal)
        if readers.currency and canonical(value) not in money.NUMERIC:
            raise ConfigurationError(
                "expected a currency's code of three capitals, as payments have it in "
                f"`{readers.currency}`, which rules compare this list with: write "
                f"{money.alphabetic(value) or 'one of ISO 4217, such as EUR'}."
            )
    # values that an earlier release added must stay removable
    if action == "add" and not numbers and holds_card_number(value):
        raise ConfigurationError(
            "expected no card number that anybody can read, got one: where the column is personal, "
            "say so "
            '(`--personal`, over HTTP `"personal": true`), so that only a keyed hash of it is kept.'
        )
    return value
