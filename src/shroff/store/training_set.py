"""The definition of a training dataset: payments, joined groups, labels by a day, and parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError
from shroff.features.typed import require_types
from shroff.features.window import micros
from shroff.store.group import NAME, require_moment

PART: Final = "part"
"""The column of a payment's part, where there is a split."""
STATUS: Final = "_status"
"""The suffix of a group's status column: whether a row of the group was valid for the payment."""


class Joined(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A group that is joined to the payments at a point in time.

    Args:
        group: its name, or `name@version`; by default the highest version.
        columns: the columns to join; by default all but key and times.
        on: the columns of the payments that hold the group's key, in its order; by default those of
            the same names.
        prefix: put before the names of its columns, where another group has equal ones.
    """

    group: str
    columns: Sequence[str] | None = None
    on: str | Sequence[str] | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.columns, str):
            raise ConfigurationError(
                f"Joined({self.group!r}, columns=…): expected a list of names, got one text."
            )
        require_types(self)
        if isinstance(self.on, str):
            force_setattr(self, "on", (self.on,))


class Labels(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Which payments have a label, by what was known at a moment.

    A payment is left out, and counted by the reason, if its label is missing or came later, or if
    it counts as genuine but is younger than the maturity: a fraud may still be reported.

    Args:
        column: true for fraud.
        known_by: the moment; time zone and all.
        maturity: how long after a payment its fraud may be reported, such as `30d`.
        arrival: the column of the label's arrival, not of the end of its validity; by default it
            was known with the payment.
        group: the group that the column is in, keyed as the payments are; by default the payments
            themselves. Of its rows the latest that was known by the moment counts.
    """

    column: str
    known_by: datetime
    maturity: str = "30d"
    arrival: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        require_types(self)
        micros(self.maturity)
        require_moment(self.known_by, "Labels(known_by=…)")
        try:
            self.mature_until  # noqa: B018  # raises
        except OverflowError:
            raise ConfigurationError(
                f"Labels(maturity=…): expected less than the time before `known_by`, got "
                f"{self.maturity}."
            ) from None
        if self.group is not None and self.arrival is not None:
            raise ConfigurationError(
                "Labels(arrival=…): the group of the labels has an arrival of its own; leave it "
                "out."
            )

    @property
    def mature_until(self) -> datetime:
        """The latest time of a payment that counts as genuine; later ones are frauds only."""
        return self.known_by - timedelta(microseconds=micros(self.maturity))


class Split(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """How payments are spread over parts, such as `{"train": 70, "test": 30}`; the numbers are
    shares of any sum.

    Args:
        by: `time`, the earliest payments in the first part; or `random`.
        gap: by time, how long before each later part payments belong to no part, so that labels of
            the earlier part could be known.
        seed: the same payments and seed give the same random parts.
    """

    parts: Mapping[str, float]
    by: Literal["time", "random"] = "time"
    gap: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        if not self.parts or not all(
            name and 0 < share < math.inf for name, share in self.parts.items()
        ):
            raise ConfigurationError(
                "Split(parts=…): expected a positive share for each part, such as {'train': 70, …}."
            )
        if self.seed < 0:
            raise ConfigurationError(f"Split(seed=…): expected 0 or more, got {self.seed}.")
        if self.gap:
            micros(self.gap)
        if self.gap and self.by == "random":
            raise ConfigurationError(
                "Split(gap=…): random parts have no order, so there is no gap between them."
            )

    @property
    def ends(self) -> list[float]:
        """The share of payments up to the end of each part but the last."""
        whole = sum(self.parts.values())
        shares = list(self.parts.values())[:-1]
        return [sum(shares[: number + 1]) / whole for number in range(len(shares))]


class TrainingSet(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A training dataset: each payment of a group, with what was known of it at its arrival.

    Args:
        name: letters, digits, `_` and `-`; each creation from other data is a new version.
        of: the group whose rows are the payments, or `name@version`.
        columns: its columns to take; by default all.
        joined: the groups to join, by name or as `Joined`.
        times: the first event time, and the one before which to stop.
        description, owner: for people; `tags` are words to find it by.

    >>> TrainingSet(name="cards", of="payments", joined=["velocity"]).joined[0].group
    'velocity'
    """

    name: str
    of: str
    columns: Sequence[str] | None = None
    joined: Sequence[Joined | str] = ()
    labels: Labels | None = None
    split: Split | None = None
    times: tuple[datetime | None, datetime | None] = (None, None)
    description: str = ""
    owner: str = ""
    tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        require_types(self)
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                "TrainingSet(name=…): expected a name of letters, digits, `_` and `-`."
            )
        for moment in self.times:
            require_moment(moment, f"TrainingSet(name={self.name!r}, times=…)")
        whole = tuple(Joined(one) if isinstance(one, str) else one for one in self.joined)
        force_setattr(self, "joined", whole)
        force_setattr(self, "tags", tuple(self.tags))

    @property
    def joins(self) -> tuple[Joined, ...]:
        """The groups to join, as `Joined`."""
        return self.joined  # type: ignore[return-value]  # as __post_init__ left it
