"""Splits as texts, for the command line and projects; `str()` of a split gives its text back."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import cast

from shroff.errors import ConfigurationError, did_you_mean
from shroff.evaluate.split import (
    AnySplit,
    EarlyLabels,
    KnownCards,
    LatestSplit,
    RandomSplit,
    TemporalSplit,
)

_SHARE_PATTERN = r"(\d{1,3}(?:\.\d+)?)"
_RANDOM_FORM = re.compile(rf"random:{_SHARE_PATTERN}/{_SHARE_PATTERN}")
_LATEST_FORM = re.compile(rf"time:{_SHARE_PATTERN}/{_SHARE_PATTERN}")
_DATED_FORM = re.compile(r"time:(\d{4}-\d\d-\d\d)/(\d{1,5})/(\d{1,5})/(\d{1,5})")
_WHOLE_NUMBER = re.compile(r"\d{1,18}")


def parse_split(text: str) -> AnySplit:
    """The split that a text describes.

    `random:TRAIN/TEST[,seed=N]` in percent; `time:TRAIN/TEST[,delay=DAYS]` in percent of the days,
    or `time:START/TRAIN/DELAY/TEST[,zone=NAME]` in days, both with `,known_cards=drop` to leave out
    test payments of cards with an earlier known fraud, and `,folds=N` to judge the test part in N
    successive stretches too. The form in days also takes `,early_labels=learn`, to learn from
    payments of the delay whose label arrived before the test. Raises `ConfigurationError` for any
    other text.

    >>> parse_split("random:70/30,seed=3")
    RandomSplit(test=0.3, seed=3)
    >>> parse_split("time:70/30,delay=0,known_cards=drop")
    LatestSplit(test=0.3, delay_days=0, known_cards='drop', folds=0)
    >>> str(parse_split("time:2018-07-25/7/7/7"))
    'time:2018-07-25/7/7/7'
    >>> parse_split("random:70/20")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: expected two shares that add up to 100 percent, got
    `random:70/20`
    """
    form, *given = text.split(",")
    if found := _RANDOM_FORM.fullmatch(form):
        options = _read_options(text, given, "seed")
        return RandomSplit(
            test=_read_test_share(found, form), seed=_read_whole(options.get("seed", "0"), text)
        )
    if found := _LATEST_FORM.fullmatch(form):
        options = _read_options(text, given, "delay", "known_cards", "folds")
        delay_days = _read_whole(options.get("delay", "7"), text)
        known, folds = _read_known_cards(options), _read_folds(options, text)
        return LatestSplit(_read_test_share(found, form), delay_days, known, folds)
    if found := _DATED_FORM.fullmatch(form):
        options = _read_options(text, given, "zone", "known_cards", "folds", "early_labels")
        start, train, delay, test = found.groups()
        days = int(train), int(delay), int(test)
        return TemporalSplit(
            _read_start(start),
            *days,
            options.get("zone", "UTC"),
            _read_known_cards(options),
            _read_folds(options, text),
            cast("EarlyLabels", options.get("early_labels", "drop")),
        )
    raise _refuse(text)


def _read_options(text: str, given: list[str], *allowed: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in given:
        name, equals, value = option.partition("=")
        if not equals or not value or name in options:
            raise _refuse(text)
        if name not in allowed:
            hint = did_you_mean(name, allowed) or f": expected {' or '.join(allowed)}"
            raise ConfigurationError(f"unknown option `{name}` of the split `{text}`{hint}")
        options[name] = value
    return options


def _read_known_cards(options: dict[str, str]) -> KnownCards:
    return cast("KnownCards", options.get("known_cards", "keep"))  # the split checks it


def _read_folds(options: dict[str, str], text: str) -> int:
    return _read_whole(options.get("folds", "0"), text)


def _read_whole(digits: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(digits):
        raise _refuse(text)
    return int(digits)


def _read_test_share(found: re.Match[str], text: str) -> float:
    train, test = found.groups()
    if Decimal(train) + Decimal(test) != 100:
        raise ConfigurationError(f"expected two shares that add up to 100 percent, got `{text}`")
    return float(Decimal(test) / 100)


def _read_start(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"expected a day of the calendar to start from, got `{text}`"
        ) from None


def _refuse(text: str) -> ConfigurationError:
    return ConfigurationError(
        "expected a split such as `time:70/30`, `time:70/30,delay=0`, `time:70/30,folds=4`, "
        "`time:2018-07-25/7/7/7`, "
        "`time:2018-07-25/7/7/7,zone=Europe/Zurich,known_cards=drop`, `random:70/30` or "
        f"`random:70/30,seed=3`, got `{text}`"
    )
