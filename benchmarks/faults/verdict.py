"""What became of every payment: the clients' answers held against the ledger, the ledger against
the batch engine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import polars as pl

from benchmarks.faults.load import Told
from shroff.errors import ShroffError
from shroff.ledger import Ledger
from shroff.ledger.answer import stored_answer
from shroff.monitor import ledger_parity
from shroff.package import Bundle


@dataclass(frozen=True)
class Verdict:
    """A row of the table.

    `without` is the longest that no payment was decided with features, in seconds; `noticed` what
    told an operator. `twice` counts payments with two records and features that count something
    twice or not at all (any that differ from the batch engine's over the ledger); `lost` payments
    whose answer the ledger does not have as it was given.
    """

    fault: str
    done: str
    answered: int
    interrupted: int
    refused: int
    recorded: int
    twice: int
    lost: int
    wrong: tuple[str, ...]
    degraded: int = 0
    without: float = 0.0
    noticed: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.twice or self.lost or self.wrong)


def judge(
    fault: str,
    done: str,
    told: Told,
    bundle: Bundle,
    ledger: str,
    *,
    history: pl.DataFrame | None = None,
) -> Verdict:
    """Read the ledger and compare; `history` is the clean table that the service was started
    from.
    """
    wrong = [f"unexpected answer: {answer}" for answer in sorted(set(told.unexpected))[:3]]
    wrong += [f"{len(told.unanswered)} never answered"] if told.unanswered else []
    wrong += [f"{len(told.changed)} answered in two ways"] if told.changed else []
    with_chain = Ledger(ledger)
    try:
        with_chain.verify()
        entries = list(with_chain.entries())
        parity = ledger_parity(bundle, entries, history=history)
    except ShroffError as error:
        found = Verdict(
            fault,
            done,
            len(told.answers),
            told.interrupted,
            told.refused,
            0,
            0,
            0,
            (*wrong, str(error)),
        )
        return replace(found, degraded=told.degraded, without=told.without)
    finally:
        with_chain.close()
    payments = [entry for entry in entries if entry.kind == "payment"]
    kept = {entry.payment_id: stored_answer(entry) for entry in payments}
    records = Counter(entry.payment_id for entry in payments)
    different = sum(parity.different.values())
    if different:
        wrong.append(f"{different} features differ, first {parity.first}")
    return Verdict(
        fault=fault,
        done=done,
        answered=len(told.answers),
        interrupted=told.interrupted,
        refused=told.refused,
        recorded=len(kept),
        twice=sum(number - 1 for number in records.values()) + different,
        lost=sum(kept.get(name) != answer for name, answer in told.answers.items()),
        wrong=tuple(wrong),
        degraded=told.degraded,
        without=told.without,
    )
