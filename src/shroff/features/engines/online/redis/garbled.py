"""Keys in Redis with foreign contents, or removed: the state is dropped, and filled anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hashlib import sha1
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from shroff.errors import ShroffError, StateGarbled

Words = ParamSpec("Words")
Reply = TypeVar("Reply")


class Droppable(Protocol):
    """A state that can be dropped."""

    def drop_garbled(self) -> None:
        """Drop it."""


Engine = TypeVar("Engine", bound=Droppable)


def drop_if_garbled(
    method: Callable[Concatenate[Engine, Words], Reply],
) -> Callable[Concatenate[Engine, Words], Reply]:
    """Let a method drop the state if a key holds what no process of ours has written, or is gone.

    A key may hold anything by mistake, and reading it may raise any error. A script may have run in
    part before it met such a key, so the whole state is filled anew.
    """

    @wraps(method)
    def checked(engine: Engine, /, *words: Words.args, **named: Words.kwargs) -> Reply:
        try:
            return method(engine, *words, **named)
        except Exception as error:
            if isinstance(error, ShroffError) and not isinstance(error, StateGarbled):
                raise
            engine.drop_garbled()
            raise StateGarbled(
                "a key of the state held what no process of this service has put there, or lacked "
                "what one has: the state was dropped, and is filled anew from history and ledger."
            ) from None

    return checked


def checksum(epoch: bytes, mark: bytes) -> bytes:
    """The checksum that the head of a state holds beside its epoch and mark.

    >>> checksum(b"a1b2c3d4", b"7").decode()
    'c17dbf7b4b121b3702bbbb8c403c86d9edc69a93'
    """
    return sha1(epoch + b" " + mark, usedforsecurity=False).hexdigest().encode()
