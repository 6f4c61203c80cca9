"""The receipt of a payment as a page shows it, with features in words, and its replay."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import NamedTuple

from msgspec import UNSET

from shroff.collect.payment import Value, counted_in
from shroff.collect.personal import is_token
from shroff.collect.times import format_time
from shroff.console.backend import ConsoleBackend
from shroff.decide.words import number, sentences
from shroff.errors import BundleError, NotFound, Unavailable
from shroff.evaluate.cost import ACTIONS
from shroff.index import UNITS, found_by
from shroff.ledger.receipt import Receipt, read_receipt
from shroff.monitor import Replayed, replayer
from shroff.package import Bundle

_one_replay = Lock()


class ReceiptValue(NamedTuple):
    """A value with its name; a token is shown shortened, payments are found by a key, and `words`
    say what a feature means. `exact` has all digits of a number that `text` rounds.
    """

    name: str
    text: str
    token: bool = False
    key: bool = False
    words: str = ""
    exact: str = ""


class ReceiptView(NamedTuple):
    """What the page of a payment shows.

    Attributes:
        records: how many the ledger has.
        amount, currency: in major units of the currency that it is counted in, which is empty where
            nobody knows it.
        values, features: what the payment said, and what was computed.
        case: the number of its case.
        hidden: whether its case hides reasons and rules until it is decided, to measure whether
            they help.
        blind: whether the reader judges its case a second time, and may not know what it came to.
    """

    receipt: Receipt
    records: int
    amount: float
    currency: str
    values: tuple[ReceiptValue, ...]
    features: tuple[ReceiptValue, ...]
    case: int | None
    hidden: bool = False
    blind: bool = False

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that held; none where its case hides them."""
        return () if self.hidden else tuple(self.receipt.answer.rules)

    @property
    def costs(self) -> list[tuple[str, float]]:
        """What each action was expected to cost, where the policy decides by cost."""
        costs = self.receipt.answer.expected_costs
        if costs is UNSET:
            return []
        named = ((name, getattr(costs, name)) for name in ACTIONS)
        return [(name, cost) for name, cost in named if cost is not None]


def receipt_view(backend: ConsoleBackend, payment_id: str, viewer: str) -> ReceiptView:
    """The receipt of a payment, as somebody may see it.

    Raises:
        NotFound: the ledger has no such payment, or it was forgotten.
        Unavailable: a database does not answer.
    """
    bundle = backend.readable_production()
    rank = (lambda source: 0) if bundle is None else bundle.schema.label_rank
    receipt = read_receipt(backend.ledger, payment_id, rank)
    decided_by = backend.bundle_or_none(receipt.record.model) or bundle
    values, features = receipt.payment.values, receipt.record.features
    currency = None if decided_by is None else counted_in(receipt.payment, decided_by.schema)
    desk, case = backend.desk, backend.desk.case_of(receipt.payment.id)
    shown = None if case is None else desk.case(case, viewer)[0].status
    return ReceiptView(
        receipt,
        backend.ledger.head().seq,
        receipt.payment.units / UNITS,
        currency or "",
        _values(values, decided_by),
        _features(features, decided_by),
        case,
        hidden=case is not None and desk.hides_reasons(case, viewer),
        blind=case is not None and shown != desk.case(case)[0].status,
    )


def replayed(backend: ConsoleBackend, payment_id: str) -> tuple[Replayed | None, str]:
    """The replay of a decision, or a sentence about why there is none.

    Raises:
        Unavailable: a database does not answer, or another replay is under way: one may read
            months of payments.
    """
    if not _one_replay.acquire(blocking=False):
        raise Unavailable("another replay is under way: ask again in a moment.")
    try:
        return replayer(backend.settings, backend.ledger)(payment_id), ""
    except (NotFound, BundleError) as error:
        return None, str(error)
    finally:
        _one_replay.release()


def _features(features: Mapping[str, Value], bundle: Bundle | None) -> tuple[ReceiptValue, ...]:
    words = {} if bundle is None else sentences(bundle.groups, bundle.schema)
    return tuple(
        ReceiptValue(
            name,
            number(value) if isinstance(value, float) else _text(value),
            words=words[name].tells(value) if name in words else "",
            exact=_text(value),
        )
        for name, value in features.items()
    )


def _values(values: Mapping[str, Value], bundle: Bundle | None) -> tuple[ReceiptValue, ...]:
    keys = () if bundle is None else found_by(bundle)
    times = () if bundle is None else (bundle.schema.time,)
    # beside the currency that was sent, a converted amount would be read as one of it
    units: dict[str, Value] = {}
    if bundle is not None and (rates := bundle.schema.rates) is not None:
        schema = bundle.schema
        paid_in = values.get(str(schema.currency)) or ""
        units = {schema.amount: rates.base, str(schema.original): paid_in}
    found = []
    for name, value in values.items():
        text = format_time(value) if name in times and isinstance(value, int) else _text(value)
        text = f"{text} {units[name]}".rstrip() if name in units and value is not None else text
        token = is_token(text)
        found.append(ReceiptValue(name, text, token=token, key=name in keys and value is not None))
    return tuple(found)


def _text(value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return number(value) if value == round(value) else repr(value)
