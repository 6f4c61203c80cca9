"""What is wrong with a condition that somebody writes, and where: for an editor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from shroff.errors import InvalidExpression, UnknownColumn
from shroff.expression.checker import read
from shroff.expression.tree import Kind

_HINT: Final = "did you mean `"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a text, in one sentence, and where.

    `start` and `end` are places in the text, from 0, the second one after the last character;
    `line` and `column` are of the start, from 1. `suggestion` stands for what is there.
    """

    start: int
    end: int
    line: int
    column: int
    sentence: str
    suggestion: str | None = None


def fault_of(text: str, columns: Mapping[str, Kind], lists: Collection[str] = ()) -> Fault | None:
    """What keeps a text from being a condition that is true or false; None if nothing does.

    Args:
        columns: the kinds of what it may read, by name; `lists` are the named ones.

    >>> kinds = {"amount": "number", "mcc": "text"}
    >>> found = fault_of("mcc = '5411' AND ammount > 5", kinds)
    >>> found.line, found.column, found.suggestion
    (1, 18, 'amount')
    >>> fault_of("amount", kinds).sentence
    'expected a condition that is true or false, got a number: compare it, as in `amount > 0`'
    >>> fault_of("amount > 5", kinds) is None
    True
    """
    if not text.strip():
        return _fault(text, (0, len(text)), "write a condition, such as `amount > 500`")
    try:
        _, kind = read(text, columns, lists)
    except (InvalidExpression, UnknownColumn) as error:
        return _fault(text, error.span or (0, len(text)), str(error))
    if kind == "boolean":
        return None
    example = "amount > 0" if kind == "number" else "country = 'DK'"
    sentence = f"expected a condition that is true or false, got a {kind}: compare it, as in "
    return _fault(text, (0, len(text)), f"{sentence}`{example}`")


def _fault(text: str, span: tuple[int, int], sentence: str) -> Fault:
    start, end = span
    before = text[:start]
    _, hint, rest = sentence.rpartition(_HINT)
    return Fault(
        start=start,
        end=end,
        line=before.count("\n") + 1,
        column=start - (before.rfind("\n") + 1) + 1,
        sentence=sentence,
        suggestion=rest.removesuffix("`?") if hint and rest.endswith("`?") else None,
    )
