"""What sealing records costs the ledger's writer: processor time a payment, with and without keys.

python -m benchmarks.sealing

Commits groups of 22 records of 1.7 kB to SQLite in memory, by turns without keys, with subjects
whose keys are remembered, and with subjects that all come for the first time.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future

from shroff.ledger import Entry, Keyring, Ledger
from shroff.ledger.durable import Outcome
from shroff.ledger.keyring import Period
from shroff.ledger.puncturable import PuncturableKeys

_TOGETHER = 22
_GROUPS = 600
_TURNS = 9
_BODY = secrets.token_bytes(1_700)
_CASES: dict[str, Callable[[int], str | None]] = {
    "not sealed": lambda number: None,
    "sealed, keys remembered": lambda number: f"card-{number % 5_000}",
    "sealed, each key derived": lambda number: f"card-{number}",
}


def main() -> None:
    """Measure, print."""
    turns = [{case: _seconds(case) for case in _CASES} for _ in range(_TURNS)]
    seconds = {case: min(turn[case] for turn in turns) for case in _CASES}
    plain = seconds["not sealed"]
    print("| records | µs a payment | more |")
    print("|---|---|---|")
    for case, took in seconds.items():
        print(f"| {case} | {1e6 * took:.1f} | {1e6 * (took - plain):.1f} |")


def _seconds(case: str) -> float:
    """Processor time of one payment."""
    subject = _CASES[case]
    keys = PuncturableKeys.random()
    period = Period(number=1, began=0, subject="card", identifying=("card",), keys=keys)
    keyring = None if case == "not sealed" else Keyring(bytes(32), [period])
    # a file system in memory, where there is one: the disk is no part of this
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112  # a constant
    with (
        tempfile.TemporaryDirectory(dir=place) as folder,
        Ledger(f"sqlite:///{folder}/ledger.db", keyring=keyring) as ledger,
    ):
        groups = [
            [
                Entry("payment", f"p{at}", at, at, bytes(32), _BODY, subject=subject(at))
                for at in range(start, start + _TOGETHER)
            ]
            for start in range(0, _GROUPS * _TOGETHER, _TOGETHER)
        ]
        if keyring is not None and case.endswith("remembered"):
            for group in groups:
                for entry in group:
                    keyring.seal(entry)
        begun = time.process_time()
        for group in groups:
            _commit(ledger, group)
        return (time.process_time() - begun) / (_GROUPS * _TOGETHER)


def _commit(ledger: Ledger, group: list[Entry]) -> None:
    outcomes = [Future[Outcome]() for _ in group]
    for entry, outcome in zip(group, outcomes, strict=True):
        ledger.append(entry, outcome.set_result)
    for outcome in outcomes:
        outcome.result()


if __name__ == "__main__":
    main()
