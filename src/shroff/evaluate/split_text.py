"""Splits as texts, such as the command line and a project take them; `str()` of a split gives its text back."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import cast

from shroff.errors import ConfigurationError, did_you_mean
from shroff.evaluate.split import AnySplit, KnownCards, LatestSplit, RandomSplit, TemporalSplit

_SHARE = r"(\d{1,3}(?:\.\d+)?)"
_RANDOM = re.compile(rf"random:{_SHARE}/{_SHARE}")
_LATEST = re.compile(rf"time:{_SHARE}/{_SHARE}")
_DATED = re.compile(r"time:(\d{4}-\d\d-\d\d)/(\d{1,5})/(\d{1,5})/(\d{1,5})")
_WHOLE = re.compile(r"\d{1,18}")


def parse(text: str) -> AnySplit:
    """The split that a text describes.

    `random:TRAIN/TEST[,seed=N]` in percent; `time:TRAIN/TEST[,delay=DAYS]` in percent of the days, or
    `time:START/TRAIN/DELAY/TEST[,zone=NAME]` in days, both with `,known_cards=drop` where test payments of cards
    with an earlier known fraud are to be left out. Raises `ConfigurationError` for any other text.

    >>> parse("random:70/30,seed=3")
    RandomSplit(test=0.3, seed=3)
    >>> parse("time:70/30,delay=0,known_cards=drop")
    LatestSplit(test=0.3, delay_days=0, known_cards='drop')
    >>> str(parse("time:2018-07-25/7/7/7"))
    'time:2018-07-25/7/7/7'
    >>> parse("random:70/20")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: expected two shares that add up to 100 percent, got `random:70/20`
    """
    form, *given = text.split(",")
    if found := _RANDOM.fullmatch(form):
        options = _options(text, given, "seed")
        return RandomSplit(test=_test_share(found, form), seed=_whole(options.get("seed", "0"), text))
    if found := _LATEST.fullmatch(form):
        options = _options(text, given, "delay", "known_cards")
        delay_days = _whole(options.get("delay", "7"), text)
        return LatestSplit(_test_share(found, form), delay_days, _known_cards(options))
    if found := _DATED.fullmatch(form):
        options = _options(text, given, "zone", "known_cards")
        start, train, delay, test = found.groups()
        days = int(train), int(delay), int(test)
        return TemporalSplit(_start(start), *days, options.get("zone", "UTC"), _known_cards(options))
    raise _unreadable(text)


def _options(text: str, given: list[str], *allowed: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in given:
        name, equals, value = option.partition("=")
        if not equals or not value or name in options:
            raise _unreadable(text)
        if name not in allowed:
            hint = did_you_mean(name, allowed) or f": expected {' or '.join(allowed)}"
            raise ConfigurationError(f"unknown option `{name}` of the split `{text}`{hint}")
        options[name] = value
    return options


def _known_cards(options: dict[str, str]) -> KnownCards:
    return cast("KnownCards", options.get("known_cards", "keep"))  # the split checks it


def _whole(digits: str, text: str) -> int:
    if not _WHOLE.fullmatch(digits):
        raise _unreadable(text)
    return int(digits)


def _test_share(found: re.Match[str], text: str) -> float:
    train, test = found.groups()
    if Decimal(train) + Decimal(test) != 100:
        raise ConfigurationError(f"expected two shares that add up to 100 percent, got `{text}`")
    return float(Decimal(test) / 100)


def _start(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"expected a day of the calendar to start from, got `{text}`") from None


def _unreadable(text: str) -> ConfigurationError:
    return ConfigurationError(
        "expected a split such as `time:70/30`, `time:70/30,delay=0`, `time:2018-07-25/7/7/7`,"
        " `time:2018-07-25/7/7/7,zone=Europe/Zurich,known_cards=drop`, `random:70/30` or `random:70/30,seed=3`,"
        f" got `{text}`"
    )
