"""Unusual values: those of at most one in twenty training payments, and words for them.

A number is unusual outside the middle 90 % of the training rows: at most 5 % had one as high, or as
low. A name, a truth or a missing value is unusual if at most 5 % of the rows had it. The most
frequent name is never unusual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from shroff.collect.payment import Value
from shroff.decide.codes import Direction, Subject
from shroff.decide.words import Words
from shroff.detect.preparation import MISSING, Nominal, Numeric
from shroff.detect.spread import TAIL_SHARES, Spread

MAX_RARE_SHARE: Final = TAIL_SHARES[0]
"""A value is unusual if at most this share of the training rows had it."""


class Unusual(NamedTuple):
    """How a value is unusual, and the words for it; at most `share` of the training rows had it or
    a more extreme one.

    For a number, `usual` is the usual range, and `end` the end that it is beyond.
    """

    direction: Direction
    share: float
    text: str
    usual: str = ""
    end: str = ""


Judges = Callable[[Value], Unusual | None]


def of_number(number: Numeric, subject: Subject, words: Words) -> Judges:
    """Makes the judge of a number, or of a truth as 1 or 0; without training values, none is
    unusual.

    >>> from shroff.decide.codes import AMOUNT
    >>> from shroff.decide.words import money
    >>> spread = Spread(
    ...     mean=2.0,
    ...     median=2.0,
    ...     missing=0.0,
    ...     low=(1.0,) * len(TAIL_SHARES),
    ...     high=(5.0,) * len(TAIL_SHARES),
    ... )
    >>> judges = of_number(Numeric("amount", spread=spread), AMOUNT, Words(money, money))
    >>> judges(7.0).text, judges(3.0)
    ('higher than in all training payments', None)
    """
    spread = number.spread
    if spread is None:
        return lambda value: None
    present = _truth(spread) if subject.kind == "truth" else _quantity(spread, words)

    def judges(value: Value) -> Unusual | None:
        if isinstance(value, int | float) and value == value:
            return present(value)
        return _rare("missing", spread.missing)

    return judges


def of_name(nominal: Nominal) -> Judges:
    """Makes the judge of a name; None is the missing one.

    >>> judges = of_name(Nominal("mcc", ("5411", "7995"), (0.997, 0.003, 0.0)))
    >>> judges("7995").text, judges("6011").text, judges("5411")
    ('as in 0.3 % of payments', 'never in training', None)
    """
    if len(nominal.shares) < 2:
        return lambda value: None
    *shares, others = nominal.shares
    most = max(shares)
    known = {
        name: None if share == most else _rare("missing" if name == MISSING else "differs", share)
        for name, share in zip(nominal.values, shares, strict=True)
    }
    # a name outside the vocabulary is no more frequent than any in it, or than all others outside
    rest = min(others, *shares)
    absent, other = _rare("missing", rest, at_most=True), _rare("differs", rest, at_most=True)

    def judges(value: Value) -> Unusual | None:
        name = MISSING if value is None else value
        return known[name] if name in known else absent if name == MISSING else other  # noqa: SIM401  # `get` takes text

    return judges


def percent(share: float) -> str:
    """A share with enough digits to differ from 0 % and 100 %.

    >>> percent(0.003), percent(1 - 0.0005)
    ('0.3 %', '99.95 %')
    """
    return f"{100 * share:.2g} %" if share < 0.5 else f"{100 * share:.6g} %"


def _truth(spread: Spread) -> Callable[[float], Unusual | None]:
    known = 1 - spread.missing
    holds, fails = _rare("above", spread.mean * known), _rare("below", (1 - spread.mean) * known)
    return lambda value: holds if value else fails


def _quantity(spread: Spread, words: Words) -> Callable[[float], Unusual | None]:
    low, high = spread.usual
    usual = words.between(spread.usual)
    among = "payments where it is known" if spread.missing else "payments"

    def beyond(direction: Direction, how: str, end: float) -> dict[float, Unusual]:
        texts = {tail: f"{how} than {percent(1 - tail)} of {among}" for tail in TAIL_SHARES}
        texts[0.0] = f"{how} than in all training payments"
        return {
            tail: Unusual(direction, tail, text, usual, words.end(end))
            for tail, text in texts.items()
        }

    lower, higher = beyond("below", "lower", low), beyond("above", "higher", high)

    def judges(value: float) -> Unusual | None:
        if low <= value <= high:
            return None
        return lower[spread.below(value)] if value < low else higher[spread.above(value)]

    return judges


def _rare(direction: Direction, share: float, *, at_most: bool = False) -> Unusual | None:
    if share > MAX_RARE_SHARE:
        return None
    bound = "at most " if at_most else ""
    return Unusual(
        direction,
        share,
        f"as in {bound}{percent(share)} of payments" if share else "never in training",
    )
