"""Where a fault happens: a folder, a bundle, a service in it and its load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import SubprocessError

from benchmarks.faults.load import Load
from benchmarks.faults.noticing import Noticing
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict, judge
from serve.service import KEY
from shroff.package import load as load_bundle
from shroff.scoring.history import history_of

_MORE = 300
"""Payments that are answered before the fault, and again after it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder of its own for one fault; `bundle` is the folder of a bundle that all of them start
    from.
    """

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
        warm: Path | None = None,
        token: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Verdict:
        """Let a fault happen to a service under load, which must answer again after it.

        Args:
            happen: does it, and says what it did.
            served: the bundle, where it is another folder; `published`: what is published in the
                folder instead.
            ledger, state, workers, warm, environment: as `Service`; `age` as `Load`.
            token: the key that the load pays with; without one, the service asks for none.
        """
        bundle = None if published else served or self.bundle
        service = Service(
            bundle,
            self.folder,
            ledger=ledger,
            state=state,
            workers=workers,
            warm=warm,
            keys=bool(token),
            environment=environment or {},
        )
        with service:
            load = Load(service.port, age=age, token=token)
            noticing = Noticing(service)
            load.start()
            wrong: tuple[str, ...] = ()
            done = ""
            try:
                load.wait(_MORE)
                load.told.mark()
                with noticing:
                    done = happen(service, load)
                    load.wait(_MORE)
            except (TimeoutError, RuntimeError, SubprocessError) as error:
                wrong = (str(error),)
            finally:
                load.told.measure()
                told = load.end()
        judged = load_bundle(self.bundle)
        history = None if warm is None else history_of(judged, warm, KEY, 0.01)
        verdict = judge(fault, done, told, judged, service.ledger, history=history)
        if (at := service.log.find("unexpected ")) >= 0:
            wrong += (f"its log: {service.log[at : at + 3_000]}",)
        return replace(verdict, wrong=verdict.wrong + wrong, noticed=noticing.said())
