"""What the names of a state's keys begin with."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

_FORMAT_VERSION: Final = 7
"""The version of the keys' contents: a state of another version is left alone, and filled anew
under other keys.
"""

_DIGEST_BYTES: Final = 6
"""Bytes of the digest of what a state depends on."""


def shared_name(space: str) -> bytes:
    """That of all states of a space: one slot of a cluster, as one server must order all events.

    >>> shared_name("shroff")
    b'{shroff}:'
    """
    return f"{{{space}}}:".encode()


def state_name(space: str, definitions: str, lateness: str, edition: str) -> bytes:
    """That of a state; short, since every key has it, and a payment has some.

    >>> state_name("shroff", "4c1f0e", "1d", "")
    b'{shroff}:gwebwINl:'
    """
    parts = definitions, lateness, str(_FORMAT_VERSION), edition
    digest = sha256(" ".join(parts).encode()).digest()[:_DIGEST_BYTES]
    return shared_name(space) + urlsafe_b64encode(digest) + b":"
