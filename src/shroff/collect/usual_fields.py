"""The usual fields of messages: a mapping for a log for which nobody has declared one yet.

Sources: as `mappings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Final, NamedTuple, get_args

import polars as pl

from shroff.collect.iso8583 import CardMessages, Decoder, messages_of
from shroff.collect.iso20022 import CreditTransfers
from shroff.collect.mappings import Bitmap, Iso8583, Iso20022, Mapped, Prefix
from shroff.collect.message_rows import UnfitMessage, message_files
from shroff.collect.remote import Remote
from shroff.collect.schema import Schema
from shroff.errors import BadFile
from shroff.location import Location

_MAX_MESSAGES: Final = 1_000
"""The first messages of a log, from which its dialect is told."""


class UsualFields(NamedTuple):
    """A mapping of the fields that a log has, the log's first rows by it, and the columns that say
    who somebody is.
    """

    mapping: Mapped
    rows: pl.DataFrame
    personal: frozenset[str]


def usual_fields(location: Location) -> UsualFields:
    """The usual fields that messages have, and their first rows.

    Raises:
        BadFile: no such messages, or none that can be read with the usual fields.
    """
    return _of_transfers(location) if location.scheme == "iso20022" else _of_cards(location)


# --- ISO 20022 ------------------------------------------------------------------------------------
def _own(path: str) -> tuple[str, ...]:
    """A field that each payment has."""
    return f"CdtTrfTxInf/{path}", f"PmtInf/CdtTrfTxInf/{path}"


def _shared(path: str) -> tuple[str, ...]:
    """A field that a customer gives once for several payments."""
    return f"CdtTrfTxInf/{path}", f"PmtInf/{path}"


_AMOUNTS: Final = ("CdtTrfTxInf/IntrBkSttlmAmt", "PmtInf/CdtTrfTxInf/Amt/InstdAmt")
_TRANSFERS: Final[Mapping[str, tuple[str, ...]]] = {
    "uetr": _own("PmtId/UETR"),
    "transaction_id": ("CdtTrfTxInf/PmtId/TxId",),
    "end_to_end_id": _own("PmtId/EndToEndId"),
    "created_at": ("GrpHdr/CreDtTm",),
    "amount": _AMOUNTS,
    "currency": tuple(f"{path}/@Ccy" for path in _AMOUNTS),
    "debtor_account": (*_shared("DbtrAcct/Id/IBAN"), *_shared("DbtrAcct/Id/Othr/Id")),
    "debtor_name": _shared("Dbtr/Nm"),
    "debtor_country": _shared("Dbtr/PstlAdr/Ctry"),
    "debtor_bank": (*_shared("DbtrAgt/FinInstnId/BICFI"), *_shared("DbtrAgt/FinInstnId/BIC")),
    "creditor_account": (*_own("CdtrAcct/Id/IBAN"), *_own("CdtrAcct/Id/Othr/Id")),
    "creditor_name": _own("Cdtr/Nm"),
    "creditor_country": _own("Cdtr/PstlAdr/Ctry"),
    "creditor_bank": (*_own("CdtrAgt/FinInstnId/BICFI"), *_own("CdtrAgt/FinInstnId/BIC")),
    "purpose": _own("Purp/Cd"),
    "category_purpose": _shared("PmtTpInf/CtgyPurp/Cd"),
    "service_level": _shared("PmtTpInf/SvcLvl/Cd"),
    "local_instrument": _shared("PmtTpInf/LclInstrm/Cd"),
    "charge_bearer": _shared("ChrgBr"),
    "remittance": _own("RmtInf/Ustrd"),
}
_PEOPLE: Final = frozenset(
    {"debtor_account", "debtor_name", "creditor_account", "creditor_name", "remittance"}
)


def _of_transfers(location: Location) -> UsualFields:
    whole = Iso20022(_TRANSFERS)
    transfers = CreditTransfers(location, whole, _schema("end_to_end_id", whole))
    rows = _first(transfers)
    found = {
        column: [path for path in paths if path in transfers.seen.mapped]
        for column, paths in _TRANSFERS.items()
    }
    mapping = Iso20022({column: paths for column, paths in found.items() if paths})
    return UsualFields(mapping, rows.select(list(mapping.columns)), _PEOPLE)


# --- ISO 8583 -------------------------------------------------------------------------------------
_IDS: Final[Mapping[str, str]] = {"transaction_id": "37+41", "reference": "37", "trace": "11+41+7"}
_TIMES: Final = ("7", "13+12")
_CARDS: Final[Mapping[str, str]] = {
    "amount": "4",
    "currency": "49",
    "card_id": "2",
    "processing_code": "3",
    "mcc": "18",
    "acquirer_country": "19",
    "entry_mode": "22",
    "condition_code": "25",
    "acquirer": "32",
    "terminal_id": "41",
    "merchant_id": "42",
    "merchant_place": "43",
}


def _of_cards(location: Location) -> UsualFields:
    mapping, payments = _dialect(location)

    def those(numbers: str) -> list[bool]:
        return [
            all(one.get(number, "").strip() for number in numbers.split("+")) for one in payments
        ]

    time = next((numbers for numbers in _TIMES if all(those(numbers))), _TIMES[0])
    columns = {
        **{name: numbers for name, numbers in _IDS.items() if all(those(numbers))},
        "created_at": time,
        **{name: numbers for name, numbers in _CARDS.items() if any(those(numbers))},
    }
    if not columns.keys() & _IDS.keys():
        raise BadFile(
            f"{location}: expected data elements that name each payment, such as 37 and 41, found "
            "payments without: write the project by hand."
        )
    mapping = Iso8583(columns, mapping.bitmap, types=mapping.types, prefix=mapping.prefix)
    schema = _schema(next(iter(columns)), mapping)
    return UsualFields(
        mapping, _first(CardMessages(location, mapping, schema)), frozenset({"card_id"})
    )


def _dialect(location: Location) -> tuple[Iso8583, list[dict[str, str]]]:
    """A mapping of no column in the dialect of the first messages, and those that are payments."""
    for prefix, bitmap in product(get_args(Prefix), get_args(Bitmap)):
        mapping = Iso8583({}, bitmap, prefix=prefix)
        decode = Decoder(mapping)
        try:
            found = [decode(one) for one in islice(_messages(location, prefix), _MAX_MESSAGES)]
        except UnfitMessage:
            continue
        except OSError as error:
            raise BadFile(
                f"{location}: expected files that can be read, got: {error.strerror}."
            ) from None
        payments = [one for one in found if one["t"] in mapping.types]
        if payments:
            kinds = {one["t"] for one in payments}
            types = tuple(kind for kind in mapping.types if kind in kinds)
            return Iso8583({}, bitmap, types=types, prefix=prefix), payments
    raise BadFile(
        f"{location}: expected ISO 8583 payments with a usual length before them and a usual "
        "bitmap, in ASCII, found none: write the project by hand, with Iso8583(elements=…)."
    )


def _messages(location: Location, prefix: Prefix) -> Iterator[bytes]:
    for file in message_files(location):
        with file.open("rb") as source:
            yield from messages_of(source, prefix)


# --- both -----------------------------------------------------------------------------------------
def _schema(identifier: str, mapping: Mapped) -> Schema:
    personal = [name for name in ("card_id",) if name in mapping.columns]
    return Schema(
        id=identifier,
        time="created_at",
        amount="amount",
        currency="currency",
        personal=personal,
        messages=[mapping],
    )


def _first(messages: Remote) -> pl.DataFrame:
    """The first payments, about as many as a chunk holds."""
    return next(iter(messages.chunks(None, key=None, after=None))).rows
