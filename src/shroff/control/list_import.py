"""Many values for one list at once: all of them are added, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from shroff.collect.dated_file import read_dated
from shroff.collect.times import parse_time
from shroff.collect.validity import ALWAYS
from shroff.control.changes import ListChange
from shroff.control.lists import Lists
from shroff.decide.lists import Edit, Values
from shroff.errors import ConfigurationError, one_line

MAX_VALUES: Final = 50_000
_TOLD: Final = 5
_ABSENT: Final = -1


class ListRow(NamedTuple):
    """A value to add, which may be blank: where it stands, such as `line 3`, until when it holds,
    and why.
    """

    place: str
    value: str
    until: int | None = None
    note: str | None = None


class ListFile(NamedTuple):
    """The rows of a file, and the names of its columns that say nothing of a list."""

    rows: list[ListRow]
    unread: tuple[str, ...]

    @property
    def words(self) -> str | None:
        """What to know of those columns, in one sentence."""
        if not self.unread:
            return None
        named = ", ".join(f"`{one_line(name)}`" for name in self.unread)
        return f"not read: {named}; until when a value holds is read from `until`, why from `note`."


class Planned(NamedTuple):
    """What became of the rows: the edits to make, as `Lists.checked` gives them, and how many
    values are there already, or several times among the rows, and how many rows have none.
    """

    name: str
    edits: tuple[dict[str, Any], ...]
    there: int
    repeated: int
    blank: int

    @property
    def words(self) -> str:
        """It in one sentence, when it is done."""
        found = [f"{len(self.edits):,} added"]
        found += [f"{self.there:,} on it already"] if self.there else []
        found += [f"{self.repeated:,} repeated"] if self.repeated else []
        found += [f"{self.blank:,} without a value"] if self.blank else []
        return f"{self.name}: {', '.join(found)}."

    def proposed(self) -> tuple[ListChange, str | None]:
        """The same as one change that a second person agrees to, and its reason.

        Raises:
            ConfigurationError: there is nothing to add, or values have different ends or reasons.
        """
        if not self.edits:
            raise ConfigurationError("expected a value that is not on the list yet, got none.")
        if len({(one["until"], one["note"]) for one in self.edits}) > 1:
            raise ConfigurationError(
                "expected one end and one reason for all values that a second person agrees to at "
                "once, got several: import them in parts."
            )
        (value, *more), first = [one["value"] for one in self.edits], self.edits[0]
        change = ListChange(
            name=self.name, value=value, action="add", until=first["until"], more=tuple(more)
        )
        return change, first["note"]


def rows_of_file(path: Path, column: str) -> ListFile:
    """The rows of a CSV file in UTF-8 or of a Parquet file: a column of values, and `until` and
    `note` where they are there.

    Raises:
        BadFile: it is no such file, or lacks the column.
        ConfigurationError: an end is no time, or a value has a beginning, with the place.
    """
    hint = "; its first line names the columns, and --column says which has the values."
    read = read_dated(path, "values of a list", (column,), others=True, hint=hint)
    for place, since in zip(read.places, read.since, strict=True):
        if column != "since" and since != ALWAYS:
            raise ConfigurationError(
                f"nothing was added. {place}: expected no `since`, got one: imported values hold "
                "from now on. `shroff lists add --since` adds one that holds later."
            )
    notes = read.columns.get("note") or [None] * len(read.places)
    rows = [
        ListRow(
            place,
            "" if value is None else str(value),
            _moment(until, place),
            None if note is None else str(note),
        )
        for place, value, until, note in zip(
            read.places, read.columns[column], read.until, notes, strict=True
        )
    ]
    meant = {column, "since", "until", "note"}
    return ListFile(rows, tuple(name for name in read.columns if name and name not in meant))


def rows_of_text(text: str, until: int | None = None) -> list[ListRow]:
    """The rows of a text with one value a line, without the blanks around it.

    >>> [row.value for row in rows_of_text("dev-1\\n\\n dev-2 ")]
    ['dev-1', 'dev-2']
    """
    lines = enumerate(text.splitlines(), 1)
    return [ListRow(f"line {at}", line.strip(), until) for at, line in lines if line.strip()]


def plan_rows(
    lists: Lists,
    name: str,
    rows: Sequence[ListRow],
    *,
    seed: Values,
    now: int,
    listed: Callable[[str], str],
    note: str | None = None,
) -> Planned:
    """What adding the values of rows to a list, from now on, comes to.

    A value that is on the list until the same end is left as it is; of repeated ones the first row
    counts.

    Args:
        seed: the lists of the policy in force.
        now: microseconds since the epoch.
        listed: turns a value into the one that payments have, as `listed_value` does.
        note: the reason of rows that give none.

    Raises:
        ConfigurationError: there are no rows, too many, or some cannot be added: five places of
            each reason are named.
    """
    filled = [row for row in rows if row.value]
    if not 0 < len(filled) <= MAX_VALUES:
        raise ConfigurationError(f"expected 1 to {MAX_VALUES:,} values, got {len(filled):,}.")
    asked = dict[str, dict[str, Any]]()
    wrong = dict[str, list[str]]()
    for row in filled:
        try:
            value, why = listed(row.value), row.note or note
            made = lists.checked(name, value, "add", until=row.until, note=why)
            asked.setdefault(made["value"], made)
        except ConfigurationError as error:
            wrong.setdefault(str(error), []).append(row.place)
    if wrong:
        raise ConfigurationError(f"nothing was added. {_sentences(wrong)}")
    ends = _ends(name, seed, lists.edits(), now)
    new = [one for value, one in asked.items() if ends.get(value, _ABSENT) != one["until"]]
    there, repeated = len(asked) - len(new), len(filled) - len(asked)
    return Planned(name, tuple(new), there, repeated, len(rows) - len(filled))


def _sentences(wrong: Mapping[str, Sequence[str]]) -> str:
    """What is wrong, each sentence once, with the first places of it."""
    told = [
        f"{', '.join(places[:_TOLD])}{' …' if len(places) > _TOLD else ''}: {why}"
        for why, places in wrong.items()
    ]
    return " ".join(told[:_TOLD]) + (" …" if len(told) > _TOLD else "")


def _ends(name: str, seed: Values, edits: Iterable[Edit], now: int) -> dict[str, int | None]:
    """Until when each value is on a list that is on it now; None: for good."""
    held: dict[str, int | None] = dict.fromkeys(seed.get(name, ()))
    for edit in edits:
        if edit.name == name and edit.covers(now):
            if edit.action == "add":
                held[edit.value] = edit.until
            else:
                held.pop(edit.value, None)
    return held


def _moment(text: str | None, place: str) -> int | None:
    try:
        return None if text is None else parse_time(text if "T" in text else f"{text}T00:00Z", None)
    except ValueError:
        raise ConfigurationError(
            f"nothing was added. {place}: expected in `until` a day such as 2026-01-31 (until it "
            "begins in UTC), or an ISO 8601 time with its zone."
        ) from None
