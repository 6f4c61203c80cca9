"""What an installation holds of a subject, for whoever asks what is kept of them.

It is found by the subject's value and by the hashes that their payments have in personal columns,
such as that of an e-mail. `UNSEARCHED` names what is not looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from shroff.act import Desk
from shroff.collect.personal import forms, is_token
from shroff.collect.times import iso_time
from shroff.control import Lists
from shroff.control.models import Models
from shroff.control.proposals import Proposals
from shroff.control.tables import StoredTables
from shroff.ledger import Ledger, StoredEntry
from shroff.ledger.erasure import opened_records, values_of
from shroff.store import FeatureStore

UNSEARCHED: Final = (
    "bundles, runs, and policies that are not in force",
    "reference tables that were replaced since, and those of bundles",
    "spools of a service whose ledger was away",
    "what follows from the ledger: state, snapshots, backtests, the console's index, and what "
    "cases are compared by",
    "logs and tables outside, such as that of `serve --warm`; exports; backups",
)
"""Where a person may be named too."""

Holding = tuple[str, dict[str, Any]]
"""Where something is held, and what."""


class Holdings:
    """All that an installation holds of subjects, where it can be found by them.

    Args:
        ledger: with its keyring.
        control: the URL of the control database.
        secret: of the HMAC over personal columns.
    """

    def __init__(
        self, ledger: Ledger, control: str, models: Models, store: FeatureStore, *, secret: bytes
    ) -> None:
        self._ledger, self._control, self._models = ledger, control, models
        self._store, self._secret = store, secret

    def of(self, subject: str) -> Iterator[Holding]:
        """What is held of a subject, by its value as it was sent in payments.

        Raises:
            ConfigurationError: no payment can have the value, or the ledger has no keyring.
            DataError: the key of personal columns is another one, by which nobody is found.
            Unavailable: a database does not answer.
        """
        subjects = forms(subject, self._secret)
        known, payments = set(subjects), list[str]()
        for entry in opened_records(self._ledger, subjects):
            if entry.kind == "payment":
                payments.append(entry.payment_id)
                texts = (one for one in values_of(entry).values() if isinstance(one, str))
                known.update(filter(is_token, texts))
            yield "ledger", _record(entry)
        keyring = self._ledger.keyring
        columns = sorted({one.subject for one in keyring.periods}) if keyring else []
        for case, paid, steps in Desk(self._control).held(columns, subjects, payments):
            yield (
                "cases",
                {
                    "case": _dated(case, "opened", "due", "newest", "lease", "wake", "closed"),
                    "payments": [_dated(one, "at") for one in paid],
                    "steps": [_dated(one, "at", "until") for one in steps],
                },
            )
        yield from self._lists(known)
        yield from self._tables(known)
        for column in columns:
            for name, rows in self._store.held(column, subjects).items():
                for row in rows.iter_rows(named=True):
                    yield "store", {"table": name, "row": row}

    def _lists(self, known: set[str]) -> Iterator[Holding]:
        for edit in Lists(self._control).edits():
            if edit.value in known:
                yield "lists", _dated(edit, "since", "until", "made_at")
        proposals = Proposals(self._control, self._models)
        for one in (*proposals.open(), *proposals.decided(None)):
            if _names(one.changes, known) or (one.edit and known.intersection(one.edit.values)):
                yield (
                    "proposals",
                    _dated(one, "made_at")
                    | {
                        "moves": [
                            move._asdict() | {"at": iso_time(move.at, "seconds")}
                            for move in one.moves
                        ]
                    },
                )
        if self._models.pointers.production is None:
            return
        standing = self._models.in_production()[1]
        for name, values in standing.policy.lists.items():
            for value in known.intersection(values):
                yield "policy", {"policy": standing.version, "list": name, "value": value}
        for rule in standing.policy.rules:
            if _names(rule, known):
                yield "policy", {"policy": standing.version, "rule": rule}

    def _tables(self, known: set[str]) -> Iterator[Holding]:
        stored = StoredTables(self._control)
        for one in stored.latest():
            table = stored.table(one)
            if table is None:
                continue
            for at in range(table.rows):
                row = {name: cells[at] for name, cells in table.columns.items()}
                if not known.isdisjoint(row.values()):
                    yield "tables", {"table": one.name, "row": row}


def _names(what: object, known: set[str]) -> bool:
    """Whether rules or changes have one of these values as a text, in SQL or in JSON.

    >>> _names({"condition": "holder = 'O''Neil'"}, {"O'Neil"})
    True
    """
    text = msgspec.json.encode(what).decode()
    written = [msgspec.json.encode(one).decode() for one in known]
    # in JSON too, a condition has its texts as SQL writes them
    written += ["'" + one[1:-1].replace("'", "''") + "'" for one in written]
    return any(one in text for one in written)


def _dated(of: object, *times: str) -> dict[str, Any]:
    """A value's fields by name, times in ISO 8601."""
    fields: dict[str, Any] = msgspec.to_builtins(of)
    return fields | {name: iso_time(fields[name], "seconds") for name in times if name in fields}


def _record(entry: StoredEntry) -> dict[str, Any]:
    return {
        "record": entry.seq,
        "kind": entry.kind,
        "payment_id": entry.payment_id,
        "arrived": iso_time(entry.arrived, "seconds"),
        "chain": entry.chain.hex(),
        "body": msgspec.Raw(entry.body),
    }
