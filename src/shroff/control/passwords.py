"""Passwords: kept as Argon2id (RFC 9106, its second recommended choice: 64 MiB, three passes)."""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from threading import Lock
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from shroff.errors import ConfigurationError

SHORTEST: Final = 12
_LONGEST: Final = 256
# one at a time: OpenSSL has four threads for all of a process, and two derivations that hold two
# each wait for the others for ever
_ONE: Final = Lock()


def hash_password(password: str) -> str:
    """A password as it is stored: the text of PHC, with a salt of its own.

    Raises:
        ConfigurationError: it has fewer than 12 characters, or more than 256.

    >>> hash_password("correct horse battery")[:26]
    '$argon2id$v=19$m=65536,t=3'
    """
    if not SHORTEST <= len(password) <= _LONGEST:
        raise ConfigurationError(
            f"expected a password of {SHORTEST} to {_LONGEST} characters, got {len(password)}."
        )
    with _ONE:
        kdf = Argon2id(salt=os.urandom(16), length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
        return kdf.derive_phc_encoded(_bytes(password))


def password_fits(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one; without a stored one no, after the same time.

    >>> password_fits("correct horse battery", None)
    False
    """
    if len(password) > _LONGEST:
        # no password is so long, whoever's
        password = ""
    with _ONE:
        try:
            Argon2id.verify_phc_encoded(_bytes(password), stored or _nobodys())
        except InvalidKey:
            return False
    return stored is not None


@cache
def _nobodys() -> str:
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
    return kdf.derive_phc_encoded(os.urandom(32))


def _bytes(password: str) -> bytes:
    # the same letters, however a keyboard composes them
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
