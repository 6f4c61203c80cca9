"""The keys of subjects in the control database, which is the only place that has them.

Not in the ledger's database, whose copies are kept: a key that is destroyed must be gone from all
of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from threading import Lock
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    func,
    select,
)

from shroff.clock import Clock, system_time
from shroff.collect import Schema
from shroff.control.database import METADATA, Control, in_turn
from shroff.ledger.keyring import Keyring, Period, parts_of
from shroff.ledger.puncturable import TAG_BYTES, PuncturableKeys

_PERIODS: Final = Table(
    "shroff_key_period",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("began", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("identifying", Text, nullable=False),
    Column("expired", BigInteger),
)
_NODES: Final = Table(
    "shroff_key_node",
    METADATA,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("place", String(2 * TAG_BYTES), primary_key=True),
    Column("node", LargeBinary, nullable=False),
)
_FORGOTTEN: Final = Table(
    "shroff_forgotten_key",
    METADATA,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("tag", LargeBinary(TAG_BYTES), primary_key=True),
    Column("at", BigInteger, nullable=False),
)


class _Mark(NamedTuple):
    """What changes whenever keys do."""

    periods: int
    forgotten: int
    expired: int


class SubjectKeys:
    """The keys in a control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def begin(self, subject: str, identifying: Sequence[str], *, anew: bool = False) -> None:
        """Begin a period, if the last one is of an earlier month or of other columns.

        Args:
            subject: the column that says whose payment it is.
            identifying: all columns whose values may name a person.
            anew: begin one in any case, so that nothing is sealed under earlier keys any more.
        """
        with self._control.transaction("begin new keys") as connection:
            in_turn(connection)
            newest = _PERIODS.c.number.desc()
            row = connection.execute(select(_PERIODS).order_by(newest).limit(1)).one_or_none()
            last = None if row is None else _period(row, {}, _gone(connection, row.number))
            if not anew and self.current(last, subject, identifying):
                return
            number = 1 if last is None else last.number + 1
            began = {"number": number, "began": self._clock(), "subject": subject}
            names = msgspec.json.encode(identifying).decode()
            connection.execute(_PERIODS.insert(), began | {"identifying": names})
            _keep(connection, number, PuncturableKeys.random().nodes)

    def current(self, last: Period | None, subject: str, identifying: Sequence[str]) -> bool:
        """Whether the last period is of this month and of these columns, with all of its keys."""
        return (
            last is not None
            and not last.forgotten
            and (last.subject, last.identifying) == (subject, tuple(identifying))
            and _month(last.began) >= _month(self._clock())
        )

    def mark(self) -> _Mark:
        """What changes whenever keys do."""
        counted = select(
            select(func.max(_PERIODS.c.number)).scalar_subquery(),
            select(func.count()).select_from(_FORGOTTEN).scalar_subquery(),
            select(func.count(_PERIODS.c.expired)).scalar_subquery(),
        )
        with self._control.transaction("read keys") as connection:
            periods, forgotten, expired = connection.execute(counted).one()
        return _Mark(periods or 0, forgotten, expired)

    def periods(self) -> list[Period]:
        """All periods with what is left of their keys, the oldest first."""
        nodes: dict[int, dict[str, bytes]] = defaultdict(dict)
        forgotten: dict[int, dict[bytes, int]] = defaultdict(dict)
        with self._control.transaction("read keys") as connection:
            in_turn(connection)
            for period, place, node in connection.execute(select(_NODES)):
                nodes[period][place] = node
            for period, tag, at in connection.execute(select(_FORGOTTEN)):
                forgotten[period][tag] = at
            rows = connection.execute(select(_PERIODS).order_by(_PERIODS.c.number)).all()
        return [_period(row, nodes[row.number], forgotten[row.number]) for row in rows]

    def destroy(self, seals: Iterable[bytes]) -> int:
        """Destroy the keys of these seals, all or none; returns when. `scrub` the database then."""
        tags: dict[int, list[bytes]] = defaultdict(list)
        for seal in seals:
            number, tag = parts_of(seal)
            tags[number].append(tag)
        at = self._clock()
        with self._control.transaction("destroy keys") as connection:
            in_turn(connection)
            for number, named in tags.items():
                # another process may have forgotten the same subject meanwhile
                theirs = set(named) - _gone(connection, number).keys()
                own = _NODES.c.period == number
                before = {
                    place: node for _, place, node in connection.execute(select(_NODES).where(own))
                }
                keys = PuncturableKeys(before).punctured(*theirs)
                gone = before.keys() - keys.nodes.keys()
                connection.execute(_NODES.delete().where(own, _NODES.c.place.in_(gone)))
                new = {place: keys.nodes[place] for place in keys.nodes.keys() - before.keys()}
                _keep(connection, number, new)
                rows = [{"period": number, "tag": tag, "at": at} for tag in theirs]
                if rows:
                    connection.execute(_FORGOTTEN.insert(), rows)
        return at

    def expire(self, periods: Iterable[int]) -> None:
        """Destroy all keys of periods."""
        numbers = list(periods)
        with self._control.transaction("destroy keys") as connection:
            in_turn(connection)
            connection.execute(_NODES.delete().where(_NODES.c.period.in_(numbers)))
            expired = _PERIODS.update().where(_PERIODS.c.number.in_(numbers))
            connection.execute(expired.values(expired=self._clock()))
        self._control.scrub(_NODES)

    def scrub(self) -> None:
        """Remove what the database's files still have of destroyed keys."""
        self._control.scrub(_NODES)


class LiveKeyring:
    """A keyring that follows the control database.

    Args:
        store: the keys; `keyring`: what is kept up to date.
        schema: of the payments that are sealed; a schema without a subject seals none.
    """

    def __init__(self, store: SubjectKeys, keyring: Keyring, schema: Schema) -> None:
        self._store = store
        self._keyring = keyring
        self._schema = schema
        self._mark: _Mark | None = None
        self._one_at_a_time = Lock()

    @property
    def destroyed(self) -> str:
        """A name for what keys are gone, which changes when others go; empty while all are there.

        A state that was filled before counts people who were forgotten since.
        """
        _, forgotten, expired = self._mark or (0, 0, 0)
        return f"{forgotten}-{expired}" if forgotten or expired else ""

    def refresh(self) -> None:
        """Begin the keys of a new month, and drop keys that were destroyed; from any thread.

        Raises:
            ControlUnavailable: the keys of the last refresh stay.
        """
        with self._one_at_a_time:
            self._follow()
            subject, names = self._schema.subject, self._schema.identifying
            last = next(reversed([*self._keyring.periods]), None)
            # asked first without the lock that `begin` takes: this runs each second
            if subject is not None and not self._store.current(last, subject, names):
                self._store.begin(subject, names)
                self._follow()

    def _follow(self) -> None:
        mark = self._store.mark()
        if mark != self._mark:
            self._keyring.take(self._store.periods())
            self._mark = mark


def ended(periods: Sequence[Period], before: int) -> list[int]:
    """The numbers of the periods with keys that ended before a moment, when the next one began."""
    return [
        period.number
        for period, following in pairwise(periods)
        if following.began <= before and period.expired is None
    ]


def reading_keyring(url: str) -> Keyring:
    """The keys of a control database, to read sealed records with.

    Raises:
        ControlUnavailable: it does not answer.
    """
    return Keyring(periods=SubjectKeys(url).periods())


def _period(row: Row[Any], nodes: Mapping[str, bytes], forgotten: Mapping[bytes, int]) -> Period:
    return Period(
        number=row.number,
        began=row.began,
        subject=row.subject,
        identifying=tuple(msgspec.json.decode(row.identifying)),
        keys=PuncturableKeys(nodes),
        forgotten=forgotten,
        expired=row.expired,
    )


def _gone(connection: Connection, number: int) -> dict[bytes, int]:
    """When keys of a period were destroyed, by tag."""
    query = select(_FORGOTTEN.c.tag, _FORGOTTEN.c.at).where(_FORGOTTEN.c.period == number)
    return {row.tag: row.at for row in connection.execute(query)}


def _keep(connection: Connection, number: int, nodes: Mapping[str, bytes]) -> None:
    rows = [{"period": number, "place": place, "node": node} for place, node in nodes.items()]
    if rows:
        connection.execute(_NODES.insert(), rows)


def _month(micros: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(micros / 1e6, UTC)
    return moment.year, moment.month
