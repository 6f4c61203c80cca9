"""Messages of our own making, and the schemas that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

import iso8583
from iso8583.specs import default, default_ascii

from shroff import Schema
from shroff.collect import Iso8583, Iso20022

TRANSFERS: Final = Iso20022(
    {
        "id": ["CdtTrfTxInf/PmtId/EndToEndId", "PmtInf/CdtTrfTxInf/PmtId/EndToEndId"],
        "at": "GrpHdr/CreDtTm",
        "amount": ["CdtTrfTxInf/IntrBkSttlmAmt", "PmtInf/CdtTrfTxInf/Amt/InstdAmt"],
        "currency": ["CdtTrfTxInf/IntrBkSttlmAmt/@Ccy", "PmtInf/CdtTrfTxInf/Amt/InstdAmt/@Ccy"],
        "debtor": [
            "CdtTrfTxInf/DbtrAcct/Id/IBAN",
            "CdtTrfTxInf/DbtrAcct/Id/Othr/Id",
            "PmtInf/DbtrAcct/Id/IBAN",
        ],
        "bank": [
            "CdtTrfTxInf/CdtrAgt/FinInstnId/BICFI",
            "PmtInf/CdtTrfTxInf/CdtrAgt/FinInstnId/BICFI",
        ],
        "text": ["CdtTrfTxInf/RmtInf/Ustrd", "PmtInf/CdtTrfTxInf/RmtInf/Ustrd"],
    }
)
TRANSFER_SCHEMA: Final = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    nominal=["bank"],
    personal=["debtor", "text"],
    required=["debtor"],
    messages=[TRANSFERS],
)
CARDS: Final = Iso8583(
    {
        "id": "37+41",
        "at": "7",
        "amount": "4",
        "currency": "49",
        "card_id": "2",
        "mcc": "18",
        "merchant_id": "42",
    }
)
CARD_SCHEMA: Final = Schema(
    id="id",
    time="at",
    amount="amount",
    currency="currency",
    nominal=["mcc"],
    personal=["card_id"],
    keys=["merchant_id"],
    messages=[CARDS],
)

Row = Mapping[str, str]


def pacs008(rows: Sequence[Row], *, version: str = "08", at: str = "2024-05-04T10:00:00Z") -> str:
    """One message with a transfer for each row: id, amount, currency, debtor, bank, text."""
    transfers = "".join(
        f"<CdtTrfTxInf><PmtId><EndToEndId>{escape(row['id'])}</EndToEndId></PmtId>"
        f'<IntrBkSttlmAmt Ccy="{row["currency"]}">{row["amount"]}</IntrBkSttlmAmt>'
        f"<DbtrAcct><Id><IBAN>{row['debtor']}</IBAN></Id></DbtrAcct>"
        f"<CdtrAgt><FinInstnId><BICFI>{row['bank']}</BICFI></FinInstnId></CdtrAgt>"
        f"<RmtInf><Ustrd>{escape(row['text'])}</Ustrd></RmtInf></CdtTrfTxInf>"
        for row in rows
    )
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pacs.008.001.{version}">'
        f"<FIToFICstmrCdtTrf><GrpHdr><CreDtTm>{at}</CreDtTm></GrpHdr>{transfers}"
        "</FIToFICstmrCdtTrf></Document>"
    )


def pain001(rows: Sequence[Row], *, version: str = "09", at: str = "2024-05-04T10:00:00Z") -> str:
    """One message, with a `PmtInf` for each row, as a customer sends it."""
    infos = "".join(
        f"<p:PmtInf><p:DbtrAcct><p:Id><p:IBAN>{row['debtor']}</p:IBAN></p:Id></p:DbtrAcct>"
        f"<p:CdtTrfTxInf><p:PmtId><p:EndToEndId>{escape(row['id'])}</p:EndToEndId></p:PmtId>"
        f'<p:Amt><p:InstdAmt Ccy="{row["currency"]}">{row["amount"]}</p:InstdAmt></p:Amt>'
        f"<p:CdtrAgt><p:FinInstnId><p:BICFI>{row['bank']}</p:BICFI></p:FinInstnId></p:CdtrAgt>"
        f"<p:RmtInf><p:Ustrd>{escape(row['text'])}</p:Ustrd></p:RmtInf></p:CdtTrfTxInf></p:PmtInf>"
        for row in rows
    )
    return (
        f'<p:Document xmlns:p="urn:iso:std:iso:20022:tech:xsd:pain.001.001.{version}">'
        f"<p:CstmrCdtTrfInitn><p:GrpHdr><p:CreDtTm>{at}</p:CreDtTm></p:GrpHdr>{infos}"
        "</p:CstmrCdtTrfInitn></p:Document>"
    )


def card_message(elements: Row, *, bitmap: str = "binary", kind: str = "0100") -> bytes:
    """One ISO 8583 message without its length."""
    spec = default if bitmap == "binary" else default_ascii
    raw, _ = iso8583.encode({"t": kind, **elements}, spec)
    return bytes(raw)


def card_elements(**changes: str) -> dict[str, str]:
    """The data elements of a card payment of 136.69 EUR, with changes such as `e4="…"`."""
    elements = {
        "2": "4111111111111111",
        "3": "000000",
        "4": "000000013669",
        "7": "0504100000",
        "18": "5411",
        "37": "000000000001",
        "41": "TERM0001",
        "42": "MERCHANT0000001",
        "49": "978",
    }
    return elements | {name.removeprefix("e"): text for name, text in changes.items()}


def log_of(messages: Sequence[bytes]) -> bytes:
    """Messages behind their lengths of 2 bytes."""
    return b"".join(len(one).to_bytes(2) + one for one in messages)
