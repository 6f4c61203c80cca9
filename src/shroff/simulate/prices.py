"""Prices: log-normal, in the currency of the shop or the payer, with usual endings."""

from __future__ import annotations

from typing import Final

import numpy as np

from shroff.arrays import Floats, Ints
from shroff.simulate.population import Population
from shroff.simulate.reference import CATEGORIES, EXPONENTS, HOME_CURRENCY, PER_EURO

_CHARM_SHARE: Final = 0.3
_WHOLE_SHARE: Final = 0.25


def currencies(population: Population, card: Ints, merchant: Ints) -> Ints:
    """Currency [n] of payments by `card` at `merchant`: the shop's, or the payer's if offered."""
    shops = HOME_CURRENCY[population.merchants.country[merchant]]
    payers = HOME_CURRENCY[population.home(card)]
    return np.where(population.merchants.multi_currency[merchant], payers, shops)


def usual(rng: np.random.Generator, population: Population, card: Ints, merchant: Ints) -> Floats:
    """Usual prices [n] in euro of these cards at these merchants."""
    merchants = population.merchants
    spread = np.array([category.spread for category in CATEGORIES])[merchants.category[merchant]]
    level = merchants.level[merchant] * population.cards.level[card]
    prices: Floats = level * np.exp(spread * rng.standard_normal(len(card)))
    return prices


def minor_units(rng: np.random.Generator, euros: Floats, currency: Ints) -> Ints:
    """Prices [n] in minor units of `currency`, at least one, some ending in .99 and some whole."""
    units = 10 ** EXPONENTS[currency]
    minor = np.maximum(np.rint(euros * PER_EURO[currency] * units), 1.0).astype(np.int64)
    # in currencies without decimals, prices end in round tens instead
    step = np.where(units == 1, 10, units)
    whole = np.maximum(minor // step, 1) * step
    ending = rng.random(len(minor))
    charm = whole - np.maximum(units // 100, 1)
    return np.where(
        ending < _CHARM_SHARE, charm, np.where(ending < _CHARM_SHARE + _WHOLE_SHARE, whole, minor)
    )
