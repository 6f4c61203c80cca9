"""The definition of vectors: a frozen value that knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from shroff.collect import Schema
from shroff.collect.schema import Scale
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean
from shroff.features.define import Entity
from shroff.features.row import Sql, sql
from shroff.features.vectors import TokenTable, component
from shroff.features.window import micros

Method = Literal["ppmi", "sgns"]
_MAX_DIMENSIONS: Final = 64
_TOKENS: Final[tuple[Scale, ...]] = ("nominal", "currency", "key", "amount")


class Vectors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Vectors of tokens, learned from which of them are near in the histories of an entity.

    Two payments of one card are near when they are at most `reach` places apart in its history and
    less than `window` apart in time. Every token of one is then a context of every token of the
    other, and the tokens of one payment are contexts of each other.

    Args:
        name: what they are called, as an identifier.
        entity: whose histories are read, such as a card's.
        tokens: the columns whose values are tokens: nominal ones, keys and the currency by their
            values, the amount by its band (1–2, 2–5, 5–10, 10–20 …), the time of the payment by its
            part of the day.
        window: the longest time between near payments, a duration.
        reach: the most places between them, in the order of the history.
        dimensions: the length of a vector, 2 to 64.
        least: how often a token must occur; the vector of a rarer one is zero, as of one that was
            never seen.
        method: `ppmi` factorises counts, and the same payments give the same vectors; `sgns` is
            skip-gram with negative sampling by gensim, which is not reproducible.
        shift: how many times likelier than by chance a pair must be to count, 1 or more (Levy and
            Goldberg's k).

    Raises:
        ConfigurationError: a name that is no identifier, no column, one twice, or a number out of
            its bounds.

    >>> Vectors(name="shops", entity=Entity("card", "card_id"), tokens=["mcc", "amount"]).window
    '7d'
    """

    name: str
    entity: Entity
    tokens: Sequence[str]
    window: str = "7d"
    reach: int = 5
    dimensions: int = 8
    least: int = 5
    shift: float = 1.0
    method: Method = "ppmi"

    def __post_init__(self) -> None:
        if isinstance(self.tokens, str):
            raise ConfigurationError(
                f"Vectors(tokens=…): expected a list of columns, got one text: [`{self.tokens}`]?"
            )
        force_setattr(self, "tokens", tuple(self.tokens))
        micros(self.window)
        if not self.name.isidentifier():
            raise ConfigurationError(
                f"expected Vectors(name=…) such as `purchases`, got `{self.name}`."
            )
        if not self.tokens or len(set(self.tokens)) < len(self.tokens):
            raise ConfigurationError("Vectors(tokens=…): expected one column or more, each once.")
        if not (2 <= self.dimensions <= _MAX_DIMENSIONS and self.reach >= 1 and self.least >= 1):
            raise ConfigurationError(
                f"Vectors `{self.name}`: expected 2 to {_MAX_DIMENSIONS} dimensions, a reach and "
                "a least of 1 or more."
            )
        if self.method not in get_args(Method):
            raise ConfigurationError(
                f'Vectors `{self.name}`: expected method="ppmi" or method="sgns".'
            )
        if not 1.0 <= self.shift < float("inf"):
            raise ConfigurationError(f"Vectors `{self.name}`: expected a shift of 1 or more.")

    def features(self) -> tuple[Sql, ...]:
        """The vector of a payment, the sum of those of its tokens: a feature for each component.

        >>> shops = Vectors(
        ...     name="shops", entity=Entity("card", "card_id"), tokens=["mcc"], dimensions=2
        ... )
        >>> [feature.name for feature in shops.features()]
        ['shops_1', 'shops_2']
        """
        places = range(1, self.dimensions + 1)
        return tuple(sql(f"{self.name}_{at}", f'"{component(self.name, at)}"') for at in places)

    @property
    def table(self) -> TokenTable:
        """The table that features read, not learned yet."""
        return TokenTable(name=self.name, columns=tuple(self.tokens), dimensions=self.dimensions)

    def require_fit(self, schema: Schema) -> None:
        """Refuse a schema that lacks the columns of these tokens.

        Raises:
            UnknownColumn: the schema has no such column.
            ConfigurationError: a column of another scale, such as a personal one.
        """
        scales = schema.with_keys(self.entity.key).scales
        for column in self.tokens:
            if column not in scales:
                hint = did_you_mean(column, scales) or "."
                raise UnknownColumn(f"vectors `{self.name}`: unknown column `{column}`{hint}")
            if column != schema.time and scales[column] not in _TOKENS:
                raise ConfigurationError(
                    f"vectors `{self.name}`: column `{column}` is {scales[column]}; expected a "
                    "nominal column, a key, the currency, the amount or the time of the payment."
                )
