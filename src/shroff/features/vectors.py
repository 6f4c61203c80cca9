"""Vectors of tokens for features: a payment's vector is the sum of those of its tokens.

Its components are integer columns, named after the vectors and numbered from one, such as
`purchases[1]`. They are in ten-thousandths as amounts are, so every engine sums them exactly, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import msgspec

VectorScale = Literal["component", "vector"]
"""The scale of a component of a payment's vector, and of the vector as a whole."""


@runtime_checkable
class VectorSpace(Protocol):
    """What a definition needs to know of vectors: their name and length."""

    @property
    def name(self) -> str:
        """What they are called."""

    @property
    def dimensions(self) -> int:
        """How many components a vector has."""


class TokenTable(msgspec.Struct, frozen=True, kw_only=True):
    """The vectors of tokens, by column and token; a token that is not here has the vector of zeros.

    Args:
        name: what they are called.
        columns: those of a payment whose tokens have vectors.
        dimensions: the length of a vector.
        vectors: by column and token; None while they are not learned, when definitions can be
            checked but not computed.
        digest: SHA-256 of the file that they were learned into.
        latest: when the last payment that they were learned from happened or arrived, microseconds
            since 1970.
    """

    name: str
    columns: tuple[str, ...]
    dimensions: int
    vectors: Mapping[str, Mapping[str, tuple[int, ...]]] | None = None
    digest: str = ""
    latest: int = 0

    @property
    def components(self) -> tuple[str, ...]:
        """The names of a vector's components."""
        return tuple(component(self.name, at) for at in range(1, self.dimensions + 1))


def component(name: str, at: int) -> str:
    """The name of a component as a column, from 1 on.

    >>> component("purchases", 1)
    'purchases[1]'
    """
    return f"{name}[{at}]"
