"""Links: aggregates over other cards, or other keys, that share a value with this one.

Two cards are linked when both used one value of a column, such as a host or an e-mail, within a
window. As everywhere, only payments count that reached the system before this one and happened less
than the window before it; of this payment itself only its own value counts, as used by its card: a
new card at a host where others were is linked to them. With a condition, only payments count for
which it is true.

A *hop* goes over the values that were used last, at most `MAX_VALUES`: this payment's own first, of
several of one moment the first by code point. A value that more than `MAX_CARDS` used is popular,
such as an office or a mobile network, and links nobody. A second hop goes on from what the first
has found, over values that were not gone over. So a payment meets at most `MAX_VALUES · MAX_CARDS`
others a hop, whatever its values are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.features.naming import slug
from shroff.features.typed import require_types
from shroff.features.window import micros

LinkFunction = Literal["count", "frauds", "distinct"]

MAX_VALUES: Final = 20
"""Values that a hop goes over."""

MAX_CARDS: Final = 50
"""Cards, or whatever the entity is, that a value may have linked in a window."""

MAX_HOPS: Final = 2


class LinkFeature(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag="link",
    forbid_unknown_fields=True,
):
    """One aggregate over the entities linked to a payment's own, as `linked_by` makes it.

    Args:
        entity: what is linked, such as `card`, as it is called in the feature's name.
        key: the column that identifies it.
        by: the column that links: two that have one value of it in the window are linked.
        window: how far back it looks, up to this payment: a whole number with `s`, `m`, `h` or `d`.
        function: what is computed over the linked.
        column: the column whose different values are counted.
        hops: 1 for those that share a value with this one, 2 for those that share one with them
            too.
        where: a SQL condition; only payments for which it is true link, and are counted. It reads
            the columns of these payments; one on a result is true only once that has arrived. It
            reads no label.
        name: the feature's name; by default it is computed from all of the above. For several
            windows, `{window}` in it stands for each.

    Raises:
        ConfigurationError: hops other than 1 or 2, a column that links to itself, or no duration.
        UnknownColumn: where the project is defined, the schema has no such column.
    """

    entity: str
    key: str
    by: str
    window: str
    function: LinkFunction
    column: str | None = None
    hops: int = 1
    where: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        require_types(self)
        micros(self.window)
        for sentence in self._misfits():
            raise ConfigurationError(f"{self._computed_name()}: {sentence}")
        if not self.name:
            force_setattr(self, "name", self._computed_name())

    def _misfits(self) -> Iterable[str]:
        if not 1 <= self.hops <= MAX_HOPS:
            yield f"expected hops=1 or hops=2, got {self.hops}."
        if self.by == self.key:
            yield f"`{self.by}` is the key itself, and shared by nobody: link by another column."
        if (self.function == "distinct") != (self.column is not None):
            yield f"{self.function} takes {'no ' if self.column else 'a '}column."

    def _computed_name(self) -> str:
        words = [self.entity, "linked_by", self.by, "2_hops" if self.hops == MAX_HOPS else ""]
        words += [self.function, self.column or "", self.window]
        words += ["where", slug(self.where)] if self.where else []
        return "_".join(word for word in words if word)


class Links:
    """The aggregates over links, as `linked_by` of an entity gives them: a feature per window.

    Every feature is null for a payment without the key, and 0 where nobody is linked.
    """

    def __init__(
        self,
        entity: str,
        key: Sequence[str],
        by: str,
        windows: str | Sequence[str],
        *,
        hops: int = 1,
        where: str | None = None,
    ) -> None:
        if len(key) != 1:
            raise ConfigurationError(
                f"{entity}.linked_by: expected an entity of one key column, got {len(key)}."
            )
        if not isinstance(windows, Sequence):
            raise ConfigurationError(
                f"{entity}.linked_by: expected a window such as `30d` or a list of them, got "
                f"{type(windows).__name__}."
            )
        self._entity, self._key, self._by = entity, key[0], by
        self._hops, self._where = hops, where
        self._windows = [windows] if isinstance(windows, str) else list(windows)

    def count(self, *, name: str = "") -> tuple[LinkFeature, ...]:
        """How many others are linked.

        >>> from shroff import Entity
        >>> Entity("card", "card_id").linked_by("host_id", "30d").count()[0].name
        'card_linked_by_host_id_count_30d'
        """
        return self._each("count", name)

    def frauds(self, *, name: str = "") -> tuple[LinkFeature, ...]:
        """How many payments of linked keys are known as fraud: labels that have arrived."""
        return self._each("frauds", name)

    def distinct(self, column: str, *, name: str = "") -> tuple[LinkFeature, ...]:
        """How many different values of a column the payments of the linked have in the window."""
        return self._each("distinct", name, column)

    def _each(
        self, function: LinkFunction, name: str, column: str | None = None
    ) -> tuple[LinkFeature, ...]:
        if not isinstance(name, str):
            raise ConfigurationError(f"expected name= as a text, got {type(name).__name__}.")
        if name and len(self._windows) > 1 and "{window}" not in name:
            raise ConfigurationError(
                f"name `{name}` would name {len(self._windows)} features: put `{{window}}` in it."
            )
        return tuple(
            LinkFeature(
                entity=self._entity,
                key=self._key,
                by=self._by,
                window=window,
                function=function,
                column=column,
                hops=self._hops,
                where=self._where,
                name=name.replace("{window}", str(window)),
            )
            for window in self._windows
        )
