"""Words in the names of columns, and a few values, that tell their roles, in lower case and without
accents.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_A-Za-z]+")
_LETTERS: Final = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae"})
"""Letters that Unicode does not take apart."""
_FOREIGN_FRAUD: Final = ("betrug", "fraude", "frode", "svindel", "bedrageri", "oszustwo")
"""In German; French, Spanish and Dutch; Italian; Norwegian; Danish and Swedish; Polish."""
LABEL: Final = frozenset(
    {"fraud", "isfraud", "fraudulent", "chargeback", "label", "class", "target", *_FOREIGN_FRAUD}
)
VERDICT: Final = frozenset(
    {"fraud", "isfraud", "fraudulent", "chargeback", "label", *_FOREIGN_FRAUD}
)
TIME: Final = frozenset({"time", "timestamp", "date", "datetime", "created", "at", "when", "ts"})
PAYMENT: Final = frozenset({"payment", "transaction", "trans", "tx", "txn"})
LATER: Final = frozenset(
    {"labelled", "labeled", "label", "chargeback", "fraud", "reported", "dispute"}
)
RESULT: Final = frozenset(
    {"result", "status", "outcome", "response", "approved", "authorised", "authorized", "auth"}
)
SETTLED: Final = frozenset(
    {"settled", "settlement", "captured", "capture", "cleared", "clearing", "posted", "updated"}
)
"""Of times after the payment."""
ARRIVED: Final = frozenset({"arrived", "arrival", "received", "rcvd", "recvd", "ingested"})
AMOUNT: Final = frozenset({
    "amount", "amt", "value", "total", "price", "sum",
    "betrag", "montant", "importe", "importo", "bedrag", "belob", "belop", "belopp", "kwota",
    "brutto",
})  # fmt: skip
CURRENCY: Final = frozenset({
    "currency", "ccy", "curr", "iso4217",
    "wahrung", "devise", "moneda", "divisa", "valuta", "waluta",
})  # fmt: skip
CODE: Final = frozenset(
    {"mcc", "code", "category", "type", "country", "channel", "zip", "postcode", "bin", "iin"}
)
QUANTITY: Final = frozenset({
    "age", "balance", "count", "days", "distance", "hours", "lat", "latitude", "limit", "lon",
    "lng", "longitude", "minutes", "qty", "quantity", "score", "seconds", "tenure",
    "alter", "alder", "leeftijd", "edad", "eta", "wiek", "anciennete", "antiguedad",
    "tage", "jours", "dias", "giorni", "dagen", "dage", "dager", "dagar", "dni",
    "anzahl", "nombre", "aantal", "antal", "antall", "saldo",
})  # fmt: skip
"""Of somebody or something: how much, which names nobody (`customer_age_days`)."""
IDENTITY: Final = frozenset(
    {"id", "uuid", "guid", "reference", "ref", "number", "num", "no", "nr", "key", "token"}
)
CARD: Final = frozenset({"card", "cc", "pan", "karte", "kort", "carte", "tarjeta"})
PAYER: Final = frozenset({
    "account", "acct", "customer", "client", "user", "orig", "sender", "payer", "buyer",
    "konto", "kunde", "kunden", "compte", "cuenta", "cliente",
    "kaufer", "acheteur", "comprador", "koper", "kober", "kjoper", "kopare", "kupujacy",
})  # fmt: skip
"""Who pays, after a card."""
PARTY: Final = CARD | PAYER | {
    "merchant", "terminal", "shop", "device", "dest", "receiver", "payee", "beneficiary",
    "seller", "vendor", "handler", "vendeur", "vendedor", "venditore", "verkoper", "saelger",
    "selger", "saljare", "sprzedawca",
}  # fmt: skip
PERSONAL: Final = frozenset({
    "email", "mail", "phone", "mobile", "name", "first", "last", "surname", "street", "address",
    "ip", "birth", "dob", "ssn", "iban", "pan", "holder", "cardholder", "passport",
})  # fmt: skip
DESCRIBES: Final = frozenset({
    "country", "land", "pays", "pais", "paese", "kraj", "region", "domain", "type", "isp", "asn",
})  # fmt: skip
"""Of somebody's address, card or host: what it is like, which names nobody (`ip_country`)."""
OUTCOMES: Final = frozenset({
    "approved", "authorised", "authorized", "accepted", "captured", "settled", "succeeded",
    "success", "successful", "completed", "paid", "declined", "rejected", "refused", "failed",
    "failure", "error", "cancelled", "canceled", "voided", "refunded", "reversed", "expired",
    "pending", "genehmigt", "abgelehnt", "aprobado", "aprobada", "rechazado", "rechazada",
    "accepte", "refuse", "paye", "bezahlt", "betaald", "geweigerd", "pagado", "pagato", "rifiutato",
    "betalt", "afvist", "godkendt", "godkjent", "avvist", "betald", "nekad", "avvisad",
})  # fmt: skip
"""Values that say what became of a payment, without accents."""


def words_of(name: str) -> list[str]:
    """The words of a column's name, in lower case.

    >>> words_of("nameOrig"), words_of("TX_AMOUNT")
    (['name', 'orig'], ['tx', 'amount'])
    >>> words_of("Händler-Nr."), words_of("Beløb"), words_of("Сумма")
    (['handler', 'nr'], ['belob'], ['сумма'])
    """
    parts = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    plain = "".join(one for one in parts if not unicodedata.combining(one))
    return [word.lower() for word in _WORD.findall(unicodedata.normalize("NFC", plain))]
