"""The oracle of links: who is linked to a payment, by going over all payments for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from contract.oracle import Condition, Question, Row, answer, had_arrived, micros


@dataclass(frozen=True, kw_only=True)
class LinkQuestion:
    """A feature of what is linked, in the oracle's terms."""

    function: str
    key: str
    by: str
    window: str
    hops: int
    column: str | None = None
    where: Condition | None = None


def link_answer(question: LinkQuestion, rows: Sequence[Row], me: Row) -> float | None:
    """The value of a feature for one payment."""
    if me.values[question.key] is None:
        return None
    others = linked(question, rows, me)
    if question.function == "count":
        return float(len(others))
    if question.function == "frauds":
        each = Question(
            function="frauds",
            keys=(question.key,),
            window=question.window,
            where=question.where,
        )
        found = [
            answer(each, rows, replace(me, values=me.values | {question.key: one}))
            for one in others
        ]
        return float(sum(float(frauds or 0) for frauds in found))
    told = {
        row.values[str(question.column)]
        for row in _seen(question, rows, me)
        if row.values[question.key] in others
    }
    return float(len(told - {None}))


def linked(question: LinkQuestion, rows: Sequence[Row], me: Row) -> set[str]:
    """Whoever shares a value with the payment's own, hop by hop."""
    seen, key, by = _seen(question, rows, me), question.key, question.by
    own, mine = str(me.values[key]), me.values[by]
    found, reached, walked = {own}, {own}, set[str]()
    for hop in range(question.hops):
        latest: dict[str, float] = {}
        for row in seen:
            value = row.values[by]
            if row.values[key] in reached and value is not None and value not in walked:
                latest[value] = max(row.time, latest.get(value, row.time))
        if hop == 0 and mine is not None:
            latest[mine] = inf
        values = sorted(latest, key=lambda value: (-latest[value], value))[:20]
        walked |= set(values)
        reached = set()
        for value in values:
            users = {str(row.values[key]) for row in seen if row.values[by] == value} - {"None"}
            if len(users) <= 50:
                reached |= users - found
        found |= reached
    return found - {own}


def _seen(question: LinkQuestion, rows: Sequence[Row], me: Row) -> list[Row]:
    where = question.where
    return [
        row
        for row in rows
        if (row.arrived, row.place) < (me.arrived, me.place)
        and row.time > me.time - micros(question.window)
        and (where is None or where.test(row) is True)
        and (where is None or had_arrived({*where.needs}, row, me))
    ]
