"""A punctured key cannot be derived from what is left; every other is as it was."""

from __future__ import annotations

from hashlib import sha256
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from shroff.ledger.puncturable import TAG_BYTES, PuncturableKeys

# tags that share long beginnings, and tags that share none
TAGS = st.one_of(
    st.binary(min_size=TAG_BYTES, max_size=TAG_BYTES),
    st.integers(0, 600).map(lambda number: number.to_bytes(TAG_BYTES)),
)


def way(root: bytes, tag: bytes) -> list[bytes]:
    """The oracle: the nodes from the root to a tag's leaf, digit by digit."""
    below = lambda node, digit: sha256(node + digit.encode()).digest()  # noqa: E731  # a formula
    return list(accumulate(tag.hex(), below, initial=root))


@given(gone=st.lists(TAGS, max_size=6), others=st.lists(TAGS, max_size=6))
def test_exactly_the_punctured_keys_are_gone(gone: list[bytes], others: list[bytes]) -> None:
    keys = PuncturableKeys.random()
    root = keys.nodes[""]
    for tag in gone[:2]:
        keys = keys.punctured(tag)
    keys = keys.punctured(*gone[2:])
    for tag in [*gone, *others]:
        assert keys.key(tag) == (None if tag in gone else way(root, tag)[-1])
    # nothing that is kept lies on the way to a punctured leaf, and hashes cannot be undone: so no
    # derivation from any node, however far, ends in its key. Nor does one that takes a node for
    # what it is not: hashes have no collisions, so only nodes of the way lead to the leaf by the
    # rest of the tag's digits
    for tag in gone:
        places = {tag.hex()[:depth] for depth in range(2 * TAG_BYTES + 1)}
        assert not places & keys.nodes.keys()
        assert not {*way(root, tag)} & {*keys.nodes.values()}
    # what is kept covers every other tag exactly once: no place is below another
    kept = sorted(keys.nodes)
    assert not any(later.startswith(one) for one, later in pairwise(kept))
    leaves = sum(16 ** (2 * TAG_BYTES - len(place)) for place in kept)
    assert leaves == 16 ** (2 * TAG_BYTES) - len(set(gone))
