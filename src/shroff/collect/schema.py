"""The schema of a payment log: which column plays which role, and how its values are to be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from shroff.collect.money import EXPONENT
from shroff.errors import ConfigurationError, UnknownColumn, did_you_mean

Scale = Literal["id", "time", "amount", "currency", "label", "result", "key", "nominal", "numeric", "personal"]
Kind = Literal["number", "text", "boolean", "time"]

UNDEFINED = "undefined"
"""What a missing nominal value becomes: absence is information, and a model should see it."""


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a payment log is what. A column that is not named here is left out.

    Roles: `id` (unique), `time` (when the payment happened), `amount` (major units), `currency` (ISO 4217
    alphabetic or numeric code; without the column every payment is in `default_currency`), `label` (fraud
    or not), `result` (authorised, failed …). `arrived_at`, `result_at` and `labelled_at` say when the payment,
    its result and its label reached the system; without them the payment arrived when it happened and
    result and label came with it.

    Scales: `nominal` values are names (missing ones become `undefined`), `numeric` ones quantities,
    `personal` ones are replaced by a keyed hash before anything is stored, `ignored` ones are accepted
    and dropped. `keys` are columns that only identify something; a project adds the keys its features use.
    `required`: a row without a value there is unusable.

    `timezone` is the zone of times written without one, and the zone in which calendar features are read;
    without it a time that names no zone is refused, and calendars are UTC.

    Raises:
        ConfigurationError: a column in two scales, an unknown currency or time zone.
        UnknownColumn: `required` names a column that the schema does not have.
    """

    id: str
    time: str
    amount: str
    currency: str | None = None
    default_currency: str = "EUR"
    label: str | None = None
    result: str | None = None
    arrived_at: str | None = None
    result_at: str | None = None
    labelled_at: str | None = None
    nominal: Sequence[str] = ()
    numeric: Sequence[str] = ()
    personal: Sequence[str] = ()
    ignored: Sequence[str] = ()
    keys: Sequence[str] = ()
    required: Sequence[str] = ()
    timezone: str | None = None

    def __post_init__(self) -> None:
        for field in ("nominal", "numeric", "personal", "ignored", "keys", "required"):
            msgspec.structs.force_setattr(self, field, tuple(getattr(self, field)))
        self._check_scales()
        if self.default_currency not in EXPONENT:
            raise ConfigurationError(
                f"Schema(default_currency=…): `{self.default_currency}` is no ISO 4217 code"
                f"{did_you_mean(self.default_currency, EXPONENT)}"
            )
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ConfigurationError(
                    f"Schema(timezone=…): `{self.timezone}` is no IANA time zone such as `Europe/Copenhagen`."
                ) from None

    def _check_scales(self) -> None:
        seen: dict[str, str] = {}
        singles = {role: name for role in _ROLES if (name := getattr(self, role)) is not None}
        for role, name in singles.items():
            if name in seen:
                raise ConfigurationError(f"column `{name}` is both {seen[name]} and {role}: a column has one role.")
            seen[name] = role
        for scale in ("numeric", "personal", "ignored", "nominal"):
            for name in getattr(self, scale):
                # a currency code is a name too: the one role that may also be a model's nominal input
                if name in seen and not (scale == "nominal" and seen[name] == "currency"):
                    raise ConfigurationError(f"column `{name}` is both {seen[name]} and {scale}: name it once.")
                seen[name] = scale
        for name in self.required:
            if name not in self.scales:
                raise UnknownColumn(
                    f"Schema(required=…): unknown column `{name}`{did_you_mean(name, self.scales) or '.'}"
                )

    @property
    def scales(self) -> dict[str, Scale]:
        """What each column kept after cleaning is, in table order (arrival columns are `time`)."""
        scales: dict[str, Scale] = {self.id: "id", self.time: "time", self.amount: "amount"}
        optional: list[tuple[str | None, Scale]] = [
            (self.currency, "currency"),
            (self.arrived_at, "time"),
            (self.result, "result"),
            (self.result_at, "time"),
            (self.label, "label"),
            (self.labelled_at, "time"),
        ]
        scales |= {name: scale for name, scale in optional if name is not None}
        for names, scale in (
            (self.nominal, "nominal"),
            (self.numeric, "numeric"),
            (self.personal, "personal"),
        ):
            scales |= {name: scale for name in names if name not in scales}  # type: ignore[misc]  # literal pairs
        scales |= dict.fromkeys((name for name in self.keys if name not in scales), "key")
        return scales

    @property
    def later(self) -> frozenset[str]:
        """Columns that are not known yet when a payment is judged: result, label and their arrivals."""
        names = (self.result, self.result_at, self.label, self.labelled_at)
        return frozenset(name for name in names if name is not None)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column's values in SQL conditions."""
        kind: dict[Scale, Kind] = {
            "time": "time",
            "amount": "number",
            "numeric": "number",
            "label": "boolean",
        }
        return {name: kind.get(scale, "text") for name, scale in self.scales.items()}

    def with_keys(self, names: Iterable[str]) -> Schema:
        """The same schema that also keeps these identifying columns.

        >>> Schema(id="id", time="t", amount="a").with_keys(["card_id"]).keys
        ('card_id',)
        """
        new = [name for name in dict.fromkeys(names) if name not in self.scales]
        return msgspec.structs.replace(self, keys=(*self.keys, *new)) if new else self


_ROLES = ("id", "time", "amount", "currency", "label", "result", "arrived_at", "result_at", "labelled_at")
