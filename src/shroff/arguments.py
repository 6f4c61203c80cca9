"""What is wrong with the arguments of a call in a user's file, and where: Python's own message does
not say what arguments there are.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import traceback
from collections.abc import Mapping
from typing import Final

from shroff.errors import did_you_mean

_WRONG: Final = re.compile(
    r"(?:(?P<unknown>unexpected keyword)|(?P<twice>multiple values for)( keyword)?|missing [\w -]+)"
    r" argument:? '(?P<name>\w+)'|^argument '(?P<both>\w+)' given by name and position",
    re.IGNORECASE,
)
"""How Python and msgspec say that a call has an argument too many, one twice, or one too few; newer
Pythons add a suggestion.
"""


def wrong_argument(error: BaseException) -> str:
    """What is wrong with the arguments of a call in a project's files, and where; else nothing."""
    wrong = _WRONG.search(str(error)) if isinstance(error, TypeError) else None
    if wrong is None:
        return ""
    (*_, where), (*_, (frame, _)) = (
        traceback.extract_tb(error.__traceback__),
        traceback.walk_tb(error.__traceback__),
    )
    tree = ast.parse("".join(linecache.getlines(where.filename)))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        == (where.lineno, where.colno, where.end_lineno, where.end_colno)
    ]
    if not calls or frame.f_globals.get("__name__", "").partition(".")[0] == "shroff":
        return ""
    call, name = calls[0], wrong["name"] or wrong["both"]
    called = f"`{ast.unparse(call.func)}`"
    if wrong["twice"] or wrong["both"]:
        return f"{where.filename}, line {call.lineno}: {called} has `{name}` twice."
    if not wrong["unknown"]:
        return f"{where.filename}, line {call.lineno}: {called} needs `{name}=…`."
    lines = [given.value.lineno for given in call.keywords if given.arg == name]
    known = _arguments(_value(call.func, {**frame.f_globals, **frame.f_locals}))
    listed = f"; there are {', '.join(known)}." if known else "."
    return (
        f"{where.filename}, line {(lines or [call.lineno])[0]}: {called} has no argument `{name}`"
        f"{did_you_mean(name, known) or listed}"
    )


def _value(node: ast.expr, names: Mapping[str, object]) -> object:
    """What a name, or an attribute of one, stands for; None for any other expression."""
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, names), node.attr, None)
    return names.get(node.id) if isinstance(node, ast.Name) else None


def _arguments(called: object) -> list[str]:
    """The arguments of a class or a function by name; none where it does not say."""
    try:
        return list(inspect.signature(called).parameters) if callable(called) else []
    except ValueError:
        return []
