"""The tree of errors: as drawn, ours and builtins at once, and one sentence each."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest

from shroff import errors
from shroff.errors import ShroffError, did_you_mean

OURS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ShroffError)
]


def _drawn() -> dict[str, tuple[str | None, str | None]]:
    """Each class in the module's drawing: its parent there, and the builtin behind it."""
    drawn: dict[str, tuple[str | None, str | None]] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        builtin = re.search(r"\((\w+)\)$", line)
        parents = [*parents[:depth], found[2]]
        drawn[found[2]] = (parents[depth - 1] if depth else None, builtin[1] if builtin else None)
    return drawn


def test_the_drawing_names_every_class() -> None:
    assert set(_drawn()) == {kind.__name__ for kind in OURS}


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_class_is_where_the_drawing_has_it(kind: type[ShroffError]) -> None:
    parent, builtin = _drawn()[kind.__name__]
    if parent is not None:
        assert kind.__bases__[0].__name__ == parent
    if builtin is not None:
        assert issubclass(kind, getattr(builtins, builtin))


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_a_sentence_is_shown_as_it_was_written(kind: type[ShroffError]) -> None:
    assert str(kind("expected `amount`, got none")) == "expected `amount`, got none"
    assert (kind.__doc__ or "").strip()


def test_the_closest_name_is_suggested() -> None:
    assert did_you_mean("card_di", ["account_id", "card_id"]) == ": did you mean `card_id`?"
    assert did_you_mean("card_id", []) == ""
    assert did_you_mean("xyz", (name for name in ["card_id"])) == ""
