"""How Kafka is reached: the setting SHROFF_KAFKA as options of librdkafka."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from shroff.errors import ConfigurationError

SERVERS_OPTION: Final = "bootstrap.servers"
RESERVED_OPTIONS: Final = (
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
)
"""Options that delivery guarantees depend on: only Shroff sets them."""
_ADDRESSES: Final = re.compile(r"[^\s,/\\]+:\d+(,[^\s,/\\]+:\d+)*")


def client_options(setting: str) -> dict[str, str]:
    """The librdkafka options of a setting: addresses of servers, or a file of options.

    A file has one option a line; lines that start with `#` are comments.

    >>> client_options("kafka1:9092,kafka2:9092")
    {'bootstrap.servers': 'kafka1:9092,kafka2:9092'}

    Raises:
        ConfigurationError: it is neither, or an option is wrong here; values are never repeated.
    """
    if _ADDRESSES.fullmatch(setting):
        return {SERVERS_OPTION: setting}
    try:
        text = Path(setting).read_text("utf-8")
    except (OSError, ValueError):
        raise ConfigurationError(
            "expected servers, `host:port,host:port`, or a readable file of options in "
            "SHROFF_KAFKA, got neither."
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    options = dict(_option(line, setting) for line in lines if line and not line.startswith("#"))
    if SERVERS_OPTION not in options:
        raise ConfigurationError(f"expected the option `{SERVERS_OPTION}` in {setting}, got none.")
    for name in RESERVED_OPTIONS:
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
