"""Texts for entities: ids, names, e-mails, phones and host addresses, all made up.

E-mail domains end in `.example` (RFC 2606), and a national phone number never begins with 00, so
that none of them reaches anybody.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.arrays import Ints
from shroff.simulate.population import Population
from shroff.simulate.reference import COUNTRIES

_NAMES: Final = {
    "german": (
        "Anna Lena Jonas Felix Marie Paul Sophie Max Laura Lukas Julia Moritz Hannah Jan Clara "
        "Tobias",
        "Müller Schmidt Fischer Weber Wagner Becker Hoffmann Koch Bauer Richter Klein Wolf Vogel "
        "Jansen Keller Frank",
    ),
    "romance": (
        "Camille Lucas Chloé Hugo Lucía Mateo Sofía Pablo Giulia Marco Elena Andrea Louis Carmen "
        "Alba Luca",
        "Martin Bernard Dubois Moreau Garcia Fernández López Sánchez "
        "Rossi Russo Ferrari Romano Laurent Ruiz Gallo Petit",
    ),
    "english": (
        "Olivia Liam Emma Noah Amelia Oliver Ava Jack Grace Harry Emily James Lily George Ella "
        "Henry",
        "Smith Jones Taylor Brown Williams Wilson Johnson Davies Miller Moore Clark Lewis Walker "
        "Hall Young King",
    ),
    "nordic": (
        "Freja William Ida Emil Astrid Oscar Maja Lars Ingrid Erik Søren Karin Nils Signe Anders "
        "Åse",
        "Jensen Nielsen Hansen Andersson Johansson Karlsson Olsen Larsen "
        "Berg Sørensen Lindberg Holm Dahl Lund Nyström Vik",
    ),
    "slavic": (
        "Zofia Jakub Hanna Antoni Julia Szymon Maja Filip Alicja Piotr Ewa Tomasz Marta Adam Iga "
        "Marek",
        "Nowak Kowalski Wójcik Kamiński Lewandowski Zieliński Szymański Dąbrowski "
        "Mazur Krawczyk Piotrowski Pawlak Król Wróbel Bąk Duda",
    ),
    "japanese": (
        "Yui Haruto Aoi Sota Hina Yuki Sakura Ren Mei Kaito Rin Riku Akari Daiki Emi Takumi",
        "Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura "
        "Kobayashi Kato Yoshida Yamada Sasaki Mori Abe Ikeda",
    ),
    "arabic": (
        "Fatima Omar Layla Yousef Noor Ahmad Maryam Khaled Sara Hamad Dana Faisal Hessa Salem Reem "
        "Nasser",
        "Al-Sabah Al-Mutairi Al-Rashidi Al-Enezi Al-Ajmi Al-Azmi Haddad Mansour "
        "Khoury Saleh Hamdan Najjar Darwish Qasim Fares Habib",
    ),
}
_REGIONS: Final = tuple(_NAMES)
_NAMES_PER_REGION: Final = 16
_DOMAINS: Final = ("mail.example", "post.example", "inbox.example", "letters.example")
_STROKES: Final = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "ß": "ss"})


@dataclass(frozen=True)
class Texts:
    """The texts of every entity, in the order of the population's tables."""

    card_id: pl.Series
    account_id: pl.Series
    merchant_id: pl.Series
    cardholder: pl.Series
    account_name: pl.Series
    email: pl.Series  # [3 a] the accounts' first, own second and thieves' contacts
    phone: pl.Series


def describe(rng: np.random.Generator, population: Population) -> Texts:
    """Ids, names and contacts for everybody."""
    region = np.array([_REGIONS.index(country.region) for country in COUNTRIES])[
        population.accounts.country
    ]
    size = len(region)
    first, last = (rng.integers(_NAMES_PER_REGION, size=size) for _ in range(2))
    cards = population.cards
    kin = rng.integers(_NAMES_PER_REGION, size=len(cards.account))
    holder = np.where(cards.family, kin, first[cards.account])
    own = _names(region, first, last)
    thief = _names(region, rng.integers(_NAMES_PER_REGION, size=size), rng.integers(16, size=size))
    return Texts(
        card_id=_ids(rng, "c", len(cards.account)),
        account_id=_ids(rng, "a", size),
        merchant_id=_ids(rng, "m", len(population.merchants.category)),
        cardholder=_names(region[cards.account], holder, last[cards.account]),
        account_name=own,
        email=_emails(rng, pl.concat([own, own, thief])),
        phone=_phones(rng, np.tile(population.accounts.country, 3)),
    )


def addresses(host: Ints) -> pl.Series:
    """IPv4 texts [n] of the hosts [n].

    >>> addresses(np.array([(10 << 24) + 258])).to_list()
    ['10.0.1.2']
    """
    known, position = np.unique(host, return_inverse=True)
    octets = [
        pl.Series(f"{shift}", (known >> shift) & 255).cast(pl.String) for shift in (24, 16, 8, 0)
    ]
    return pl.select(pl.concat_str(octets, separator=".")).to_series()[position]


def transaction_ids(rng: np.random.Generator, size: int) -> pl.Series:
    """Unique ids [size] of 32 hexadecimal digits: a counter and a random word, each scrambled."""
    salt = rng.integers(1 << 63, dtype=np.uint64)
    counter = _scramble(np.arange(size, dtype=np.uint64) + salt)
    words = [counter, _scramble(counter ^ rng.integers(1 << 63, size=size, dtype=np.uint64))]
    digits = pl.Series([f"{value:04x}" for value in range(1 << 16)])
    columns = [
        digits[((word >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.uint32)].alias(
            f"{index}_{shift}"
        )
        for index, word in enumerate(words)
        for shift in (48, 32, 16, 0)
    ]
    return pl.select(pl.concat_str(columns)).to_series()


def _scramble(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit words without visible order (SplitMix64: Steele, Lea, Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _ids(rng: np.random.Generator, prefix: str, size: int) -> pl.Series:
    numbers = pl.Series("id", rng.permutation(size)).cast(pl.String).str.zfill(7)
    return prefix + numbers


def _names(region: Ints, first: Ints, last: Ints) -> pl.Series:
    firsts, lasts = (
        pl.Series([word for names in _NAMES.values() for word in names[at].split()])
        for at in range(2)
    )
    return (
        firsts[region * _NAMES_PER_REGION + first] + " " + lasts[region * _NAMES_PER_REGION + last]
    )


def _emails(rng: np.random.Generator, names: pl.Series) -> pl.Series:
    local = names.replace_strict({name: _ascii(name) for name in names.unique(maintain_order=True)})
    numbers = pl.Series("number", rng.permutation(len(names)) + 10).cast(pl.String)
    domains = pl.Series("domain", _DOMAINS)[rng.integers(len(_DOMAINS), size=len(names))]
    return local + "." + numbers + "@" + domains


def _phones(rng: np.random.Generator, country: Ints) -> pl.Series:
    dials = pl.Series("dial", [place.dial for place in COUNTRIES])[country]
    # an odd factor that five does not divide visits every seven-digit number once
    numbers = pl.Series("number", rng.permutation(len(country)) * 7_368_787 % 10**7)
    return "+" + dials + "00" + numbers.cast(pl.String).str.zfill(7)


def _ascii(name: str) -> str:
    """A name as written in an e-mail address.

    >>> _ascii("Søren Nyström")
    'soren.nystrom'
    """
    plain = (
        unicodedata.normalize("NFKD", name.lower().translate(_STROKES))
        .encode("ascii", "ignore")
        .decode()
    )
    return plain.replace(" ", ".")
