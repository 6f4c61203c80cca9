"""Which queue takes a case: SQL conditions over what a case comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from shroff.act.case import CaseQueue
from shroff.collect.payment import Value
from shroff.collect.values import require_readable
from shroff.errors import BadFile, ConfigurationError, one_line
from shroff.expression import Kind, parse
from shroff.plain import read_plain

KINDS: Final[Mapping[str, Kind]] = {
    "amount": "number",
    "expected_loss": "number",
    "probability": "number",
    "payments": "number",
    "action": "text",
}
"""What conditions of queues may read."""
Chooser = Callable[[Mapping[str, Value]], CaseQueue]
"""From what a case comes to, to the queue that takes it."""
MAX_SLA_MINUTES: Final = 5_256_000
"""Ten years."""
MAX_MINUTES: Final = 10_000
_MAX_QUEUES: Final = 100
_MAX_FILE_BYTES: Final = 1_000_000


def read_queues(file: Path) -> list[CaseQueue]:
    """The queues in a JSON file: a list of objects with the fields of `CaseQueue`.

    Raises:
        BadFile: it cannot be read, or is no such JSON.
    """
    try:
        return msgspec.json.decode(
            read_plain(file, _MAX_FILE_BYTES, follow=True), type=list[CaseQueue]
        )
    except FileNotFoundError:
        raise BadFile(f"{file}: there is no such file.") from None
    except msgspec.MsgspecError as error:
        raise BadFile(f"{file}: expected a JSON list of queues: {one_line(error)}.") from None


def check_queues(queues: Sequence[CaseQueue]) -> None:
    """Raise `ConfigurationError` for queues that cannot be used.

    >>> check_queues([CaseQueue(name="large", condition="amount")])
    Traceback (most recent call last):
    ...
    shroff.errors.ConfigurationError: queue `large`: expected a condition that is true or false.
    """
    names = [one.name for one in queues]
    if len(queues) > _MAX_QUEUES or len(set(names)) < len(names):
        raise ConfigurationError(f"expected at most {_MAX_QUEUES} queues, each name once.")
    for one in queues:
        if not 0 < len(one.name) <= 200:
            raise ConfigurationError("expected a queue with a name of 1 to 200 characters.")
        if not (1 <= one.sla_minutes <= MAX_SLA_MINUTES and 0.01 <= one.minutes <= MAX_MINUTES):
            raise ConfigurationError(
                f"queue `{one.name}`: expected `sla_minutes` of 1 to {MAX_SLA_MINUTES:,} and "
                f"`minutes` of 0.01 to {MAX_MINUTES:,}."
            )
        if not (0 <= one.second_review <= 1 and 0 <= one.hide_reasons <= 1):
            raise ConfigurationError(
                f"queue `{one.name}`: expected shares of 0 to 1 as `second_review` and "
                "`hide_reasons`."
            )
        require_readable(one.name, "a queue's name")
        if one.condition and parse(one.condition, KINDS).kind != "boolean":
            raise ConfigurationError(
                f"queue `{one.name}`: expected a condition that is true or false."
            )


@lru_cache(maxsize=16)
def chooser(queues: tuple[CaseQueue, ...]) -> Chooser:
    """Makes the function from what a case comes to, to the first queue that takes it; conditions
    are parsed once.

    >>> choose = chooser(
    ...     (CaseQueue(name="large", condition="amount > 500"), CaseQueue(name="rest"))
    ... )
    >>> choose({"amount": 600.0}).name, choose({"amount": 5.0}).name
    ('large', 'rest')
    """
    taken: list[tuple[Callable[[Mapping[str, Value]], Value], CaseQueue]] = [
        (parse(one.condition, KINDS).closure() if one.condition else lambda case: True, one)
        for one in queues
    ]

    def choose(case: Mapping[str, Value]) -> CaseQueue:
        return next((queue for holds, queue in taken if holds(case) is True), queues[-1])

    return choose
