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
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

from shroff.collect import Payment
from shroff.ledger import Entry, Ledger, Outcome
from shroff.ledger.answer import encode, fingerprint
from shroff.package import load
from shroff.scoring.entries import payment_entry
from shroff.scoring.history import history_of
from shroff.scoring.in_flight import PendingPayment
from shroff.scoring.scorer import Scorer

TOGETHER = 22
_KEY = bytes(32)


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
        with asyncio.Runner() as runner:
            work = Stages(scorer, ledger, runner)
            print(json.dumps(stages(work, payments.read_bytes().splitlines())))
        scorer.close()


class Stages:
    """The stages of the path, each a function of a group of payments as the one before left it."""

    def __init__(self, scorer: Scorer, ledger: Ledger, runner: asyncio.Runner) -> None:
        engine, decider, reader = scorer.state.engine, scorer.decider, scorer.reader
        self._active, self._ledger, self._runner = scorer.active, ledger, runner
        self._observe, self._assess = engine.observe, decider.assess
        self._parse = partial(reader.read, arrived=0)
        self.all: dict[str, Callable[[list[Any]], list[Any]]] = {
            "parse": self._each(self._parse),
            "canonical form": self._each(_pending),
            "known already?": self._looked_up,
            "features": self._with_features,
            "model, policy, reasons": self._assessed,
            "answer and record": self._recorded,
            "ledger": self._written,
        }

    @staticmethod
    def _each(work: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
        return lambda group: [work(one) for one in group]

    def _looked_up(self, group: list[PendingPayment]) -> list[PendingPayment]:
        for one in group:
            self._ledger.find(one.payment.id)
        return group

    def _with_features(self, group: list[PendingPayment]) -> list[tuple[PendingPayment, Any]]:
        return [(one, self._observe(one.payment)) for one in group]

    def _assessed(self, group: list[tuple[PendingPayment, Any]]) -> list[tuple[Any, ...]]:
        values = [one.payment.values | features for one, features in group]
        return [(*pair, found) for pair, found in zip(group, self._assess(values), strict=True)]

    def _recorded(self, group: list[tuple[Any, ...]]) -> list[Entry]:
        return [
            payment_entry(self._active, pending, features, assessed, None)
            for pending, features, assessed in group
        ]

    def _written(self, group: list[Entry]) -> list[Entry]:
        self._runner.run(_write(self._ledger, group))
        return group


def stages(work: Stages, bodies: list[bytes]) -> dict[str, float]:
    """Microseconds of processor time a payment by stage, all groups in a stage before the next; and
    of all stages where each group goes through all of them, as in the service.

    Each is the lower quartile over groups, so that other work on the machine says little.
    """
    groups = [bodies[at : at + TOGETHER] for at in range(0, len(bodies), TOGETHER)][:-1]
    apart: list[list[Any]] = groups[: len(groups) // 2]
    found: dict[str, float] = {}
    for stage, step in work.all.items():
        timed = [_timed(step, group) for group in apart]
        apart = [group for group, _ in timed]
        found[stage] = _lower_quartile([micros for _, micros in timed])
    found["all, a stage at a time"] = sum(found.values())
    in_turn = []
    for group in groups[len(groups) // 2 :]:
        spent, at = 0.0, group
        for step in work.all.values():
            at, micros = _timed(step, at)
            spent += micros
        in_turn.append(spent)
    found["all, a group at a time"] = _lower_quartile(in_turn)
    return found


def _timed(step: Callable[[list[Any]], list[Any]], group: list[Any]) -> tuple[list[Any], float]:
    """What a step makes of a group, and microseconds a payment."""
    begun = time.process_time()
    done = step(group)
    return done, (time.process_time() - begun) / TOGETHER * 1e6


def _lower_quartile(found: list[float]) -> float:
    return quantiles(found, n=4)[0]


def _pending(payment: Payment) -> PendingPayment:
    encoded = encode(payment)
    return PendingPayment(payment, encoded, fingerprint(encoded))


async def _write(ledger: Ledger, group: list[Entry]) -> None:
    loop = asyncio.get_running_loop()
    written: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in group]
    ledger.append_all(
        [(entry, one.set_result) for entry, one in zip(group, written, strict=True)], loop
    )
    await asyncio.gather(*written)


if __name__ == "__main__":
    main()
