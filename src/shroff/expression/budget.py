"""The budget of all regular expressions that one payment is matched against.

An automaton reads a text in linear time, but hundreds of them read it hundreds of times, and each
caches the steps that it has met. A payment is matched against those of features, of the model's
conditions and of the policy's rules: each set must fit the budget where it is defined, and all of
them together where they decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from shroff.errors import InvalidExpression
from shroff.expression.regular import automaton
from shroff.expression.tree import ColumnRef, Constant, FunctionCall, Node, walk

MOST_STATES_TOGETHER: Final = 1_024
_LEAST_STATES: Final = 16
"""What a pattern of fewer states counts as: reading a text takes time, however short it is."""


def require_affordable(what: str, trees: Iterable[Node]) -> None:
    """Refuse trees whose regular expressions take more than the budget.

    Args:
        what: the trees, in words, for the message.

    Raises:
        InvalidExpression: their patterns have more than 1,024 states together.
    """
    _require(what, states_of(trees))


def require_affordable_together(sets: Mapping[str, int]) -> int:
    """The states of sets that one payment meets, by what each is called, added up.

    Raises:
        InvalidExpression: they are more than 1,024.
    """
    total = sum(sets.values())
    _require(" and ".join(f"{what} ({states:,})" for what, states in sets.items() if states), total)
    return total


def _require(what: str, states: int) -> None:
    if states > MOST_STATES_TOGETHER:
        raise InvalidExpression(
            f"{what}: expected REGEXP_LIKE with patterns of at most {MOST_STATES_TOGETHER:,} "
            f"characters together, counted as often as they are repeated, each as {_LEAST_STATES} "
            f"or more and once for each column in its text, got {states:,}: make them fewer or "
            "shorter."
        )


def states_of(trees: Iterable[Node]) -> int:
    """How many states the automata of trees have, by the budget's count."""
    return sum(map(_states, trees))


def _states(tree: Node) -> int:
    # engines compute equal subexpressions once
    return sum(
        max(automaton(str(pattern.value)).states, _LEAST_STATES) * max(_columns(text), 1)
        for node in set(walk(tree))
        if isinstance(node, FunctionCall) and node.op == "REGEXP_LIKE"
        for text, pattern in [node.args]
        if isinstance(pattern, Constant)
    )


def _columns(text: Node) -> int:
    return sum(isinstance(node, ColumnRef) for node in walk(text))
