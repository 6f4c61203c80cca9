"""Where the time of our own path goes, stage by stage: processor time on one core, without HTTP.

python -m benchmarks.serving_stages BUNDLE WARM PAYMENTS

Prints one JSON object: microseconds a payment by stage, when 22 payments are decided together.
`serving.py` runs it in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shroff.collect import Payment
from shroff.ledger import Entry, Ledger, Outcome
from shroff.ledger.answer import encode, fingerprint
from shroff.package import load
from shroff.scoring.history import history_of
from shroff.scoring.in_flight import PendingPayment
from shroff.scoring.scorer import Scorer
from shroff.scoring.sequencer import entry_of

TOGETHER = 22
_KEY = bytes(32)
T = TypeVar("T")


def main() -> None:
    """Measure, print."""
    bundle, warm, payments = map(Path, sys.argv[1:])
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory(dir=warm.parent) as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        loaded = load(bundle)
        scorer = Scorer(
            loaded, ledger, key=_KEY, history=lambda: history_of(loaded, warm, _KEY, 0.01)
        )
        scorer.start()
        # as the service does: the state is not looked through again and again
        gc.collect()
        gc.freeze()
        print(json.dumps(stages(scorer, ledger, payments.read_bytes().splitlines())))
        scorer.close()


def stages(scorer: Scorer, ledger: Ledger, bodies: list[bytes]) -> dict[str, float]:
    """Microseconds of processor time a payment, by stage."""
    found: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], T]) -> T:
        begun = time.process_time()
        done = work()
        found[stage] = (time.process_time() - begun) / len(bodies) * 1e6
        return done

    engine, decider, active = scorer.state.engine, scorer.decider, scorer.active
    read = timed("parse", lambda: [scorer.reader.read(body, arrived=0) for body in bodies])
    pending = timed("canonical form", lambda: [_pending(payment) for payment in read])
    timed("known already?", lambda: [ledger.find(payment.id) for payment in read])
    features = timed("features", lambda: [engine.observe(payment) for payment in read])
    values = [payment.values | more for payment, more in zip(read, features, strict=True)]
    starts = range(0, len(bodies), TOGETHER)
    assessed = timed(
        "model, policy, reasons",
        lambda: [one for at in starts for one in decider.assess(values[at : at + TOGETHER])],
    )
    entries = timed(
        "answer and record",
        lambda: [
            entry_of(active, *one, None) for one in zip(pending, features, assessed, strict=True)
        ],
    )
    timed("ledger", lambda: asyncio.run(_write(ledger, entries)))
    return found


def _pending(payment: Payment) -> PendingPayment:
    encoded = encode(payment)
    return PendingPayment(payment, encoded, fingerprint(encoded))


async def _write(ledger: Ledger, entries: list[Entry]) -> None:
    loop = asyncio.get_running_loop()
    for at in range(0, len(entries), TOGETHER):
        group = entries[at : at + TOGETHER]
        written: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in group]
        ledger.append_all(
            [(entry, one.set_result) for entry, one in zip(group, written, strict=True)], loop
        )
        await asyncio.gather(*written)


if __name__ == "__main__":
    main()
