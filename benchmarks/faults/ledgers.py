"""Faults of the ledger's files: a log that is removed, records that are forged, copies, two
writers.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from shroff.ledger.database import RECORDS


def removed_log(place: Place) -> Verdict:
    """Remove the write-ahead log of a ledger that is in use; when it is noticed, start the service
    again.
    """

    def happen(service: Service, load: Load) -> str:
        refused = load.told.refused
        (service.home / "ledger.db-wal").unlink()
        load.until(lambda: load.told.refused > refused + 20)
        service.kill()
        service.start()
        return "removed while payments came; killed once they were refused, and started"

    return place.suffer("write-ahead log removed", happen)


def forged(place: Place) -> Verdict:
    """Put records before the first into the ledger of a service that is stopped."""

    def happen(service: Service, load: Load) -> str:
        said = []
        for number in (0, -1):
            service.end()
            _forge(service.home / "ledger.db", number)
            said.append(_verify(service))
            service.refused()
            with closing(
                sqlite3.connect(service.home / "ledger.db", isolation_level=None)
            ) as connection:
                connection.execute(f"DELETE FROM {RECORDS.name} WHERE seq < 1")
            service.start()
            load.wait(100)
        return (
            f"a record 0, then -1: `ledger verify` ends with {said}, no start (exit code 2); "
            "taken out, started"
        )

    return place.suffer("forged record", happen)


def _forge(ledger: Path, number: int) -> None:
    columns = [column.name for column in RECORDS.columns]
    forged = [
        "'forged'" if name == "payment_id" else str(number) if name == "seq" else name
        for name in columns
    ]
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute(
            f"INSERT INTO {RECORDS.name} ({', '.join(columns)}) "
            f"SELECT {', '.join(forged)} FROM {RECORDS.name} WHERE kind = 'payment' LIMIT 1"
        )


def _verify(service: Service, *words: str) -> int:
    done = _ledger(service, "verify", *words)
    if done.returncode == 0:
        raise RuntimeError("`shroff ledger verify` finds nothing wrong")
    return done.returncode


def _ledger(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"SHROFF_HOME": str(service.home), "SHROFF_LEDGER": service.ledger}
    command = [sys.executable, "-m", "shroff", "ledger", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def older_copy(place: Place) -> Verdict:
    """Put an older copy of the ledger back; the head that was noted at the end says that it is
    one.
    """

    def happen(service: Service, load: Load) -> str:
        older, newer = service.home / "older", service.home / "newer"
        service.end()
        _copy(service.home, older)
        service.start()
        load.wait(200)
        service.end()
        noted = _ledger(service, "head").stdout.strip()
        _copy(service.home, newer)
        _copy(older, service.home)
        code = _verify(service, "--since", noted)
        _copy(newer, service.home)
        service.start()
        return (
            f"200 payments older: `ledger verify --since` ends with {code}; the newer put back, "
            "started"
        )

    return place.suffer("older copy put back", happen)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (target / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copy(source / name, target / name)


def two_writers(place: Place) -> Verdict:
    """Start a second service on the ledger of the first, by another name of its file."""

    def happen(service: Service, load: Load) -> str:
        said = ""
        for link in ("symlink_to", "hardlink_to"):
            second = Service(place.bundle, service.home / link)
            getattr(second.home / "ledger.db", link)(service.home / "ledger.db")
            second.launch()
            try:
                load.until(lambda second=second: second.ready() or _gives_up(second))  # type: ignore[misc]  # bound now
                if second.ready():
                    raise RuntimeError(f"a second service writes the same ledger ({link})")
            finally:
                second.end()
            said = second.log.strip().rpartition("\n")[2]
            load.wait(50)
        return f"a second by a symbolic and by a hard link, never ready: “…{said[-90:]}”"

    return place.suffer("two writers", happen)


def _gives_up(service: Service) -> bool:
    """Whether it has ended, or says why it does not start."""
    return service.process.poll() is not None or " warning: " in service.log
