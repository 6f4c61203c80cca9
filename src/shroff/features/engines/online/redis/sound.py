"""What is not ours in Redis: whatever reading it gives rise to, the state is dropped, to be filled
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hashlib import sha1
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from shroff.errors import ShroffError, StateGarbled

Words = ParamSpec("Words")
Reply = TypeVar("Reply")


class Ruinable(Protocol):
    """A state that can be dropped."""

    def ruin(self) -> None:
        """Drop it."""


Engine = TypeVar("Engine", bound=Ruinable)


def sound(
    method: Callable[Concatenate[Engine, Words], Reply],
) -> Callable[Concatenate[Engine, Words], Reply]:
    """Let a method drop the state where that holds what no process of ours has put there.

    A key may hold anything by mistake, and reading it may raise any error. What a script did before
    it met such a key nobody knows, so the whole state is filled anew.
    """

    @wraps(method)
    def checked(engine: Engine, /, *words: Words.args, **named: Words.kwargs) -> Reply:
        try:
            return method(engine, *words, **named)
        except Exception as error:
            if isinstance(error, ShroffError) and not isinstance(error, StateGarbled):
                raise
            engine.ruin()
            raise StateGarbled(
                "a key of the state held what no process of this service has put there: the state "
                "was dropped, and is filled anew from history and ledger."
            ) from None

    return checked


def checksum(epoch: bytes, mark: bytes) -> bytes:
    """What the head of a state holds beside its epoch and mark.

    >>> checksum(b"a1b2c3d4", b"7").decode()
    'c17dbf7b4b121b3702bbbb8c403c86d9edc69a93'
    """
    return sha1(epoch + b" " + mark, usedforsecurity=False).hexdigest().encode()
