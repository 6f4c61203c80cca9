"""What each column of an unknown payment log may be, guessed from its name and its values.

A guess is where a person begins: each comes with its reason, and `shroff init` writes both down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

import polars as pl

from shroff.collect.column_profile import Profile, profile
from shroff.collect.numbers import PLAIN, NumberFormat
from shroff.collect.role_words import (
    AMOUNT,
    ARRIVED,
    CARD,
    CODE,
    DESCRIBES,
    IDENTITY,
    LABEL,
    LATER,
    PARTY,
    PAYER,
    PAYMENT,
    PERSONAL,
    QUANTITY,
    RESULT,
    SETTLED,
    TIME,
    VERDICT,
    words_of,
)
from shroff.collect.schema import Epoch
from shroff.errors import DataError, UnknownColumn, did_you_mean, one_line

Role = Literal[
    "id", "time", "amount", "currency", "label", "labelled_at", "result", "result_at",
    "arrived_at", "personal", "keys", "nominal", "numeric", "ignored",
]  # fmt: skip
ROLES: Final[tuple[Role, ...]] = get_args(Role)
_MAX_NOMINAL_VALUES: Final = 200
_MAX_CODES: Final = 1_000
"""The most values of a column of codes by its name; there are 900 merchant categories."""
_MIN_KEY_VALUES: Final = 20
"""Fewer than so many values, each of hundreds of payments, are kinds of something (`client_os`)."""
_CROWD: Final = 100
_MIN_REPEATS: Final = 1.5
"""Payments for each value of a column that tells cards or shops apart, on average."""


class Guess(NamedTuple):
    """The role of a column, and why it was guessed, in words that hold none of its values."""

    column: str
    role: Role
    why: str


@dataclass(frozen=True)
class Roles:
    """The guesses for all columns of a table, in their order.

    `entities` are the columns that payments repeat, by which they can be counted: the most telling
    names first. `timezone`, `epoch` and `number_format` are as `Schema` takes them.
    """

    guesses: tuple[Guess, ...]
    entities: tuple[str, ...]
    timezone: str | None = None
    epoch: Epoch | None = None
    number_format: NumberFormat = PLAIN
    mixed: bool = False
    """Whether amounts are in several currencies."""
    median: float | None = None
    """Of the amounts."""

    def of(self, role: Role) -> list[str]:
        """The columns that have a role."""
        return [guess.column for guess in self.guesses if guess.role == role]


def guess(table: pl.DataFrame, given: Mapping[Role, str | None] | None = None) -> Roles:
    """What the columns of a raw table may be.

    Args:
        table: the first rows of a raw log; the more, the better the guesses.
        given: columns whose role is known, by role.

    Raises:
        DataError: no rows, or no column that can be the id, the time or the amount of payments.
        UnknownColumn: a given column that the table does not have.

    >>> log = pl.DataFrame(
    ...     {"txId": ["a", "b"], "when": ["2024-05-04T10:00Z"] * 2, "amt": ["9.50", "7"]}
    ... )
    >>> [(found.column, found.role) for found in guess(log).guesses]
    [('txId', 'id'), ('when', 'time'), ('amt', 'amount')]
    """
    if table.is_empty():
        raise DataError("expected rows to guess from, got none.")
    known = {role: name for role, name in (given or {}).items() if name is not None}
    for role, name in known.items():
        if name not in table.columns:
            raise UnknownColumn(
                f"--{role}: unknown column `{name}`{did_you_mean(name, table.columns) or '.'}"
            )
    return _Guesser([profile(column) for column in table], known).roles()


_NEEDED: Final[Mapping[Role, str]] = {
    "time": "times of a clock (ISO 8601, or counted since 1970)",
    "id": "a different value in each row, to name payments by (a row number will do)",
    "amount": "what was paid",
}
"""The roles without which no log can be read."""


@dataclass
class _Guesser:
    columns: list[Profile]
    known: Mapping[Role, str]
    found: dict[str, Guess] = field(default_factory=dict)

    def roles(self) -> Roles:
        for role, name in self.known.items():
            (column,) = (one for one in self.columns if one.name == name)
            self.found[name] = Guess(name, role, f"as you said{_unread(role, column)}")
        self._choose("label", self._labels(), "two values, and its name")
        self._choose("time", self._times(lambda one: one.kind == "time"), "times, and its name")
        self._choose("time", self._times(lambda one: one.epoch is not None), "counted times")
        self._choose("id", self._ids(), "a different value in each row")
        if not self._has("id"):
            why = "its name, and a different value in nearly each row"
            self._choose("id", self._nearly_ids(), why)
        self._choose("amount", self._amounts(), "numbers, and its name")
        lacking = [role for role in _NEEDED if not self._has(role)]
        if lacking:
            wanted = " and ".join(f"a column of {_NEEDED[role]}" for role in lacking)
            options = " and ".join(f"--{role}" for role in lacking)
            it, one = ("it", "one") if len(lacking) == 1 else ("them", "others")
            raise DataError(
                f"expected {wanted}, found none: add {it} (docs/raw-logs.md shows how), or name "
                f"{one} with {options}.{self._repeated_ids()}{self._dates_of_a_country()}"
                f"{self._nested()}"
            )
        self._choose("currency", [one for one in self._free() if one.currencies], "ISO 4217 codes")
        self._choose_later()
        for column in self._free():
            self.found[column.name] = self._rest(column)
        by_name = {one.name: one for one in self.columns}
        time, amount = by_name[self._named("time")[0]], by_name[self._named("amount")[0]]
        return Roles(
            tuple(self.found[one.name] for one in self.columns),
            self._entities(),
            timezone=None if time.zoned or time.kind != "time" else "UTC",
            epoch=time.epoch if time.kind == "number" else None,
            number_format=amount.number_format,
            median=amount.median,
            mixed=any(by_name[name].distinct > 1 for name in self._named("currency")),
        )

    def _repeated_ids(self) -> str:
        """Where no id is found: which column could be it but for a few rows."""
        names = [one.name for one in self._free() if one.nearly_unique and one.names_something]
        if self._has("id") or not names:
            return ""
        name = one_line(names[0])
        return (
            f" `{name}` has a different value in nearly each row: if it names payments, say --id "
            f"{name}; of rows of one id the first is used."
        )

    def _dates_of_a_country(self) -> str:
        """Where no times are found: which column has some whose day and month nobody can tell."""
        names = [one.name for one in self.columns if one.local_dates]
        if self._has("time") or not names:
            return ""
        return (
            f" Dates such as `05.04.2024`, as `{one_line(names[0])}` has them, are read by nobody "
            "alike: write them as ISO 8601."
        )

    def _nested(self) -> str:
        """Which columns have fields of their own, where a payment's may be."""
        names = [f"`{one_line(one.name)}`" for one in self.columns if one.nested]
        if not names:
            return ""
        has, it = ("has", "it") if len(names) == 1 else ("have", "them")
        return (
            f" {', '.join(names)} {has} fields within: flatten {it} (docs/raw-logs.md shows how)."
        )

    def _free(self) -> list[Profile]:
        return [one for one in self.columns if one.name not in self.found]

    def _named(self, role: Role) -> list[str]:
        return [guess.column for guess in self.found.values() if guess.role == role]

    def _has(self, role: Role) -> bool:
        return bool(self._named(role))

    def _choose(self, role: Role, ranked: list[Profile], why: str) -> None:
        """Give the role to the first of these columns, unless one has it already."""
        if ranked and not self._has(role):
            column = ranked[0]
            self.found[column.name] = Guess(column.name, role, f"{why}{_unread(role, column)}")

    def _best(
        self, words: Iterable[str], fits: Callable[[Profile], bool], needed: int = 1
    ) -> list[Profile]:
        """Free columns that fit and have such words in their names, the most first."""
        found = [one for one in self._free() if fits(one) and one.hints(words) >= needed]
        return sorted(found, key=lambda one: -one.hints(words))

    def _labels(self) -> list[Profile]:
        return self._best(LABEL, lambda one: one.kind == "flag" and one.distinct == 2)

    def _times(self, fits: Callable[[Profile], bool]) -> list[Profile]:
        late = LATER | PERSONAL
        times = self._best(
            TIME | PAYMENT,
            lambda one: fits(one) and one.mostly_filled and not one.hints(late),
            needed=0,
        )
        # a log may name a payment's time after its authorisation: `authorised_at`; and ids may be
        # numbers that would be times of this century
        after = (IDENTITY, SETTLED, RESULT | ARRIVED)
        return sorted(times, key=lambda one: [one.hints(words) > 0 for words in after])

    def _ids(self) -> list[Profile]:
        return self._best(
            IDENTITY | PAYMENT, lambda one: one.unique and one.names_something, needed=0
        )

    def _nearly_ids(self) -> list[Profile]:
        return self._best(IDENTITY | PAYMENT, lambda one: one.nearly_unique and one.names_something)

    def _amounts(self) -> list[Profile]:
        return self._best(AMOUNT, lambda one: one.kind == "number")

    def _choose_later(self) -> None:
        """Result and arrivals: what is known only after a payment."""
        few = _MAX_NOMINAL_VALUES
        self._choose(
            "result",
            self._best(RESULT, lambda one: one.is_code and one.distinct <= few),
            "few words, and its name",
        )
        outcomes = [one for one in self._free() if one.outcomes]
        self._choose("result", outcomes, "words for what becomes of payments")
        later: tuple[tuple[Role, frozenset[str]], ...] = (
            ("labelled_at", LATER), ("result_at", RESULT), ("arrived_at", ARRIVED),
        )  # fmt: skip
        for role, words in later:
            of: dict[Role, Role] = {"labelled_at": "label", "result_at": "result"}
            if role not in of or self._has(of[role]):
                times = self._best(words | self._words_of(of.get(role)), self._is_time)
                # without its arrival a payment cannot be used, while a label may never come
                fit = [one for one in times if role != "arrived_at" or one.mostly_filled]
                self._choose(role, fit, "times, and its name")

    def _words_of(self, role: Role | None) -> frozenset[str]:
        """The words that name the column of a role, such as `cb` of `CB?` beside `CB arrived`."""
        names = [] if role is None else self._named(role)
        return frozenset(word for name in names for word in words_of(name)) - {"is", "at", "id"}

    def _is_time(self, column: Profile) -> bool:
        """Whether a column has times, counted as those of the payments are, if these are."""
        (name,) = self._named("time")
        unit = next(one.epoch for one in self.columns if one.name == name)
        return column.kind == "time" or (column.epoch is not None and column.epoch == unit)

    def _rest(self, column: Profile) -> Guess:
        """The role of a column that is none of the single ones."""
        name, words = column.name, column.words
        if column.nested:
            return Guess(name, "ignored", "has fields within: flatten it (docs/raw-logs.md)")
        if column.kind == "unfit":
            return Guess(name, "ignored", "no field of a payment has such a name or type")
        if column.kind == "empty":
            return Guess(name, "ignored", "has no values")
        if column.distinct == 1:
            none = " or none" if column.filled < column.rows else " only"
            return Guess(name, "ignored", f"has one value{none}")
        if not words or words <= {"unnamed", "index", "row"} | set("0123456789"):
            return Guess(name, "ignored", "numbers the rows")
        if column.card_numbers:
            return Guess(name, "personal", "card numbers")
        if column.hints(VERDICT):
            return Guess(name, "ignored", "named like a label: it may be known only later")
        if column.kind == "time" or (column.epoch is not None and column.hints(TIME)):
            return Guess(name, "ignored", "further times")
        if column.rising:
            return Guess(name, "ignored", "rises from row to row, as a clock or a counter does")
        if column.kind == "number" and column.hints(QUANTITY) and not column.padded:
            return Guess(name, "numeric", "numbers, and its name")
        few = column.distinct <= _MAX_NOMINAL_VALUES
        names = column.kind == "text" or column.whole
        describes = few and _describes(name)
        if column.hints(PERSONAL) and not describes and names:
            return Guess(name, "personal", "its name")
        coded = column.hints(CODE) and column.distinct <= _MAX_CODES
        if (coded or (few and column.hints(DESCRIBES))) and names:
            return Guess(name, "nominal", f"{column.distinct:,} values, and its name")
        codes = column.hints(CODE) and column.kind == "number"
        identifies = column.hints(PARTY) or column.hints(IDENTITY) or codes
        if identifies and names and not column.hints(AMOUNT):
            kinds = column.distinct < _MIN_KEY_VALUES and column.repeats > _CROWD
            role: Role = "nominal" if kinds and column.kind == "text" else "keys"
            return Guess(name, role, f"{column.distinct:,} values, and its name")
        if column.kind in ("number", "flag") and not column.padded:
            return Guess(name, "numeric", "numbers" if column.kind == "number" else "0 and 1")
        if few:
            return Guess(name, "nominal", f"{column.distinct:,} values")
        if column.repeats >= _MIN_REPEATS:
            return Guess(name, "keys", f"{column.distinct:,} values, each in several payments")
        return Guess(name, "ignored", "nearly a value of its own in each row")

    def _entities(self) -> tuple[str, ...]:
        """Keys and personal columns whose values come again: who pays first, then other parties."""
        wanted = [
            one for one in self.columns
            if self.found[one.name].role in ("keys", "personal") and one.repeats >= _MIN_REPEATS
        ]  # fmt: skip
        ranked = sorted(wanted, key=lambda one: (-one.hints(PARTY), -one.card_numbers))
        payer = max(ranked, key=lambda one: (one.hints(CARD), one.hints(PAYER)), default=None)
        ranked.sort(key=lambda one: one is not payer)
        return tuple(one.name for one in ranked)


def _unread(role: Role, column: Profile) -> str:
    """How many values of a column of times a row is dropped for, in words."""
    if role not in ("time", "labelled_at", "result_at", "arrived_at"):
        return ""
    # a label may never come, while a payment without its time cannot be used
    lost = column.rows - column.filled if role == "time" else 0
    bad = column.unreadable + lost
    return f"; {bad:,} of {column.rows:,} cannot be read" if bad else ""


def _describes(name: str) -> bool:
    """Whether a name says what somebody's data is like, and not the data: by the last such word.

    >>> [_describes(name) for name in ("ip_country_code", "home_country_phone")]
    [True, False]
    """
    told = [word for word in words_of(name) if word in PERSONAL | DESCRIBES]
    return bool(told) and told[-1] in DESCRIBES
