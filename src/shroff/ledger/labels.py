"""The labels of a payment as a history: which source said what, and which label stands.

A label is recorded when it differs from its source's last one. A source may return to an earlier
opinion, so a label is identified by its number among its source's labels, or by the `event` id that
the client gave: then it is recorded once, whatever came in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from shroff.collect.times import format_time
from shroff.errors import BadPayment, PaymentConflict
from shroff.ledger import StoredEntry
from shroff.ledger.answer import Answer, LaterRecord, encode, fingerprint

UNKEYED: Final = "unkeyed"
"""The source of labels sent to a service without keys."""

MAX_SOURCE_LABELS: Final = 100
"""Labels of a payment by one source: each new one reads them all, and answers show them."""

Rank = Callable[[str | None], int]
"""The rank of a source: 0 is trusted most."""


class LabelRecord(LaterRecord, frozen=True, gc=False):
    """The ledger's body of a label of `source`; `note` is what the client calls itself.

    `event` is the client's id of it, or its number among its source's labels.
    """

    note: str | None = None
    event: str | int = 0

    def digest(self) -> bytes:
        """The digest that distinguishes this label from all others of its payment."""
        return fingerprint(encode((self.source, self.value, self.event)))


class StatedLabel(msgspec.Struct, frozen=True, gc=False):
    """One label of a payment."""

    source: Annotated[
        str, Meta(description="Who says so: the source of the key that it came with.")
    ]
    fraud: Annotated[bool, Meta(description="Whether it says fraud.")]
    recorded_at: Annotated[
        str,
        Meta(
            description="When it arrived, ISO 8601 in UTC.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    at: Annotated[
        str | None,
        Meta(
            description="When it happened, if the sender told.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    note: Annotated[str | None, Meta(description="What the sender called itself.")]
    event: Annotated[str | None, Meta(description="The sender's id of this label.")]
    stands: Annotated[bool, Meta(description="Whether this is the label that counts now.")]


class StoredDecision(Answer, frozen=True, gc=False, omit_defaults=True):
    """The stored answer to a payment with its labels; both fields are absent without labels."""

    fraud: Annotated[
        bool | None, Meta(description="Whether it was fraud, by the label that stands.")
    ] = None
    labels: Annotated[
        tuple[StatedLabel, ...], Meta(description="All its labels, in order of arrival.")
    ] = ()


_decode: Final = msgspec.json.Decoder(LabelRecord).decode


class Labelled(msgspec.Struct, frozen=True, gc=False):
    """A recorded label, and its arrival."""

    record: LabelRecord
    arrived: int


def history(entries: Iterable[StoredEntry]) -> list[Labelled]:
    """The recorded labels of a payment in order of arrival."""
    found = [Labelled(_decode(entry.body), entry.arrived) for entry in entries]
    return sorted(found, key=lambda label: label.arrived)


def standing(labels: Sequence[Labelled], rank: Rank) -> Labelled | None:
    """The label that stands: the last one of the most trusted source."""
    return min(reversed(labels), key=lambda label: rank(label.record.source), default=None)


class LabelVerdict(NamedTuple):
    """What the label that stands says, and since when labels have said so without a break.

    Attributes:
        since: microseconds since the epoch.
        rank: of the source of the label that stands.
    """

    fraud: bool
    since: int
    rank: int


def verdict(
    labels: Iterable[Labelled], rank: Rank, before: LabelVerdict | None = None
) -> LabelVerdict | None:
    """What is said after more labels of a payment, in order of arrival; None without any."""
    found = before
    for label in labels:
        place, fraud = rank(label.record.source), label.record.value is True
        if found is None or place <= found.rank:
            since = label.arrived if found is None or found.fraud != fraud else found.since
            found = LabelVerdict(fraud, since, place)
    return found


def next_label(
    labels: Sequence[Labelled],
    fraud: bool,
    source: str,
    *,
    at: int | None,
    note: str | None,
    event: str | None,
) -> LabelRecord | None:
    """The record of a source's new label; None if it is recorded already.

    Raises:
        PaymentConflict: its `event` came before with another label.
        BadPayment: the source has sent its maximum of labels for the payment.
    """
    own = [label.record for label in labels if label.record.source == source]
    if event is None:
        if own and own[-1].value == fraud:
            return None
    elif (known := next((record for record in own if record.event == event), None)) is not None:
        if known.value != fraud:
            raise PaymentConflict(
                "this event id came before with another label; give each label an id of its own."
            )
        return None
    if len(own) >= MAX_SOURCE_LABELS:
        raise BadPayment(
            f"expected at most {MAX_SOURCE_LABELS} labels of one payment from one source, and this "
            "one has as many: find out what changes its mind"
        )
    number = 1 + max((record.event for record in own if isinstance(record.event, int)), default=0)
    return LabelRecord(fraud, at, source, note, number if event is None else event)


def with_labels(answer: bytes, labels: Sequence[Labelled], rank: Rank) -> bytes:
    """The bytes of a stored answer, with its labels appended if there are any."""
    stands = standing(labels, rank)
    if stands is None:
        return answer
    shown = encode(stated(labels, rank))
    return b'%b,"fraud":%b,"labels":%b}' % (answer[:-1], encode(stands.record.value), shown)


def stated(labels: Sequence[Labelled], rank: Rank) -> tuple[StatedLabel, ...]:
    """The labels of a payment as people read them."""
    stands = standing(labels, rank)
    return () if stands is None else tuple(_shown(label, stands) for label in labels)


def _shown(label: Labelled, stands: Labelled) -> StatedLabel:
    record = label.record
    return StatedLabel(
        source=record.source or UNKEYED,
        fraud=record.value is True,
        recorded_at=format_time(label.arrived),
        at=None if record.at is None else format_time(record.at),
        note=record.note,
        event=record.event if isinstance(record.event, str) else None,
        stands=label is stands,
    )
