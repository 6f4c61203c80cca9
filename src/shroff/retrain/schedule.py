"""The days that a model retrained now learns from and is judged on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from shroff.collect.times import DAY_US
from shroff.errors import UnsuitableSplit
from shroff.evaluate import TemporalSplit

_MIN_TRAINING_DAYS: Final = 7


class RetrainingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a retraining is made by, apart from the project's definitions.

    Attributes:
        delay_days: in which labels come in: after it a payment without one is genuine.
        test_days: the latest days of mature labels, which judge the candidate and which it does not
            learn from.
        train_days: days to learn from; None: all that there are.
        feedback: sources of labels that are investigators.
        repeats: how often detectors learn from a payment that they labelled.
        accept: names of the doctor's checks whose failures are accepted.
    """

    delay_days: int
    test_days: int = 14
    train_days: int | None = None
    feedback: tuple[str, ...] = ("analyst",)
    repeats: int = 1
    accept: tuple[str, ...] = ()

    def mature(self, now: int) -> int:
        """The end of the last whole day (UTC) whose labels have come in, microseconds."""
        return (now - self.delay_days * DAY_US) // DAY_US * DAY_US

    def split(self, first: int, now: int, *, early: bool) -> TemporalSplit:
        """The split of payments from `first` on (µs) that a retraining `now` makes.

        Args:
            early: whether payments of the delay are learned from once they have a label.

        Raises:
            UnsuitableSplit: there are too few days.
        """
        end = self.mature(now) // DAY_US
        stop = end - self.test_days - self.delay_days
        start = first // DAY_US
        if self.train_days is not None:
            start = max(start, stop - self.train_days)
        if stop - start < _MIN_TRAINING_DAYS:
            raise UnsuitableSplit(
                f"expected payments of {_MIN_TRAINING_DAYS} days or more to learn from, before "
                f"{self.delay_days} days of delay and {self.test_days} to be judged on, all "
                f"{self.delay_days} days old, got {max(stop - start, 0)}: wait, pass the log from "
                "before the ledger with --data, or judge on fewer days (--test-days)."
            )
        return TemporalSplit(
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=start)).date(),
            stop - start,
            self.delay_days,
            self.test_days,
            early_labels="learn" if early else "drop",
        )
