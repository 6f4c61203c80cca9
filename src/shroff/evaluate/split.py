"""Which payments to learn from and which to be judged on.

At random, stratified by label, or in time as it happens in a bank: some days to learn from, a delay in
which the labels of those days come in, some days to be judged on. The protocol in time, with the removal
of cards already known to be compromised, is that of Le Borgne et al., *Reproducible Machine Learning for
Credit Card Fraud Detection* (2022), chapters 3 and 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from shroff.errors import ConfigurationError, DataError, did_you_mean
from shroff.evaluate._arrays import Bools, Ints, codes, labels, same_length


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the training and of the test payments, each ascending; no row is in both."""

    train: Ints
    test: Ints


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """A share of the payments, drawn at random from the frauds and from the genuine ones alike.

    `test` is the share to be judged on, in (0, 1); `seed` fixes the draw. Each part gets at least one fraud
    and one genuine payment. Fast and simple, but it lets a detector learn from the future: prefer
    `TemporalSplit` to know how good a detector will be.

    >>> split = RandomSplit(test=0.5, seed=1).rows(np.array([0, 0, 0, 0, 1, 1]))
    >>> len(split.train), len(split.test)
    (3, 3)
    """

    test: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.test < 1:
            raise ConfigurationError(f"expected a share of test payments between 0 and 1, got {self.test}")
        if self.seed < 0:
            raise ConfigurationError(f"expected a seed of 0 or more, got {self.seed}")

    def __str__(self) -> str:
        test = Decimal(str(self.test)) * 100
        seed = f",seed={self.seed}" if self.seed else ""
        return f"random:{_plain(100 - test)}/{_plain(test)}{seed}"

    def rows(self, y: NDArray[np.generic]) -> Split:
        """Split the payments labelled `y` [n], 0 or 1.

        Raises `ConfigurationError` with fewer than two frauds or two genuine payments.
        """
        fraud = labels(y)
        generator = np.random.default_rng(self.seed)
        test = np.zeros(fraud.size, dtype=np.bool_)
        for name, members in (("genuine", np.flatnonzero(~fraud)), ("fraudulent", np.flatnonzero(fraud))):
            if members.size < 2:
                raise ConfigurationError(
                    f"expected at least two {name} payments, one for each part of {self},"
                    f" got {members.size} among {fraud.size}"
                )
            share = min(max(round(members.size * self.test), 1), members.size - 1)
            test[generator.permutation(members)[:share]] = True
        return Split(train=np.flatnonzero(~test), test=np.flatnonzero(test))


@dataclass(frozen=True, slots=True)
class TemporalSplit:
    """Days to learn from, a delay for their labels to come in, and days to be judged on.

    Days are calendar days in `zone`. Training takes the `train_days` from `start`, the test takes the
    `test_days` that follow the `delay_days` after those.

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

    def __post_init__(self) -> None:
        if self.train_days < 1 or self.test_days < 1 or self.delay_days < 0:
            raise ConfigurationError(
                "expected at least one training day, no negative delay and at least one test day, got"
                f" {self.train_days}, {self.delay_days} and {self.test_days}"
            )
        try:
            self._day(self._days)
        except OverflowError:
            raise ConfigurationError(f"expected days before the year 10000, {self} ends later") from None
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as `Europe`
            hint = did_you_mean(self.zone, available_timezones())
            raise ConfigurationError(f"unknown time zone `{self.zone}`{hint}") from None

    def __str__(self) -> str:
        zone = "" if self.zone == "UTC" else f",zone={self.zone}"
        return f"time:{self.start.isoformat()}/{self.train_days}/{self.delay_days}/{self.test_days}{zone}"

    def rows(
        self, time: NDArray[np.datetime64], y: NDArray[np.generic], card: NDArray[np.generic] | None = None
    ) -> Split:
        """Split the payments made at `time` [n] (datetime64, UTC) and labelled `y` [n], 0 or 1.

        With `card` [n], the cards known to be compromised are not judged again: a test day drops every
        payment of a card that had a fraud on a training day, or later but more than `delay_days` before that
        test day. A payment with no card (None) always stays.

        Raises `ConfigurationError` when a part holds no fraud or no genuine payment, `DataError` when the
        arrays differ in length or a time is missing.
        """
        fraud = labels(y)
        same_length("time", time, fraud.size)
        if time.dtype.kind != "M":
            raise DataError(f"expected `time` as datetime64 in UTC, got dtype {time.dtype}")
        if np.isnat(time).any():
            raise DataError(f"expected a time for every payment, got none in {np.isnat(time).sum()} rows")
        day = np.searchsorted(self._midnights(), time.astype("datetime64[us]"), side="right") - 1
        test_from = self.train_days + self.delay_days
        train = (day >= 0) & (day < self.train_days)
        test = (day >= test_from) & (day < self._days)
        if card is not None:
            same_length("card", card, fraud.size)
            near = np.flatnonzero((day >= 0) & (day < self._days))
            test[near] &= ~self._known(day[near], fraud[near], card[near])
        self._check("training", train, fraud, time, first=0, days=self.train_days)
        self._check("test", test, fraud, time, first=test_from, days=self.test_days)
        return Split(train=np.flatnonzero(train), test=np.flatnonzero(test))

    @property
    def _days(self) -> int:
        return self.train_days + self.delay_days + self.test_days

    def _day(self, number: int) -> date:
        return self.start + timedelta(days=number)

    def _midnights(self) -> NDArray[np.datetime64]:
        # one instant a day: a day of 23 or 25 hours, when clocks change, is as long as it was
        zone = ZoneInfo(self.zone)
        days = (self._day(number) for number in range(self._days + 1))
        seconds = [int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) for day in days]
        return np.array(seconds, dtype="datetime64[s]").astype("datetime64[us]")

    def _known(self, day: Ints, fraud: Bools, card: NDArray[np.generic]) -> Bools:
        code = codes(card)
        never = self._days
        first_fraud = np.full(int(code.max(initial=-1)) + 2, never)
        np.minimum.at(first_fraud, code[fraud], day[fraud])
        first_fraud[-1] = never  # where code -1, a missing card, points
        return first_fraud[code] < day - self.delay_days

    def _check(
        self, part: str, rows: Bools, fraud: Bools, time: NDArray[np.datetime64], *, first: int, days: int
    ) -> None:
        missing = [name for name, kind in (("fraud", fraud), ("genuine payment", ~fraud)) if not (rows & kind).any()]
        if not missing:
            return
        covered = f"covers {_date(time.min())} to {_date(time.max())}" if time.size else "is empty"
        raise ConfigurationError(
            f"expected frauds and genuine payments in the {part} days {self._day(first)} to"
            f" {self._day(first + days - 1)} of {self}, got no {' and no '.join(missing)};"
            f" the data {covered} (UTC)"
        )


@dataclass(frozen=True, slots=True)
class LatestSplit:
    """The latest share of the days to be judged on, those before it to learn from, a delay of labels between them.

    `test` is the share of the days, in (0, 1). `over` makes it a `TemporalSplit` of the days that the data has.

    >>> days = np.array(["2024-01-01", "2024-04-09"], "datetime64[us]")
    >>> str(LatestSplit(test=0.3).over(days))
    'time:2024-01-01/63/7/30'
    """

    test: float = 0.3
    delay_days: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.test < 1 or self.delay_days < 0:
            raise ConfigurationError(
                "expected a share of test days between 0 and 1 and no negative delay, got"
                f" {self.test} and {self.delay_days}"
            )

    def __str__(self) -> str:
        test = Decimal(str(self.test)) * 100
        delay = f",delay={self.delay_days}" if self.delay_days != type(self)().delay_days else ""
        return f"time:{_plain(100 - test)}/{_plain(test)}{delay}"

    def over(self, time: NDArray[np.datetime64]) -> TemporalSplit:
        """The split of payments made at `time` [n]; raises `ConfigurationError` for too few days."""
        if not time.size:
            raise ConfigurationError(f"expected payments to split by {self}, got none")
        first, last = time.min().astype("datetime64[D]"), time.max().astype("datetime64[D]")
        days = int((last - first).astype(int)) + 1
        test_days = max(round(days * self.test), 1)
        train_days = days - test_days - self.delay_days
        if train_days < 1:
            raise ConfigurationError(
                f"expected more than {test_days + self.delay_days} days of payments to split by {self}, got {days}"
            )
        return TemporalSplit(first.astype(object), train_days, self.delay_days, test_days)


_SHARE = r"(\d{1,3}(?:\.\d+)?)"
_RANDOM = re.compile(rf"random:{_SHARE}/{_SHARE}(?:,seed=(\d+))?")
_LATEST = re.compile(rf"time:{_SHARE}/{_SHARE}(?:,delay=(\d{{1,5}}))?")
_TIME = re.compile(r"time:(\d{4}-\d\d-\d\d)/(\d{1,5})/(\d{1,5})/(\d{1,5})(?:,zone=(\S+))?")


def parse(text: str) -> RandomSplit | LatestSplit | TemporalSplit:
    """The split that a text describes; `str()` of a split gives the text back.

    `random:TRAIN/TEST[,seed=N]` in percent, `time:TRAIN/TEST[,delay=DAYS]` in percent of the days, or
    `time:START/TRAIN/DELAY/TEST[,zone=NAME]` in days.
    Raises `ConfigurationError` for any other text.

    >>> parse("random:70/30,seed=3")
    RandomSplit(test=0.3, seed=3)
    >>> parse("time:2018-07-25/7/7/7")
    TemporalSplit(start=datetime.date(2018, 7, 25), train_days=7, delay_days=7, test_days=7, zone='UTC')
    >>> parse("random:70/20")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: expected two shares that add up to 100 percent, got `random:70/20`
    """
    if found := _RANDOM.fullmatch(text):
        train, test, seed = found.groups()
        return RandomSplit(test=_test_share(train, test, text), seed=int(seed or 0))
    if found := _LATEST.fullmatch(text):
        train, test, delay = found.groups()
        return LatestSplit(test=_test_share(train, test, text), delay_days=7 if delay is None else int(delay))
    if found := _TIME.fullmatch(text):
        start, train, delay, test, zone = found.groups()
        return TemporalSplit(_start(start), int(train), int(delay), int(test), zone or "UTC")
    raise ConfigurationError(
        "expected a split such as `time:70/30`, `time:2018-07-25/7/7/7`,"
        f" `time:2018-07-25/7/7/7,zone=Europe/Zurich`, `random:70/30` or `random:70/30,seed=3`, got `{text}`"
    )


def _test_share(train: str, test: str, text: str) -> float:
    if Decimal(train) + Decimal(test) != 100:
        raise ConfigurationError(f"expected two shares that add up to 100 percent, got `{text}`")
    return float(Decimal(test) / 100)


def _start(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"expected a day of the calendar to start from, got `{text}`") from None


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


def _date(instant: np.datetime64) -> str:
    return str(instant.astype("datetime64[D]"))
