"""Where a fault happens: a folder, a bundle, a service in it and its load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults.load import Load
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict, judge
from shroff.package import load as load_bundle

_MORE = 300
"""Payments that are answered before the fault, and again after it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder of its own for one fault; `bundle` is the folder of a bundle that all of them start from."""

    folder: Path
    bundle: Path

    def suffer(
        self,
        fault: str,
        happen: Callable[[Service, Load], str],
        *,
        served: Path | None = None,
        published: bool = False,
        ledger: str = "",
        state: str = "memory",
        workers: int = 1,
        age: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> Verdict:
        """Let a fault happen to a service under load, which must answer again after it.

        Args:
            happen: does it, and says what it did.
            served: the bundle, where it is another folder; `published`: what is published in the folder instead.
            ledger, state, workers, environment: as `Service`; `age` as `Load`.
        """
        bundle = None if published else served or self.bundle
        service = Service(
            bundle, self.folder, ledger=ledger, state=state, workers=workers, environment=environment or {}
        )
        with service:
            load = Load(service.port, age=age)
            load.start()
            wrong: tuple[str, ...] = ()
            done = ""
            try:
                load.wait(_MORE)
                done = happen(service, load)
                load.wait(_MORE)
            except (TimeoutError, RuntimeError) as error:
                wrong = (str(error),)
            finally:
                told = load.end()
        verdict = judge(fault, done, told, load_bundle(self.bundle), service.ledger)
        if (at := service.log.find("unexpected ")) >= 0:
            wrong += (f"its log: {service.log[at : at + 3_000]}",)
        return replace(verdict, wrong=verdict.wrong + wrong)
