"""A punctured key cannot be derived from what is left; every other is as it was."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shroff.ledger.puncturable import TAG_BYTES, PuncturableKeys

# tags that share long beginnings, and tags that share none
TAGS = st.one_of(
    st.binary(min_size=TAG_BYTES, max_size=TAG_BYTES),
    st.integers(0, 600).map(lambda number: number.to_bytes(TAG_BYTES)),
)


def leaf(root: bytes, tag: bytes) -> bytes:
    """The oracle: the way from the root, digit by digit."""
    for digit in tag.hex():
        root = sha256(root + digit.encode()).digest()
    return root


@given(gone=st.lists(TAGS, max_size=6), others=st.lists(TAGS, max_size=6))
def test_exactly_the_punctured_keys_are_gone(gone: list[bytes], others: list[bytes]) -> None:
    keys = PuncturableKeys.random()
    root = keys.nodes[""]
    for tag in gone:
        keys = keys.punctured(tag)
    for tag in [*gone, *others]:
        assert keys.key(tag) == (None if tag in gone else leaf(root, tag))
    # nothing that is kept lies on the way to a punctured leaf, and hashes cannot be undone: so no
    # derivation from any node, however far, ends in its key
    for tag in gone:
        way = {tag.hex()[:depth] for depth in range(2 * TAG_BYTES + 1)}
        assert way & keys.nodes.keys() == set()
        assert leaf(root, tag) not in keys.nodes.values()
        for place, node in keys.nodes.items():
            # even derived the wrong way: as if the node stood for any beginning of this tag
            ends = {_from(node, tag.hex()[depth:]) for depth in range(len(place) + 1)}
            assert leaf(root, tag) not in ends
    # what is kept covers every other tag exactly once: no place is below another
    places = sorted(keys.nodes)
    assert not any(later.startswith(one) for one, later in pairwise(places))
    kept = sum(16 ** (2 * TAG_BYTES - len(place)) for place in places)
    assert kept == 16 ** (2 * TAG_BYTES) - len(set(gone))


def _from(node: bytes, digits: str) -> bytes:
    for digit in digits:
        node = sha256(node + digit.encode()).digest()
    return node
