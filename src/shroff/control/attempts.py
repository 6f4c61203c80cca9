"""How often somebody may try to sign in: a bucket of attempts for each name and each address."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Float, String, Table, select

from shroff.clock import Clock, system_time
from shroff.control.database import METADATA, Control, in_turn
from shroff.control.users import folded_name

_ATTEMPTS: Final = Table(
    "shroff_sign_in_attempt",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("left", Float, nullable=False),
    Column("at", BigInteger, nullable=False),
)
_DAY_US: Final = 86_400_000_000


class _Limit(NamedTuple):
    most: int
    each_us: int


_TOGETHER: Final = _Limit(5, 60_000_000)
"""Of a name from an address: five attempts, then one a minute."""
_ADDRESS: Final = _Limit(30, 20_000_000)
_NAME: Final = _Limit(50, 10_000_000)
"""Of a name from anywhere: wide, since somebody else can use it up."""


class Attempts:
    """The attempts to sign in that a control database knows; names and addresses as hashes.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def take(self, name: str, address: str) -> int:
        """Take an attempt before a password is looked at; the seconds to wait where there is none
        left, else 0.
        """
        limits = _limits(name, address)
        with self._control.transaction("count an attempt to sign in") as connection:
            # counted before, in turn: attempts sent together are not judged together
            in_turn(connection)
            now = self._clock()
            left = {digest: _left(connection, digest, one, now) for digest, one in limits.items()}
            waits = [
                (1 - left[digest]) * one.each_us
                for digest, one in limits.items()
                if left[digest] < 1
            ]
            if waits:
                return max(1, round(max(waits) / 1_000_000))
            connection.execute(_ATTEMPTS.delete().where(_ATTEMPTS.c.at < now - _DAY_US))
            for digest in limits:
                connection.execute(_ATTEMPTS.delete().where(_ATTEMPTS.c.digest == digest))
                values = {"digest": digest, "left": left[digest] - 1, "at": now}
                connection.execute(_ATTEMPTS.insert(), values)
        return 0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failed attempts of a name from an address."""
        digests = list(_limits(name, address))
        with self._control.transaction("forget attempts to sign in") as connection:
            connection.execute(_ATTEMPTS.delete().where(_ATTEMPTS.c.digest == digests[0]))


def _limits(name: str, address: str) -> dict[str, _Limit]:
    # as users are found: other letters that mean the same are no further attempts
    folded, address = folded_name(name), _network(address)
    return {
        _digest("together", folded, address): _TOGETHER,
        _digest("address", address): _ADDRESS,
        _digest("name", folded): _NAME,
    }


def _network(address: str) -> str:
    """Of IPv6 the network that one customer of a provider has; any other address as it is.

    >>> _network("2001:db8:0:1::7"), _network("::ffff:192.0.2.7"), _network("192.0.2.7")
    ('2001:db8:0:1::/64', '192.0.2.7', '192.0.2.7')
    """
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))


def _left(connection: Connection, digest: str, limit: _Limit, now: int) -> float:
    row = connection.execute(select(_ATTEMPTS).where(_ATTEMPTS.c.digest == digest)).one_or_none()
    if row is None:
        return float(limit.most)
    return float(min(limit.most, row.left + max(0, now - row.at) / limit.each_us))


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
