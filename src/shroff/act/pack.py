"""The evidence pack of a case: one ZIP file, the same bytes for the same case.

Files are stored without compression, whose bytes depend on the library, in the order of their
names, dated 1980-01-01, and JSON has its keys in order. The manifest has the SHA-256 of every other
file, and how far both chains are covered: the last record of the ledger and the last step of the
case that are in the pack. `shroff ledger verify --since` and `shroff cases verify` prove that they
are in their chains.
"""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from typing import Any, Final

import msgspec

from shroff.act.case import CaseEvent
from shroff.act.evidence import CaseEvidence, PaymentEvidence, records_of
from shroff.act.narrative import narrate
from shroff.errors import CaseConflict
from shroff.ledger import StoredEntry

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP file can hold."""
_READABLE: Final = 0o644 << 16
_FORMAT: Final = 1


def zip_evidence(evidence: CaseEvidence) -> bytes:
    """The ZIP file of a case.

    Raises:
        CaseConflict: its reasons are hidden, and the file would show them.
    """
    if evidence.reasons_hidden:
        raise CaseConflict(
            f"the reasons of case {evidence.case.id} are hidden until it is decided: decide it "
            "first."
        )
    files = {
        "case.json": _json(evidence.case),
        "labels.json": _json([_said(one) for one in evidence.payments]),
        "narrative.txt": "".join(f"{line}\n" for line in narrate(evidence)).encode(),
        "payments.json": _json([_paid(one) for one in evidence.payments]),
        "replay.json": _json(evidence.replays),
        "steps.json": _json(evidence.steps),
    }
    files["manifest.json"] = _json(_manifest(evidence, files))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            about = zipfile.ZipInfo(name, _EPOCH)
            about.external_attr = _READABLE
            about.create_system = 3  # the same on every system
            archive.writestr(about, content)
    return made.getvalue()


def _manifest(evidence: CaseEvidence, files: dict[str, bytes]) -> dict[str, Any]:
    erased = evidence.erased
    records = records_of(evidence)
    last: CaseEvent | None = evidence.steps[-1] if evidence.steps else None
    return {
        "format": _FORMAT,
        "case": evidence.case.id,
        "version": evidence.case.version,
        "erased": None if erased is None else erased.at,
        "forgotten_payments": sum(
            one.entry is not None and one.entry.forgotten is not None for one in evidence.payments
        ),
        "files": {name: sha256(content).hexdigest() for name, content in files.items()},
        "ledger_head": _head(records[-1]) if records else None,
        "cases_head": None if last is None else f"{last.id}:{last.chain}",
    }


def _paid(one: PaymentEvidence) -> dict[str, Any]:
    """A payment as it is in the case, and its record with the receipt of its decision."""
    entry = one.entry
    found: dict[str, Any] = {"in_case": one.payment, "record": None, "forgotten": None}
    if entry is not None:
        found["forgotten"] = entry.forgotten
        found["record"] = _record(entry)
    return found


def _said(one: PaymentEvidence) -> dict[str, Any]:
    """The result and labels of a payment, as recorded."""
    return {"payment_id": one.payment.payment_id, "records": [_record(each) for each in one.later]}


def _record(entry: StoredEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "kind": entry.kind,
        "arrived": entry.arrived,
        "time": entry.time,
        "chain": entry.chain.hex(),
        "digest": entry.digest.hex(),
        "body": msgspec.json.decode(entry.body) if entry.body else None,
    }


def _head(entry: StoredEntry) -> str:
    return f"{entry.seq}:{entry.chain.hex()}"


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
