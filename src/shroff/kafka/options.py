"""How Kafka is reached: the setting SHROFF_KAFKA as options of librdkafka."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from shroff.errors import ConfigurationError

SERVERS: Final = "bootstrap.servers"
OURS: Final = (
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
)
"""Options on which it depends that nothing is lost: nobody else sets them."""
_ADDRESSES: Final = re.compile(r"[^\s,/\\]+:\d+(,[^\s,/\\]+:\d+)*")


def client_options(setting: str) -> dict[str, str]:
    """The librdkafka options that a setting means: servers themselves, or a file with an option a
    line.

    Lines that start with `#` are comments.

    >>> client_options("kafka1:9092,kafka2:9092")
    {'bootstrap.servers': 'kafka1:9092,kafka2:9092'}

    Raises:
        ConfigurationError: it is neither, or an option is wrong here; values are never repeated.
    """
    if _ADDRESSES.fullmatch(setting):
        return {SERVERS: setting}
    try:
        text = Path(setting).read_text("utf-8")
    except (OSError, ValueError):
        raise ConfigurationError(
            "expected servers, `host:port,host:port`, or a readable file of options in "
            "SHROFF_KAFKA, got neither."
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    options = dict(_option(line, setting) for line in lines if line and not line.startswith("#"))
    if SERVERS not in options:
        raise ConfigurationError(f"expected the option `{SERVERS}` in {setting}, got none.")
    for name in OURS:
        if name in options:
            raise ConfigurationError(
                f"option `{name}` in {setting} is not to be set: Shroff sets it. Remove it."
            )
    return options


def _option(line: str, file: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise ConfigurationError(
            f"expected `option=value` in each line of {file}, got a line without `=`."
        )
    return name.strip(), value.strip()
