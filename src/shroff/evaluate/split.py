"""Splits of payments into a training and a test part.

At random, stratified by label, or in time as in production: training days, a delay in which their
labels arrive, then test days. With `known_cards="drop"` the protocol is
that of Le Borgne et al., *Reproducible Machine Learning for Credit Card Fraud Detection* (2022),
chapters 3 and 5: cards already known to be compromised are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from shroff.arrays import Array, Bools, Ints, Times
from shroff.errors import ConfigurationError, DataError, UnsuitableSplit, did_you_mean
from shroff.evaluate.checking import check_labels, check_length, rank_codes
from shroff.evaluate.parts import Split

KnownCards: TypeAlias = Literal["keep", "drop"]
"""Whether test payments of cards with an earlier known fraud are kept or dropped."""

EarlyLabels: TypeAlias = Literal["drop", "learn"]
"""Whether payments of the delay whose label was known before the test days are learned from."""

_KNOWN_CARDS_OPTIONS = ("keep", "drop")
_EARLY_LABELS_OPTIONS = ("drop", "learn")


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """A random split, stratified by label.

    `test` is the share of the test part, in (0, 1); `seed` fixes the draw. Each part gets at least
    one fraud and one genuine payment. The detector learns from the future, which flatters its
    figures: prefer `TemporalSplit` to predict them.

    >>> split = RandomSplit(test=0.5, seed=1).rows(np.array([0, 0, 0, 0, 1, 1]))
    >>> len(split.train), len(split.test)
    (3, 3)
    """

    test: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.test < 1:
            raise ConfigurationError(
                f"expected a share of test payments between 0 and 1, got {self.test}"
            )
        if self.seed < 0:
            raise ConfigurationError(f"expected a seed of 0 or more, got {self.seed}")

    def __str__(self) -> str:
        test = Decimal(str(self.test)) * 100
        seed = f",seed={self.seed}" if self.seed else ""
        return f"random:{_format_number(100 - test)}/{_format_number(test)}{seed}"

    def rows(self, y: Array) -> Split:
        """Split the payments labelled `y` [n], 0 or 1.

        Raises `UnsuitableSplit` with fewer than two frauds or two genuine payments.
        """
        fraud = check_labels(y)
        generator = np.random.default_rng(self.seed)
        test = np.zeros(fraud.size, dtype=np.bool_)
        for name, members in (
            ("genuine", np.flatnonzero(~fraud)),
            ("fraudulent", np.flatnonzero(fraud)),
        ):
            if members.size < 2:
                raise UnsuitableSplit(
                    f"expected at least two {name} payments, one for each part of {self},"
                    f" got {members.size} among {fraud.size}"
                )
            share = min(max(round(members.size * self.test), 1), members.size - 1)
            test[generator.permutation(members)[:share]] = True
        return Split(train=np.flatnonzero(~test), test=np.flatnonzero(test))


@dataclass(frozen=True, slots=True)
class TemporalSplit:
    """Training days, a delay in which their labels arrive, and test days.

    Days are calendar days in `zone`. Training takes the `train_days` from `start`, the test takes
    the `test_days` that follow the `delay_days` after those. `known_cards="drop"` leaves cards with
    an earlier known fraud out of the test, as the handbook's protocol does; by default every
    payment is judged. With `folds`, the test part is also judged in so many `successive` stretches.
    `early_labels="learn"` also learns from payments of the delay whose label arrived before the
    test, such as those that an investigator checked.

    >>> split = TemporalSplit(date(2018, 7, 25), train_days=1, delay_days=1, test_days=1)
    >>> day = ["2018-07-25", "2018-07-25", "2018-07-26", "2018-07-27", "2018-07-27"]
    >>> split.rows(np.array(day, "datetime64[us]"), np.array([0, 1, 1, 0, 1])).test.tolist()
    [3, 4]
    """

    start: date
    train_days: int
    delay_days: int
    test_days: int
    zone: str = "UTC"
    known_cards: KnownCards = "keep"
    folds: int = 0
    early_labels: EarlyLabels = "drop"

    def __post_init__(self) -> None:
        _check_option("known_cards", self.known_cards, _KNOWN_CARDS_OPTIONS)
        _check_option("early_labels", self.early_labels, _EARLY_LABELS_OPTIONS)
        _check_folds(self.folds, self.test_days)
        if self.train_days < 1 or self.test_days < 1 or self.delay_days < 0:
            raise ConfigurationError(
                "expected at least one training day, no negative delay and at least one test day, "
                f"got {self.train_days}, {self.delay_days} and {self.test_days}"
            )
        try:
            self._day(self._days)
        except OverflowError:
            raise ConfigurationError(
                f"expected days before the year 10000, {self} ends later"
            ) from None
        try:
            ZoneInfo(self.zone)
        except (
            ZoneInfoNotFoundError,
            ValueError,
            OSError,
        ):  # OSError: a folder of zones, such as `Europe`
            hint = did_you_mean(self.zone, available_timezones())
            raise ConfigurationError(f"unknown time zone `{self.zone}`{hint}") from None

    def __str__(self) -> str:
        zone = "" if self.zone == "UTC" else f",zone={self.zone}"
        days = f"{self.start.isoformat()}/{self.train_days}/{self.delay_days}/{self.test_days}"
        early = "" if self.early_labels == "drop" else f",early_labels={self.early_labels}"
        options = f"{_format_known_cards(self.known_cards)}{_format_folds(self.folds)}{early}"
        return f"time:{days}{zone}{options}"

    @property
    def successive(self) -> tuple[TemporalSplit, ...]:
        """The stretches of its test days as splits, earliest first, each with as many training days
        and the same delay before it; none without `folds`.

        >>> split = TemporalSplit(date(2018, 7, 25), 7, 7, 28, folds=4)
        >>> [str(one) for one in split.successive][:2]
        ['time:2018-07-25/7/7/7', 'time:2018-08-01/7/7/7']
        """
        ends = [round(self.test_days * fold / max(self.folds, 1)) for fold in range(self.folds + 1)]
        return tuple(
            replace(self, start=self._day(begin), test_days=end - begin, folds=0)
            for begin, end in pairwise(ends)
        )

    def rows(
        self, time: Times, y: Array, card: Array | None = None, labelled: Times | None = None
    ) -> Split:
        """Split the payments made at `time` [n] (datetime64, UTC) and labelled `y` [n], 0 or 1.

        With `known_cards="drop"`, which needs `card` [n], a test day drops every payment of a card
        that had a fraud on a training day, or later but more than `delay_days` before that test
        day. A payment with no card (None) always stays. `early_labels="learn"` needs `labelled`
        [n], when each label arrived (not a time: unknown).

        Raises `UnsuitableSplit` when a part holds no fraud or no genuine payment,
        `ConfigurationError` when known cards are to be dropped without `card`, or early labels
        learned from without `labelled`, `DataError` when the arrays differ in length or a time is
        missing.
        """
        fraud = check_labels(y)
        check_length("time", time, fraud.size)
        if time.dtype.kind != "M":
            raise DataError(f"expected `time` as datetime64 in UTC, got dtype {time.dtype}")
        if np.isnat(time).any():
            raise DataError(
                f"expected a time for every payment, got none in {np.isnat(time).sum()} rows"
            )
        day = np.searchsorted(self._midnights(), time.astype("datetime64[us]"), side="right") - 1
        test_from = self.train_days + self.delay_days
        train = (day >= 0) & (day < self.train_days)
        test = (day >= test_from) & (day < self._days)
        dropped = test & self._known(day, fraud, card)
        test &= ~dropped
        self._check("training", train, fraud, time, first=0, days=self.train_days)
        self._check("test", test, fraud, time, first=test_from, days=self.test_days)
        delay = (day >= self.train_days) & (day < test_from)
        early = delay & self._early(labelled, fraud.size)
        train |= early
        why = {
            "before": day < 0,
            "delay": delay & ~early,
            "after": day >= self._days,
            "known_cards": dropped,
        }
        left_out = {reason: np.flatnonzero(rows) for reason, rows in why.items() if rows.any()}
        return Split(train=np.flatnonzero(train), test=np.flatnonzero(test), left_out=left_out)

    @property
    def train_until(self) -> int:
        """The end of the training days, before the delay, microseconds since the epoch."""
        return int(self._midnights()[self.train_days].astype(np.int64))

    @property
    def test_from(self) -> int:
        """The first moment of the test, microseconds since the epoch."""
        return int(self._midnights()[self.train_days + self.delay_days].astype(np.int64))

    @property
    def _days(self) -> int:
        return self.train_days + self.delay_days + self.test_days

    def _day(self, number: int) -> date:
        return self.start + timedelta(days=number)

    def _midnights(self) -> Times:
        # each midnight is computed, because a day on which clocks change has 23 or 25 hours
        zone = ZoneInfo(self.zone)
        days = (self._day(number) for number in range(self._days + 1))
        seconds = [
            int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) for day in days
        ]
        return np.array(seconds, dtype="datetime64[s]").astype("datetime64[us]")

    def _early(self, labelled: Times | None, size: int) -> Bools:
        """Payments whose label arrived before the test; none if `early_labels="drop"`."""
        if self.early_labels == "drop":
            return np.zeros(size, dtype=np.bool_)
        if labelled is None:
            raise ConfigurationError(
                f"expected the arrival of each label for {self}, got none: set "
                "Schema(labelled_at=…)"
            )
        check_length("labelled", labelled, size)
        # no time compares as false
        return labelled.astype("datetime64[us]") < np.datetime64(self.test_from, "us")

    def _known(self, day: Ints, fraud: Bools, card: Array | None) -> Bools:
        """Payments of cards whose fraud was known by that day; none if `known_cards="keep"`."""
        known = np.zeros(fraud.size, dtype=np.bool_)
        if self.known_cards == "keep":
            return known
        if card is None:
            raise ConfigurationError(
                f"expected a card of each payment for {self}, got none: set Project(card=…)"
            )
        check_length("card", card, fraud.size)
        near = np.flatnonzero((day >= 0) & (day < self._days))
        code = rank_codes(card[near])
        never = self._days
        first_fraud = np.full(int(code.max(initial=-1)) + 2, never)
        np.minimum.at(first_fraud, code[fraud[near]], day[near][fraud[near]])
        first_fraud[-1] = never  # code -1, a missing card, reads this one
        known[near] = first_fraud[code] < day[near] - self.delay_days
        return known

    def _check(
        self, part: str, rows: Bools, fraud: Bools, time: Times, *, first: int, days: int
    ) -> None:
        missing = [
            name
            for name, kind in (("fraud", fraud), ("genuine payment", ~fraud))
            if not (rows & kind).any()
        ]
        if not missing:
            return
        covered = (
            f"covers {_format_date(time.min())} to {_format_date(time.max())}"
            if time.size
            else "is empty"
        )
        raise UnsuitableSplit(
            f"expected frauds and genuine payments in the {part} days {self._day(first)} to"
            f" {self._day(first + days - 1)} of {self}, got no {' and no '.join(missing)};"
            f" the data {covered} (UTC)"
        )


@dataclass(frozen=True, slots=True)
class LatestSplit:
    """The latest days as the test part, the days before as the training part, the label delay
    between them.

    `test` is the share of test days, in (0, 1). `over` turns it into a `TemporalSplit` of the days
    in the data.

    >>> days = np.array(["2024-01-01", "2024-04-09"], "datetime64[us]")
    >>> str(LatestSplit(test=0.3).over(days))
    'time:2024-01-01/63/7/30'
    """

    test: float = 0.3
    delay_days: int = 7
    known_cards: KnownCards = "keep"
    folds: int = 0

    def __post_init__(self) -> None:
        _check_option("known_cards", self.known_cards, _KNOWN_CARDS_OPTIONS)
        _check_folds(self.folds)
        if not 0 < self.test < 1 or self.delay_days < 0:
            raise ConfigurationError(
                "expected a share of test days between 0 and 1 and no negative delay, got"
                f" {self.test} and {self.delay_days}"
            )

    def __str__(self) -> str:
        test = Decimal(str(self.test)) * 100
        delay = f",delay={self.delay_days}" if self.delay_days != type(self)().delay_days else ""
        options = f"{delay}{_format_known_cards(self.known_cards)}{_format_folds(self.folds)}"
        return f"time:{_format_number(100 - test)}/{_format_number(test)}{options}"

    def over(self, time: Times) -> TemporalSplit:
        """The split of payments made at `time` [n]; raises `UnsuitableSplit` for too few days."""
        if not time.size:
            raise UnsuitableSplit(f"expected payments to split by {self}, got none")
        first, last = time.min().astype("datetime64[D]"), time.max().astype("datetime64[D]")
        days = int((last - first).astype(int)) + 1
        test_days = max(round(days * self.test), 1)
        train_days = days - test_days - self.delay_days
        if train_days < 1:
            raise UnsuitableSplit(
                f"expected more than {test_days + self.delay_days} days of payments to split by "
                f"{self}, got {days}"
            )
        days_of = (first.astype(object), train_days, self.delay_days, test_days)
        return TemporalSplit(*days_of, known_cards=self.known_cards, folds=self.folds)


AnySplit: TypeAlias = RandomSplit | LatestSplit | TemporalSplit
"""Any definition of a split; `shroff.evaluate.parse_split` reads one from its text."""


def _check_option(name: str, value: str, options: tuple[str, str]) -> None:
    if value not in options:
        one, other = options
        raise ConfigurationError(
            f'expected {name}="{one}" or {name}="{other}", got `{value}`'
            f"{did_you_mean(value, options)}"
        )


def _format_known_cards(known_cards: KnownCards) -> str:
    return "" if known_cards == "keep" else f",known_cards={known_cards}"


def _check_folds(folds: int, days: int | None = None) -> None:
    if folds < 0 or folds == 1:
        raise ConfigurationError(f"expected 2 or more folds, or 0 for none, got {folds}")
    if days is not None and folds > days:
        raise ConfigurationError(
            f"expected at least one test day for each of {folds} folds, got {days}"
        )


def _format_folds(folds: int) -> str:
    return f",folds={folds}" if folds else ""


def _format_number(number: Decimal) -> str:
    return format(number.normalize(), "f")


def _format_date(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[D]"))
