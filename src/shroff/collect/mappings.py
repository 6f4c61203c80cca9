"""How messages between banks become payments: which field of a message is which column.

Sources: ISO 20022 (the message definition reports of pacs.008 and pain.001), ISO 8583-1:2003 and
ISO 8583:1987, PCI DSS 4.0 requirement 3.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from shroff.errors import ConfigurationError, did_you_mean

Bitmap = Literal["binary", "ascii"]
Prefix = Literal["2 bytes", "4 bytes", "4 digits", "none"]
Property = Literal[
    "data_enc", "len_enc", "len_type", "max_len", "len_count", "left_pad", "right_pad"
]

_CARD_NUMBERS: Final = frozenset(("2", "34"))
_FORBIDDEN: Final = ("35", "36", "45", "52", "55")
_TOP: Final = ("GrpHdr", "PmtInf", "CdtTrfTxInf", "SplmtryData")
_PATH: Final = re.compile(r"[A-Za-z]\w{0,99}(/[A-Za-z]\w{0,99}){0,30}(/@[A-Za-z]\w{0,99})?")
_MAX_ELEMENT: Final = 128
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}")


class Iso20022(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="iso20022"):
    """Which column of a payment is in which element of an ISO 20022 credit transfer: `pacs.008` or
    `pain.001`, of any version.

    Each `CdtTrfTxInf` is a payment. What the message or its `PmtInf` says before them holds for
    each of them.

    Args:
        columns: the element of each column, as its path below the message's own element, with
            `/@Ccy` for an attribute; of several paths the first that a payment has.

    Raises:
        ConfigurationError: a path that no credit transfer has.

    >>> from shroff.collect import Iso20022
    >>> Iso20022({"id": "CdtTrfTxInf/PmtId/EndToEndId", "time": "GrpHdr/CreDtTm"}).paths["id"]
    ('CdtTrfTxInf/PmtId/EndToEndId',)
    >>> Iso20022({"id": "GrpHeader/MsgId"})
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Iso20022(…): column `id`: expected a path from GrpHdr, PmtInf,
    CdtTrfTxInf or SplmtryData on: did you mean `GrpHdr`?
    """

    columns: Mapping[str, str | Sequence[str]]

    def __post_init__(self) -> None:
        for column, paths in self.paths.items():
            if not paths:
                raise ConfigurationError(f"Iso20022(…): column `{column}`: expected a path.")
            for path in paths:
                top = path.partition("/")[0]
                if top not in _TOP or not _PATH.fullmatch(path):
                    hint = did_you_mean(top, _TOP) if top not in _TOP else ""
                    raise ConfigurationError(
                        f"Iso20022(…): column `{column}`: expected a path from "
                        f"{', '.join(_TOP[:-1])} or {_TOP[-1]} on{hint or '.'}"
                    )

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """The paths of each column, the first choice first."""
        return {
            column: (paths,) if isinstance(paths, str) else tuple(paths)
            for column, paths in self.columns.items()
        }


class Iso8583(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="iso8583"):
    """Which column of a payment is in which data element of an ISO 8583 message.

    Each message is a payment. Amounts have no decimal point there: the currency says where it is.

    Args:
        columns: the data element of each column by its number, `t` for the type of the message;
            several are joined: `37+41` with a hyphen between them, `13+12` to a time.
        bitmap: whether bitmaps are 8 bytes (`binary`) or 16 hexadecimal digits (`ascii`); all other
            elements are ASCII.
        elements: what differs in your dialect, by the element's number, `h` for a header before the
            type, in the words of pyiso8583: `{"2": {"data_enc": "b", "len_enc": "bcd"}}`.
        types: the types of messages that are payments; others are left out and counted.
        prefix: the length before each message of a file: `2 bytes` or `4 bytes` (big-endian), `4
            digits`, or `none` where a file is one message.

    Raises:
        ConfigurationError: an element that there is not or that may not be kept, or a dialect that
            the parser does not know.

    >>> from shroff.collect import Iso8583
    >>> Iso8583({"card": "2", "id": "37+41"}, bitmap="ascii").numbers["id"]
    ('37', '41')
    >>> Iso8583({"track": "35"})
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Iso8583(…): column `track`: data element 35 must not be kept
    (PCI DSS, requirement 3): leave it out.
    """

    columns: Mapping[str, str]
    bitmap: Bitmap = "binary"
    elements: Mapping[str, Mapping[Property, str | int]] = {}
    types: Sequence[str] = ("0100", "0200", "1100", "1200")
    prefix: Prefix = "2 bytes"

    def __post_init__(self) -> None:
        for column, numbers in self.numbers.items():
            for number in numbers:
                _check_element(number, column)
        for field, kinds in (("bitmap", Bitmap), ("prefix", Prefix)):
            if getattr(self, field) not in get_args(kinds):
                raise ConfigurationError(
                    f"Iso8583({field}=…): expected one of {', '.join(get_args(kinds))}."
                )
        if isinstance(self.types, str) or not all(re.fullmatch(r"\d{4}", t) for t in self.types):
            raise ConfigurationError("Iso8583(types=…): expected a list of types such as '0100'.")
        force_setattr(self, "types", tuple(self.types))
        for number, changes in self.elements.items():
            _check_dialect(number, changes)

    @property
    def numbers(self) -> dict[str, tuple[str, ...]]:
        """The data elements of each column."""
        return {column: tuple(text.split("+")) for column, text in self.columns.items()}


Mapped = Iso20022 | Iso8583


def require_roles(
    messages: Sequence[Mapped], roles: Mapping[str, str | None], personal: Sequence[str]
) -> None:
    """Refuse mappings without what a payment needs, or with a card's number in the open.

    Args:
        roles: the columns that a payment needs, by their roles in the schema.
        personal: the columns that are kept as tokens.
    """
    if len({type(mapping) for mapping in messages}) < len(messages):
        raise ConfigurationError(
            "Schema(messages=…): expected at most one Iso20022 and one Iso8583."
        )
    for mapping in messages:
        where = f"Schema(messages=…): {type(mapping).__name__}"
        for role, name in roles.items():
            if name not in mapping.columns:
                what = f", column `{name}`" if name else f": name its column with {role}=… too"
                raise ConfigurationError(f"{where}: expected a field for the {role}{what}.")
        for name, numbers in mapping.numbers.items() if isinstance(mapping, Iso8583) else ():
            if _CARD_NUMBERS & set(numbers) and name not in personal:
                raise ConfigurationError(
                    f"{where}: column `{name}` holds card numbers: declare it personal."
                )


def _known(number: str) -> bool:
    return _NUMBER.fullmatch(number) is not None and 2 <= int(number) <= _MAX_ELEMENT


def _check_element(number: str, column: str) -> None:
    if number != "t" and not _known(number):
        raise ConfigurationError(
            f"Iso8583(…): column `{column}`: expected a data element from 2 to {_MAX_ELEMENT}, "
            "several of them as in `13+12`, or `t`."
        )
    if number in _FORBIDDEN:
        raise ConfigurationError(
            f"Iso8583(…): column `{column}`: data element {number} must not be kept "
            "(PCI DSS, requirement 3): leave it out."
        )


def _check_dialect(number: str, changes: Mapping[Property, str | int]) -> None:
    where = f"Iso8583(elements=…): `{number}`"
    if number not in ("h", "t", "p", "1") and not _known(number):
        raise ConfigurationError(
            f"{where}: expected h, t, p, 1 or an element from 2 to {_MAX_ELEMENT}."
        )
    for name, value in changes.items():
        if name not in get_args(Property):
            hint = did_you_mean(name, get_args(Property)) or "."
            raise ConfigurationError(f"{where}: pyiso8583 knows no property `{name}`{hint}")
        if name in ("data_enc", "len_enc") and not _encoding(value, length=name == "len_enc"):
            raise ConfigurationError(
                f"{where}: expected `{name}` to be `b`, an encoding such as `cp500`, or for "
                "lengths `bcd`."
            )
        if name in ("len_type", "max_len") and not (
            isinstance(value, int) and 0 <= value <= 99_999
        ):
            raise ConfigurationError(f"{where}: expected `{name}` to be a whole number.")


def _encoding(value: str | int, *, length: bool) -> bool:
    if value == "b" or (value == "bcd" and length):
        return True
    try:
        # one that decodes to something else than a text is no encoding of text
        return isinstance(b"0".decode(codecs.lookup(str(value)).name), str)
    except (LookupError, UnicodeError):
        return False
