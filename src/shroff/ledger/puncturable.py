"""Keys of subjects, derived from one secret, each of which can be destroyed without the others.

A puncturable pseudo-random function: the tree of Goldreich, Goldwasser and Micali, How to Construct
Random Functions, 1986, punctured as in Green and Miers, Forward Secure Asynchronous Messaging from
Puncturable Encryption, 2015. A key is the leaf of its tag in a tree of hashes below a random root.
Puncturing replaces the root by the siblings along the way to that leaf: every other leaf is below
one of them, and this one can be computed from none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

TAG_BYTES: Final = 8
_NODE_BYTES: Final = 32
_DIGITS: Final = "0123456789abcdef"
_TEXTS: Final = {digit: digit.encode() for digit in _DIGITS}
_SHARED_DIGITS: Final = 3
"""Digits of tags whose nodes are remembered: every derivation passes one of those 4,096."""


class PuncturableKeys:
    """The keys of 2⁶⁴ tags.

    Args:
        nodes: what is kept of the tree: each node (32 bytes) by its place, which is the hexadecimal
            digits at the beginning of all tags below it; at first only the root.

    >>> keys = PuncturableKeys.random()
    >>> ada, bob = bytes(8), bytes(7) + b"b"
    >>> without = keys.punctured(ada)
    >>> without.key(ada), without.key(bob) == keys.key(bob), len(without.nodes)
    (None, True, 240)
    """

    def __init__(self, nodes: Mapping[str, bytes]) -> None:
        self.nodes = nodes
        self._shared: dict[str, bytes | None] = {}

    @classmethod
    def random(cls) -> PuncturableKeys:
        """Keys below a new random root."""
        return cls({"": secrets.token_bytes(_NODE_BYTES)})

    def key(self, tag: bytes) -> bytes | None:
        """The key of a tag (32 bytes); None once it was punctured."""
        place = tag.hex()
        above = place[:_SHARED_DIGITS]
        node = self._shared.get(above)
        if node is None:
            node = self._shared[above] = self._node(above)
        return self._node(place) if node is None else _below(node, place[_SHARED_DIGITS:])

    def punctured(self, *tags: bytes) -> PuncturableKeys:
        """The keys of all other tags."""
        nodes = dict(self.nodes)
        for tag in tags:
            _puncture(nodes, tag.hex())
        return PuncturableKeys(nodes)

    def _node(self, place: str) -> bytes | None:
        """The node at a place, if it can be computed from what is kept."""
        found = _kept(self.nodes, place)
        return None if found is None else _below(self.nodes[place[:found]], place[found:])


def _puncture(nodes: dict[str, bytes], place: str) -> None:
    found = _kept(nodes, place)
    if found is None:
        return
    node = nodes.pop(place[:found])
    for depth in range(found, len(place)):
        for digit in _DIGITS:
            if digit != place[depth]:
                nodes[place[:depth] + digit] = _below(node, digit)
        node = _below(node, place[depth])


def _kept(nodes: Mapping[str, bytes], place: str) -> int | None:
    """The length of the place of the kept node at or above a place."""
    return next((end for end in range(len(place) + 1) if place[:end] in nodes), None)


def _below(node: bytes, digits: str) -> bytes:
    for digit in digits:
        node = sha256(node + _TEXTS[digit]).digest()
    return node
