"""The schema of a payment log: the role of each column, and how its values are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, get_args

import msgspec

from shroff.collect.csv_walk import DIALECTS, Dialect
from shroff.collect.lookup import Lookup, require_fit, table_of
from shroff.collect.mappings import Mapped, require_roles
from shroff.collect.money import NUMERIC, alphabetic
from shroff.collect.nulls import NULLS
from shroff.collect.numbers import FORMATS, PLAIN, NumberFormat
from shroff.collect.rates import Rates
from shroff.collect.schema_checks import (
    OPTIONAL_ROLES,
    require_names,
    require_single_roles,
    require_sources,
    require_subject,
    require_zone,
)
from shroff.collect.tables import ReferenceTable
from shroff.errors import ConfigurationError, did_you_mean

Scale = Literal[
    "id",
    "time",
    "amount",
    "original",
    "currency",
    "label",
    "result",
    "key",
    "nominal",
    "numeric",
    "personal",
]
Kind = Literal["number", "text", "boolean", "time"]
Epoch = Literal["s", "ms", "us", "ns"]
"""The unit of times that are numbers since 1970-01-01T00:00:00Z."""

EPOCHS: Final[tuple[Epoch, ...]] = get_args(Epoch)


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a payment log is what. A column that is not named here is left out.

    Args:
        id: the column that names a payment; no two payments share a value.
        time: when the payment happened.
        amount: what was paid, in major units (136.69, not 13669).
        currency: its ISO 4217 code, alphabetic or numeric (kept as the alphabetic one); without the
            column all are in `default_currency`.
        default_currency: the currency of payments that name none.
        rates: exchange rates by which amounts become amounts in one currency, that of the rates.
            `amount` then holds these, and `original_amount` (after the column's name) what was
            paid. Without rates, amounts of several currencies are neither added nor compared.
        label: whether a payment was fraud: true or false, 1 or 0; missing while nobody knows.
        result: what became of a payment: `authorised`, `failed`, or another text.
        arrived_at: when the payment reached the system; by default when it happened.
        result_at: when its result did; by default with the payment.
        labelled_at: when its label did; by default with the payment.
        nominal: columns of names, such as a merchant category.
        numeric: columns of quantities besides the amount.
        personal: columns that are replaced by a keyed hash before anything is stored.
        subject: the column that says whose payment it is, such as `card_id`: the ledger seals the
            records of each value under a key of its own, so that a person can be forgotten. A
            column that is named nowhere else is a key.
        ignored: columns that are accepted and dropped.
        tables: reference tables, such as the risk of each merchant category.
        lookups: further columns of a payment, each looked up in one of them as `lookup` says. No
            log and no live payment has such a column.
        keys: columns that only identify something; a project adds those that its features use.
        required: columns without a value in which a payment is unusable; one that is named nowhere
            else is a key.
        label_sources: who says whether a payment was fraud, the most trusted first: the first that
            said anything stands with what it said last, and others come behind. By default the
            latest label stands.
        nulls: texts that are no value, in every column, such as `NULL` (see
            `shroff.collect.nulls`); a number among them is no value in a column of numbers either.
        number_format: how amounts and numeric columns are written where they come as text, by one
            of the examples `1234.56`, `1,234.56`, `1.234,56`, `1 234,56`, `1'234.56`.
        csv_dialect: how CSV files of the log write quotes and backslashes, needed where two
            dialects fit them: `rfc4180` doubles a quote within a quoted text, `spark` writes a
            backslash before it, `mysql` before commas too.
        timezone: the zone, such as `Europe/Copenhagen`, of times that name none, and in which
            calendar features are read; without it a time that names no zone is refused, and
            calendars are UTC.
        epoch: the unit of times that are numbers since 1970: `s`, `ms`, `us` or `ns`; without it
            numbers are no times.
        messages: which field of a message is which column: an `Iso20022` for credit transfers, an
            `Iso8583` for card messages, or both.

    Raises:
        ConfigurationError: a column in two roles, an arrival of nothing, an unknown currency, time
            zone or way to write numbers.
        UnknownColumn: `required` misspells a column of the schema.

    >>> payments = Schema(
    ...     id="id",
    ...     time="at",
    ...     amount="amount",
    ...     nominal=["mcc"],
    ...     personal=["email"],
    ...     keys=["card_id"],
    ... )
    >>> payments.scales["mcc"], payments.kinds["amount"]
    ('nominal', 'number')
    >>> Schema(id="id", time="at", amount="amount", default_currency="EURO")
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Schema(default_currency=…): `EURO` is no ISO 4217 code: did
    you mean `EUR`?
    """

    id: str
    time: str
    amount: str
    currency: str | None = None
    default_currency: str = "EUR"
    rates: Rates | None = None
    label: str | None = None
    result: str | None = None
    arrived_at: str | None = None
    result_at: str | None = None
    labelled_at: str | None = None
    nominal: Sequence[str] = ()
    numeric: Sequence[str] = ()
    personal: Sequence[str] = ()
    subject: str | None = None
    ignored: Sequence[str] = ()
    tables: Sequence[ReferenceTable] = ()
    lookups: Sequence[Lookup] = ()
    keys: Sequence[str] = ()
    required: Sequence[str] = ()
    label_sources: Sequence[str] = ()
    nulls: Sequence[str] = NULLS
    number_format: NumberFormat = PLAIN
    timezone: str | None = None
    csv_dialect: Dialect | None = None
    epoch: Epoch | None = None
    messages: Sequence[Mapped] = ()

    def __post_init__(self) -> None:
        for field in ("tables", "lookups", "messages"):
            msgspec.structs.force_setattr(self, field, tuple(getattr(self, field)))
        for field in (*_LISTS, "nulls", "label_sources"):
            names = getattr(self, field)
            if isinstance(names, str):
                what = {"nulls": "texts", "label_sources": "sources"}.get(field, "column names")
                raise ConfigurationError(
                    f"Schema({field}=…): expected a list of {what}, got one text: [`{names}`]?"
                )
            msgspec.structs.force_setattr(self, field, tuple(names))
        if not all(isinstance(word, str) and word.strip() for word in self.nulls):
            raise ConfigurationError(
                "Schema(nulls=…): expected texts such as 'NULL'; a blank one is no value anyway."
            )
        if self.number_format not in FORMATS:
            raise ConfigurationError(
                f"Schema(number_format=…): expected one of {', '.join(map(repr, FORMATS))}, got "
                "another."
            )
        singles = {role: getattr(self, role) for role in _ROLES}
        lists = {field: getattr(self, field) for field in _LISTS}
        listed = [(field, name) for field in _LISTS for name in lists[field]]
        looked_up = [("lookups", one.name) for one in self.lookups]
        require_names([*singles.items(), *listed, *looked_up])
        given = {role: name for role, name in singles.items() if name is not None}
        require_single_roles(given, lists, self.original)
        require_sources(self.label_sources, self.label)
        require_subject(self.subject, self._sent, self.ignored)
        roles = {"id": self.id, "time": self.time, "amount": self.amount, "currency": self.currency}
        require_roles(self.messages, roles, self.personal)
        mapped = {column for mapping in self.messages for column in mapping.columns}
        if self.number_format != PLAIN and mapped & set(self.numeric):
            raise ConfigurationError(
                f"Schema(messages=…): messages write numbers as {PLAIN}: leave out number_format."
            )
        sent = self._sent
        texts = [name for name, scale in sent.items() if scale in ("key", "nominal", "currency")]
        require_fit(self.lookups, self.tables, texts, [*sent, *self.ignored])
        # by name: a table that replaces one may also have columns of another
        named = tuple(
            msgspec.structs.replace(one, table=table_of(one, self.tables).name)
            for one in self.lookups
        )
        msgspec.structs.force_setattr(self, "lookups", named)
        for role, arrival in (("result", "result_at"), ("label", "labelled_at")):
            if getattr(self, arrival) is not None and getattr(self, role) is None:
                raise ConfigurationError(
                    f"Schema({arrival}=…) says when the {role} arrived: name it with {role}=… too."
                )
        currency = alphabetic(str(self.default_currency))
        if currency is None:
            raise ConfigurationError(
                f"Schema(default_currency=…): `{self.default_currency}` is no ISO 4217 code"
                f"{did_you_mean(self.default_currency, NUMERIC) or '.'}"
            )
        msgspec.structs.force_setattr(self, "default_currency", currency)
        if self.rates is not None and self.currency is None:
            raise ConfigurationError(
                "Schema(rates=…) converts payments by their currency: name its column with "
                "currency=…."
            )
        if self.epoch not in (None, *EPOCHS):
            raise ConfigurationError(
                f"Schema(epoch=…): expected the unit of a time, one of {', '.join(EPOCHS)}."
            )
        if self.csv_dialect not in (None, *DIALECTS):
            raise ConfigurationError(
                f"Schema(csv_dialect=…): expected one of {', '.join(DIALECTS)}."
            )
        if self.timezone is not None:
            require_zone(self.timezone)

    def label_rank(self, source: str | None) -> int:
        """The rank of a source of labels: 0 is trusted most; within a rank the latest label stands.

        >>> schema = Schema(
        ...     id="id", time="t", amount="a", label="f", label_sources=["chargeback", "analyst"]
        ... )
        >>> schema.label_rank("chargeback"), schema.label_rank("analyst"), schema.label_rank("shop")
        (0, 1, 2)
        """
        return (
            self.label_sources.index(source)
            if source in self.label_sources
            else len(self.label_sources)
        )

    @property
    def scales(self) -> dict[str, Scale]:
        """What each column kept after cleaning is, in table order (arrival columns are `time`)."""
        return self._sent | self.looked_up

    @property
    def _sent(self) -> dict[str, Scale]:
        """The scales of the columns that are not looked up."""
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
        if self.original is not None:
            scales[self.original] = "original"
        for columns, scale in (
            (self.nominal, "nominal"),
            (self.numeric, "numeric"),
            (self.personal, "personal"),
        ):
            scales |= {name: scale for name in columns if name not in scales}  # type: ignore[misc]  # literal pairs
        subject = () if self.subject is None else (self.subject,)
        names = (*self.keys, *self.required, *subject)
        scales |= dict.fromkeys((name for name in names if name not in scales), "key")
        return scales

    @property
    def original(self) -> str | None:
        """The column of amounts as paid, in the payment's currency; None without conversion.

        >>> rates = Rates.constant("EUR", {"JPY": "0.00625"})
        >>> Schema(id="id", time="t", amount="amount", currency="currency", rates=rates).original
        'original_amount'
        """
        return None if self.rates is None else f"original_{self.amount}"

    @property
    def identifying(self) -> tuple[str, ...]:
        """The columns whose values may name a person: the subject, keys and personal columns.

        >>> schema = Schema(id="id", time="t", amount="a", subject="card_id", personal=["email"])
        >>> schema.identifying
        ('email', 'card_id')
        """
        scales = self.scales.items()
        return tuple(
            name for name, scale in scales if scale in ("key", "personal") or name == self.subject
        )

    @property
    def looked_up(self) -> dict[str, Scale]:
        """The columns that come from reference tables, and whether they are numeric or nominal."""
        return {
            one.name: "numeric" if one.column in table_of(one, self.tables).numeric else "nominal"
            for one in self.lookups
        }

    @property
    def added(self) -> frozenset[str]:
        """The columns that a payment is sent without, and gets when it is read."""
        return frozenset(self.looked_up) | ({self.original} if self.original else set())

    @property
    def base(self) -> str | None:
        """The currency that amounts are converted to; None without conversion."""
        return None if self.rates is None else self.rates.base

    @property
    def amounts_in(self) -> tuple[str | None, str]:
        """The column of amounts' currency, or None; and the only or default currency."""
        return (
            (self.currency, self.default_currency)
            if self.rates is None
            else (None, self.rates.base)
        )

    @property
    def later(self) -> frozenset[str]:
        """Columns unknown while a payment is judged: result, label and their arrivals."""
        names = (self.result, self.result_at, self.label, self.labelled_at)
        return frozenset(name for name in names if name is not None)

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column's values in SQL conditions."""
        kind: dict[Scale, Kind] = {
            "time": "time",
            "amount": "number",
            "original": "number",
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


_ROLES: Final = ("id", "time", "amount", *OPTIONAL_ROLES)
_LISTS: Final = ("nominal", "numeric", "personal", "ignored", "keys", "required")
