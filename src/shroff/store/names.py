"""Names, parts and moments as people write them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from shroff.errors import ConfigurationError


def split_name(text: str) -> tuple[str, int | None]:
    """A name and a version from `limits@2`; without `@` no version.

    >>> split_name("limits@2"), split_name("limits")
    (('limits', 2), ('limits', None))
    """
    name, at, version = text.partition("@")
    if not at:
        return name, None
    if not version.isdecimal():
        raise ConfigurationError(
            "expected NAME or NAME@VERSION with a whole number, such as limits@2."
        )
    return name, int(version)


def split_parts(text: str) -> dict[str, float]:
    """Parts and their shares from `train=70,test=30`.

    >>> split_parts("train=70,test=30")
    {'train': 70.0, 'test': 30.0}
    """
    parts: dict[str, float] = {}
    for one in text.split(","):
        name, equals, share = one.partition("=")
        if not (equals and name and name not in parts and share.replace(".", "", 1).isdecimal()):
            raise ConfigurationError("expected parts and their shares, such as train=70,test=30.")
        parts[name] = float(share)
    return parts


def moment(text: str) -> datetime:
    """A day or a time, in UTC where it names no zone.

    >>> moment("2024-05-04").isoformat(), moment("2024-05-04T12:00+02:00").isoformat()
    ('2024-05-04T00:00:00+00:00', '2024-05-04T12:00:00+02:00')
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            "expected a day such as 2024-05-04, or a time such as 2024-05-04T12:00."
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
