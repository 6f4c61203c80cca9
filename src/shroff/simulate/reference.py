"""The world the simulated payments live in: currencies, countries and merchant categories.

Exchange rates, shares and price levels are round numbers of our own choosing; the codes are the
standards': ISO 4217 (currencies), ISO 3166-1 alpha-2 (countries), ISO 18245 (merchant categories),
ITU-T E.164 (dial codes).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shroff.arrays import Floats, Ints
from shroff.collect.money import EXPONENT
from shroff.collect.rates import Rates


class Currency(NamedTuple):
    """One currency: how much a euro buys, and how its round limits compare with 50 euro."""

    code: str
    per_euro: float
    limit_scale: int


class Country(NamedTuple):
    """One country: currency, time zone, dial code, share of cardholders, region of names."""

    code: str
    currency: str
    zone: str
    dial: str
    share: float
    region: str


class Category(NamedTuple):
    """One merchant category: share of merchants, median price and spread, appeal to thieves."""

    mcc: str
    share: float
    euros: float
    spread: float
    resale: bool = False
    digital: bool = False


CURRENCIES: Final = (
    Currency("EUR", 1.0, 1),
    Currency("USD", 1.1, 1),
    Currency("GBP", 0.85, 1),
    Currency("DKK", 7.5, 10),
    Currency("SEK", 11.0, 10),
    Currency("NOK", 11.5, 10),
    Currency("PLN", 4.3, 5),
    Currency("CHF", 0.95, 1),
    Currency("JPY", 160.0, 100),
    Currency("KWD", 0.33, 1),
)

RATES: Final = Rates.constant(
    "EUR",
    {
        currency.code: f"{1 / currency.per_euro:.6g}"
        for currency in CURRENCIES
        if currency.code != "EUR"
    },
)
"""Exchange rates of the currencies of a simulated log."""

COUNTRIES: Final = (
    Country("DE", "EUR", "Europe/Berlin", "49", 16, "german"),
    Country("FR", "EUR", "Europe/Paris", "33", 12, "romance"),
    Country("GB", "GBP", "Europe/London", "44", 13, "english"),
    Country("DK", "DKK", "Europe/Copenhagen", "45", 12, "nordic"),
    Country("SE", "SEK", "Europe/Stockholm", "46", 10, "nordic"),
    Country("NO", "NOK", "Europe/Oslo", "47", 4, "nordic"),
    Country("NL", "EUR", "Europe/Amsterdam", "31", 6, "german"),
    Country("ES", "EUR", "Europe/Madrid", "34", 7, "romance"),
    Country("IT", "EUR", "Europe/Rome", "39", 6, "romance"),
    Country("PL", "PLN", "Europe/Warsaw", "48", 4, "slavic"),
    Country("CH", "CHF", "Europe/Zurich", "41", 3, "german"),
    Country("US", "USD", "America/New_York", "1", 14, "english"),
    Country("JP", "JPY", "Asia/Tokyo", "81", 4, "japanese"),
    Country("KW", "KWD", "Asia/Kuwait", "965", 1, "arabic"),
)

CATEGORIES: Final = (
    Category("5411", 12, 28.0, 0.7),  # grocery stores, supermarkets
    Category("5812", 11, 32.0, 0.6),  # eating places, restaurants
    Category("5814", 9, 11.0, 0.5),  # fast food
    Category("5541", 5, 48.0, 0.4),  # service stations
    Category("5912", 5, 18.0, 0.7),  # drug stores, pharmacies
    Category("4111", 4, 6.0, 0.6),  # local commuter transport
    Category("4121", 3, 17.0, 0.5),  # taxis
    Category("5311", 4, 42.0, 0.8),  # department stores
    Category("5651", 5, 55.0, 0.6),  # family clothing
    Category("5691", 4, 60.0, 0.6, resale=True),  # men's and women's clothing
    Category("5712", 2, 210.0, 0.9),  # furniture
    Category("5732", 4, 140.0, 1.0, resale=True),  # electronics
    Category("5734", 2, 60.0, 0.9, resale=True),  # computer software
    Category("5944", 1, 180.0, 1.0, resale=True),  # jewellery
    Category("5942", 3, 19.0, 0.5),  # books
    Category("5945", 3, 30.0, 0.6),  # hobby, toys and games
    Category("5947", 2, 35.0, 0.8, resale=True),  # gift, card and novelty shops
    Category("5999", 5, 36.0, 0.9),  # miscellaneous retail
    Category("7832", 2, 21.0, 0.4),  # cinemas
    Category("4511", 1, 240.0, 0.8, resale=True),  # airlines
    Category("7011", 2, 150.0, 0.7),  # hotels
    Category("4814", 2, 22.0, 0.6, digital=True),  # telecommunication services
    Category("5815", 4, 9.0, 0.6, digital=True),  # digital goods: books, films, music
    Category("5816", 4, 12.0, 0.9, digital=True),  # digital goods: games
    Category("5817", 2, 14.0, 0.8, digital=True),  # digital goods: applications
    Category("5968", 2, 13.0, 0.6, digital=True),  # direct marketing: subscriptions
    Category("8398", 1, 25.0, 0.9, digital=True),  # charities
    Category("6051", 1, 160.0, 1.0, resale=True, digital=True),  # quasi cash
    Category("7995", 2, 30.0, 1.0, digital=True),  # betting, lotteries
)

EXPONENTS: Final[Ints] = np.array([EXPONENT[currency.code] for currency in CURRENCIES], np.int64)
"""Decimals of each currency [currencies]."""

PER_EURO: Final[Floats] = np.array([currency.per_euro for currency in CURRENCIES])
"""Major units of each currency in one euro [currencies]."""

LIMIT_SCALES: Final[Ints] = np.array([currency.limit_scale for currency in CURRENCIES], np.int64)
"""Major units of each currency that stand for one euro in round limits [currencies]."""

HOME_CURRENCY: Final[Ints] = np.array(
    [[currency.code for currency in CURRENCIES].index(country.currency) for country in COUNTRIES],
    np.int64,
)
"""Currency of each country, as an index into `CURRENCIES` [countries]."""


def shares(weights: NDArray[np.floating[Any]]) -> Floats:
    """Weights [n] scaled so that they sum to one.

    >>> shares(np.array([1.0, 3.0])).tolist()
    [0.25, 0.75]
    """
    scaled: Floats = weights / weights.sum()
    return scaled


COUNTRY_SHARES: Final[Floats] = shares(np.array([country.share for country in COUNTRIES]))
CATEGORY_SHARES: Final[Floats] = shares(np.array([category.share for category in CATEGORIES]))
