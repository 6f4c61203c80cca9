"""The lists of a policy as they were when each payment was decided, over whole columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Ints
from shroff.decide.lists import Edit, Values
from shroff.expression import Expression, InList
from shroff.expression.tree import ColumnRef, Node, replace_lists

_TURNS: Final = {"value": pl.String, "moment": pl.Int64, "held": pl.Boolean}


class ListedThen:
    """Which values were on the lists of a policy at a given time.

    The values that the policy itself names always were. An edit counts from its beginning, and not
    before it was made: what somebody listed later was not known then.

    Args:
        seed: the lists of the policy.

    >>> edit = Edit(
    ...     id=1,
    ...     name="hosts",
    ...     value="h1",
    ...     action="add",
    ...     since=10,
    ...     until=30,
    ...     note=None,
    ...     made_by="ada",
    ...     made_at=20,
    ... )
    >>> listed = ListedThen({"hosts": ["h0"]}, [edit])
    >>> moments = np.array([5, 15, 20, 29, 30])
    >>> listed.has("hosts", pl.Series(["h1"] * 5), moments).to_list()
    [False, False, True, True, False]
    """

    def __init__(self, seed: Values, edits: Iterable[Edit] = ()) -> None:
        self._seed = {name: frozenset(values) for name, values in seed.items()}
        made: dict[str, dict[str, list[Edit]]] = {name: defaultdict(list) for name in seed}
        for edit in sorted(edits, key=lambda one: one.id):
            if edit.name in made:
                made[edit.name][edit.value].append(edit)
        self._turns = {name: self._turns_of(name, each) for name, each in made.items()}

    def has(self, name: str, values: pl.Series, moments: Ints) -> pl.Series:
        """`value IN name` for texts [n] at these moments [n], in three-valued logic."""
        found = values.is_in(list(self._seed[name]))
        turns = self._turns[name]
        edited = values.is_in(turns["value"].unique().implode()).fill_null(value=False)
        rows = np.flatnonzero(edited.to_numpy())
        if rows.size:
            asked = pl.DataFrame({"value": values[rows], "moment": moments[rows], "row": rows})
            then = asked.sort("moment").join_asof(
                turns.sort("moment"), on="moment", by="value", check_sortedness=False
            )
            then = then.filter(pl.col("held").is_not_null())
            found = found.scatter(then["row"], then["held"])
        missing = values.is_null().to_numpy()
        if missing.any():
            # a null is in no empty list, and nobody knows whether it is in any other
            empty = np.flatnonzero(missing & (self._sizes(name, moments) == 0))
            found = found.scatter(empty, False) if empty.size else found
        return found

    def _turns_of(self, name: str, made: Mapping[str, Sequence[Edit]]) -> pl.DataFrame:
        rows = [
            (value, *turn)
            for value, edits in made.items()
            for turn in _turns_of_value(value in self._seed[name], edits)
        ]
        return pl.DataFrame(rows, schema=_TURNS, orient="row")

    def _sizes(self, name: str, moments: Ints) -> Ints:
        """How many values a list had at these moments."""
        steps: list[tuple[int, int]] = []
        for (value,), turns in self._turns[name].group_by("value", maintain_order=True):
            held = value in self._seed[name]
            for moment, now in turns.select("moment", "held").iter_rows():
                steps.append((moment, int(now) - int(held)))
                held = now
        steps.sort()
        sizes = np.cumsum([len(self._seed[name]), *(step for _, step in steps)])
        at = np.array([moment for moment, _ in steps], dtype=np.int64)
        return sizes[np.searchsorted(at, moments, side="right")]


def truths(
    conditions: Sequence[Expression], table: pl.DataFrame, moments: Ints, listed: ListedThen
) -> Iterator[pl.Series]:
    """The values [n] of conditions over a table, each with the lists of the payment's moment."""
    for condition in conditions:
        columns: list[pl.Series] = []

        def held(one: InList, columns: list[pl.Series] = columns) -> Node:
            # `one` has no named list inside it any more, but columns that stand for them
            asked = _evaluated(replace(condition, tree=one.arg), table.hstack(columns))  # noqa: B023  # called in this round
            column = listed.has(one.name, asked, moments).alias(f"\0listed {len(columns)}")
            columns.append(column)
            return ColumnRef(column.name, "boolean")

        tree = replace_lists(condition.tree, held)
        yield _evaluated(replace(condition, tree=tree), table.hstack(columns))


def _evaluated(expression: Expression, table: pl.DataFrame) -> pl.Series:
    # `with_columns` repeats what reads no column for every row
    return table.with_columns(expression.polars().alias("\0value"))["\0value"]


def _turns_of_value(seeded: bool, edits: Sequence[Edit]) -> Iterator[tuple[int, bool]]:
    """When a value comes onto a list or leaves it, and whether it is there from then on."""
    begun = [max(edit.since, edit.made_at) for edit in edits]
    ends = [edit.until for edit in edits if edit.until is not None]
    for moment in sorted({*begun, *ends}):
        held = seeded
        for since, edit in zip(begun, edits, strict=True):
            if since <= moment and edit.covers(moment):
                held = edit.action == "add"
        yield moment, held
