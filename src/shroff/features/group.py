"""A feature group: features under one name and version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import force_setattr

from shroff.collect import Schema
from shroff.errors import ConfigurationError
from shroff.features.aggregates import NAME_SCALES, RECIPES
from shroff.features.define import Aggregate
from shroff.features.links import LinkFeature
from shroff.features.row import Calendar, Sql
from shroff.features.vectors import TokenTable

Feature = Aggregate | LinkFeature | Sql | Calendar


class FeatureGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named, versioned list of features of one payment log.

    Args:
        name: what it is called in the feature store.
        features: what `Entity`, `sql` and `calendar` make; lists of them, as for several windows,
            may stand among them.
        version: 1 or more; raise it when a feature changes its meaning.
        of: the schema of the log; it may be left out where a project gives it.
        description: for people.
        vectors: what features read as vectors; a project gives it.

    Raises:
        ConfigurationError: two features with one name.

    >>> from shroff import Entity, FeatureGroup, calendar, sql
    >>> card = Entity("card", "card_id")
    >>> group = FeatureGroup(
    ...     "velocity", [card.count(["1h", "1d"]), sql("big", "amount > 500"), calendar("night")]
    ... )
    >>> [feature.name for feature in group.definitions]
    ['card_count_1h', 'card_count_1d', 'big', 'night']
    """

    name: str
    features: Sequence[Feature | Sequence[Feature]]
    version: int = 1
    of: Schema | None = None
    description: str = ""
    vectors: Sequence[TokenTable] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "features", self.definitions)
        force_setattr(self, "vectors", tuple(self.vectors))
        seen: set[str] = set()
        for feature in self.definitions:
            if feature.name in seen:
                raise ConfigurationError(
                    f"feature group `{self.name}` has two features `{feature.name}`; give one of "
                    "them a `name=`."
                )
            seen.add(feature.name)

    @property
    def definitions(self) -> tuple[Feature, ...]:
        """The features, one by one."""
        return tuple(_flat(self.features))

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that are keys of entities or hold names that features compare."""
        names: list[str] = []
        for feature in self.definitions:
            if isinstance(feature, Aggregate):
                names += feature.entity.key
                names += (
                    [feature.column]
                    if feature.column and RECIPES[feature.function].column == NAME_SCALES
                    else []
                )
            elif isinstance(feature, LinkFeature):
                names += [feature.key, feature.by, *([feature.column] if feature.column else [])]
        return tuple(dict.fromkeys(names))


def with_vectors(
    groups: Iterable[FeatureGroup], tables: Iterable[TokenTable]
) -> tuple[FeatureGroup, ...]:
    """The same groups, whose features read these vectors.

    Raises:
        ConfigurationError: two of them have one name.
    """
    kept = tuple(tables)
    if len({table.name for table in kept}) < len(kept):
        raise ConfigurationError("expected vectors of different names, got two of one name.")
    return tuple(msgspec.structs.replace(group, vectors=kept) for group in groups)


def _flat(features: Iterable[Feature | Sequence[Feature]]) -> Iterable[Feature]:
    for feature in features:
        if isinstance(feature, Feature):
            yield feature
        else:
            yield from feature


def card_key(groups: Iterable[FeatureGroup]) -> str | None:
    """The first key column of the entity `card` that aggregates use; None without one."""
    features = (feature for group in groups for feature in group.definitions)
    return next(
        (
            feature.entity.key[0]
            for feature in features
            if isinstance(feature, Aggregate) and feature.entity.name == "card"
        ),
        None,
    )
