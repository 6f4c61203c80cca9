"""What a bundle says of its training: how cards are told apart, and from when it may be judged."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shroff.collect.times import SECOND_US, parse_time
from shroff.errors import ConfigurationError
from shroff.evaluate import TemporalSplit, parse_split
from shroff.package.bundle import Bundle

_USUAL_DELAY_DAYS: Final = 7


def card_column(bundle: Bundle, card: str | None) -> str:
    """The column that cards are told apart by: the one asked for, or the bundle's own.

    Raises:
        ConfigurationError: there is none.
    """
    found = card or bundle.card_column
    if found is None or found not in bundle.schema.scales:
        raise ConfigurationError(
            "expected a column that cards are told apart by: name one with `--card COLUMN`, or "
            "for good with `Project(card=…)`."
        )
    return found


def _temporal_split(bundle: Bundle) -> TemporalSplit | None:
    split = bundle.metrics.get("split")
    found = parse_split(split) if isinstance(split, str) else None
    return found if isinstance(found, TemporalSplit) else None


def usual_delay(bundle: Bundle) -> int:
    """Days in which labels come in: the delay of the model's split, or 7."""
    split = _temporal_split(bundle)
    return _USUAL_DELAY_DAYS if split is None else split.delay_days


def judged_from(bundle: Bundle) -> int:
    """The first moment that is later than what a model learned from, and the label delay after it.

    Without a split in time it is later than all that the run read, or than the bundle itself.
    """
    split = _temporal_split(bundle)
    if split is not None:
        return split.test_from
    if bundle.history is not None and bundle.history.newest is not None:
        return parse_time(bundle.history.newest, None) + 1
    made = datetime.strptime(bundle.created, "%Y%m%dT%H%M%S%z")
    return int(made.timestamp()) * SECOND_US
