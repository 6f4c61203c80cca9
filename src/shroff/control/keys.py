"""API keys: made and shown once, stored as a hash.

A key is `shroff_ID_SECRET`: an id to find it by, and a secret of 256 random bits, of which only the
SHA-256 is stored. A slow hash protects guessable passwords; 256 random bits cannot be guessed.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, get_args

from sqlalchemy import BigInteger, Column, Float, LargeBinary, String, Table, select

from shroff.clock import Clock, system_time
from shroff.collect.cards import require_no_card_number
from shroff.collect.values import require_readable
from shroff.control.access_history import ACCESS_LOCK, NOBODY, AccessChange, keep_access
from shroff.control.database import METADATA, Control, in_turn
from shroff.errors import ConfigurationError, NotFound

Scope = Literal["decide", "label", "read", "review", "forget", "admin"]
"""What a key allows: to send payments, to send results and labels, to read, to work on cases, to
forget people, to administer.
"""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_PREFIX: Final = "shroff_"
_KEY_TABLE = Table(
    "shroff_api_key",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("scopes", String(100), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("rate", Float),
    Column("source", String(200)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A stored key; times in microseconds since the epoch, `rate` in requests a second (None:
    unlimited), where each payment of a batch or table counts as one.

    `source` is recorded with labels sent by this key; None stands for its name.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created: int
    expires: int | None = None
    revoked: int | None = None
    rate: float | None = None
    source: str | None = None

    @property
    def label_source(self) -> str:
        """The source of the labels sent by this key.

        >>> ApiKey(id="a", name="shop", scopes=frozenset(), digest=b"", created=0).label_source
        'shop'
        """
        return self.source or self.name

    def state(self, now: int) -> Literal["valid", "expired", "revoked"]:
        """Whether the key is valid, expired or revoked.

        >>> ApiKey(id="a", name="shop", scopes=frozenset(), digest=b"", created=0, expires=5).state(
        ...     5
        ... )
        'expired'
        """
        if self.revoked is not None:
            return "revoked"
        return "valid" if self.expires is None or now < self.expires else "expired"


class Keys:
    """The keys in a control database.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     keys = Keys(f"sqlite:///{folder}/control.db")
    ...     token = keys.create("shop", ["decide"])
    ...     identifier, _ = split_token(token)
    ...     [(key.name, key.id == identifier, key.digest == digest(token)) for key in keys.all()]
    [('shop', True, True)]
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        lifetime: int | None = None,
        rate: float | None = None,
        source: str | None = None,
        by: str = NOBODY,
    ) -> str:
        """Make a key and return it, the only time that it is shown.

        Args:
            lifetime: microseconds until it expires.
            rate: the most requests a second, and the size of a burst; each payment of a batch or a
                table counts as one.
            source: recorded with labels sent by this key, such as `chargeback`; by default its
                name.
            by: who makes it, for the history.

        Raises:
            ConfigurationError: no name, no scope, no name of a source, one that holds a card number
                or shows otherwise than it reads, or a rate or lifetime that is not above 0.
            ControlUnavailable: the database does not answer.
        """
        _require_named(name, source)
        if not scopes or not set(scopes) <= set(SCOPES):
            got = ", ".join(map(str, scopes)) or "none"
            raise ConfigurationError(
                f"expected one or more scopes of {', '.join(SCOPES)} for the key, got {got}."
            )
        if (rate is not None and not rate > 0) or (lifetime is not None and lifetime <= 0):
            raise ConfigurationError("expected a rate and a lifetime above 0 for the key.")
        now, identifier = self._clock(), secrets.token_hex(6)
        granted = [scope for scope in SCOPES if scope in scopes]
        token = f"{_PREFIX}{identifier}_{secrets.token_urlsafe(32)}"
        row = {
            "id": identifier,
            "name": name,
            "scopes": ",".join(granted),
            "digest": digest(token),
            "created": now,
            "expires": None if lifetime is None else now + lifetime,
            "rate": rate,
            "source": source,
        }
        with self._control.transaction("keep a new API key") as connection:
            in_turn(connection, ACCESS_LOCK)
            connection.execute(_KEY_TABLE.insert(), row)
            what_for = f"{name}: {', '.join(granted)}"
            keep_access(
                connection,
                AccessChange(at=now, by=by, what="key made", of=identifier, detail=what_for),
            )
        return token

    def revoke(self, identifier: str, *, by: str = NOBODY) -> None:
        """Revoke a key for good; running services notice within seconds.

        Raises:
            NotFound: there is no key with this id.
        """
        change = _KEY_TABLE.update().where(
            _KEY_TABLE.c.id == identifier, _KEY_TABLE.c.revoked.is_(None)
        )
        with self._control.transaction("revoke an API key") as connection:
            in_turn(connection, ACCESS_LOCK)
            now = self._clock()
            changed = connection.execute(change.values(revoked=now)).rowcount
            names = select(_KEY_TABLE.c.name).where(_KEY_TABLE.c.id == identifier)
            name = connection.scalar(names)
            if changed:
                keep_access(
                    connection,
                    AccessChange(
                        at=now, by=by, what="key revoked", of=identifier, detail=str(name)
                    ),
                )
        if name is None:
            raise NotFound(
                "there is no API key with this id; `shroff keys list` shows those there are."
            )

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, oldest first."""
        with self._control.transaction("read the API keys") as connection:
            rows = (
                connection.execute(select(_KEY_TABLE).order_by(_KEY_TABLE.c.created))
                .mappings()
                .all()
            )
        return [ApiKey(**{**row, "scopes": frozenset(row["scopes"].split(","))}) for row in rows]


def split_token(token: str) -> tuple[str, str]:
    """The id and the secret of a key; two empty texts if the token has another form.

    >>> split_token("shroff_0a1b_s3_cret"), split_token("hunter2")
    (('0a1b', 's3_cret'), ('', ''))
    """
    identifier, _, secret = token.removeprefix(_PREFIX).partition("_")
    return (identifier, secret) if token.startswith(_PREFIX) and secret else ("", "")


def digest(token: str) -> bytes:
    """The stored form of a key: the SHA-256 of its secret."""
    return sha256(split_token(token)[1].encode()).digest()


def _require_named(name: str, source: str | None) -> None:
    """Raise `ConfigurationError` for a name of a key, or of a source of labels, that is none."""
    if not 0 < len(name) <= 200:
        raise ConfigurationError(
            f"expected a name of 1 to 200 characters for the key, got {len(name)}."
        )
    if source is not None and not 0 < len(source) <= 200:
        raise ConfigurationError(
            f"expected a source of labels of 1 to 200 characters, got {len(source)}."
        )
    for text, what in ((name, "a name of a key"), (source or name, "a source of labels")):
        require_no_card_number(text, what)
        require_readable(text, what)
