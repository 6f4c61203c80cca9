"""Faults of times: rows, clients and clocks that are ahead."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

from benchmarks.faults.load import Client, Load, payment
from benchmarks.faults.machine import faked_clock
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from benchmarks.fuzz.histories import rows, write_csv

_DAY: Final = 86_400
_FAR: Final = 5 * 365 * _DAY
_JUMP: Final = 40
_SETTLES: Final = 0.5
"""Seconds in which what was sent before the clock was back is answered."""


def future_row(place: Place) -> Verdict:
    """Start from a history with a payment of years ahead."""
    place.folder.mkdir(parents=True)
    history = rows()
    history[7] |= {"created_at": payment(7, time.time() + _FAR)["created_at"]}
    history[7] |= {"result_at": None, "labelled_at": None, "result": None, "is_fraud": None}
    table = write_csv(place.folder / "history", history)

    def happen(_: Service, load: Load) -> str:
        load.wait(300)
        return "started from a table with one payment of five years ahead"

    return place.suffer("future row", happen, warm=table)


def client_clock(place: Place) -> Verdict:
    """Send payments of a client whose clock is ahead: by less than clocks may differ, and by
    more.
    """

    def happen(service: Service, load: Load) -> str:
        for ahead, expected in ((240, 200), (3_600, 400), (_FAR, 400)) * 5:
            status = _pay(
                service, payment(int(time.time_ns()), time.time() + ahead, f"ahead{ahead}-")
            )
            if status != expected:
                raise RuntimeError(
                    f"a payment {ahead} s ahead was answered {status}, not {expected}"
                )
            load.wait(20)
        return (
            "payments 4 minutes ahead taken, 1 hour and 5 years ahead refused, others answered "
            "all the while"
        )

    return place.suffer("client's clock ahead", happen)


def server_clock(place: Place) -> Verdict:
    """Let the service's clock jump ahead, take a payment of then, and let it come back."""
    offset, environment = faked_clock(place)

    def happen(service: Service, load: Load) -> str:
        offset.write_text(str(_JUMP * _DAY))
        load.wait(50)
        status = _pay(service, payment(0, time.time() + _JUMP * _DAY, "then"))
        offset.write_text("0")
        time.sleep(_SETTLES)
        # by the clock of then, payments of now were weeks late
        meanwhile = len(load.told.unexpected)
        load.told.unexpected.clear()
        load.told.unanswered.clear()
        load.wait(300)
        service.kill()
        service.start()
        load.wait(100)
        refused = f"{meanwhile} of now refused until the clock was back"
        return (
            f"{_JUMP} days ahead, a payment of then (answered {status}), {refused}; later "
            "killed, started"
        )

    return place.suffer("server's clock ahead", happen, environment=environment)


def _pay(service: Service, sent: dict[str, object]) -> int:
    async def post() -> int:
        client = Client(service.port)
        status, _ = await client.post("/v1/decisions", json.dumps(sent).encode())
        client.close()
        return status

    return asyncio.run(post())
