"""Faults of the machine: processes that are killed, a full disk, a clock that jumps, a damaged
bundle.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.faults.load import Load
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from serve.fixtures import fitted_model, make_bundle
from shroff.control.models import Models
from shroff.detect import Calibration
from shroff.package import save

_KILLS: Final = 8
_CLOCK: Final = """
import time
from pathlib import Path
real, offset = time.time_ns, Path({offset!r})
time.time_ns = lambda: real() + int(offset.read_text() or 0) * 1_000_000_000
time.time = lambda: time.time_ns() / 1e9
"""


def kills(place: Place) -> Verdict:
    """Kill it at random moments."""
    random.seed(5)

    def happen(service: Service, load: Load) -> str:
        for _ in range(_KILLS):
            load.wait(20)
            time.sleep(random.uniform(0, 0.3))
            service.kill()
            service.start()
        return f"{_KILLS} times at random moments under load, started again"

    return place.suffer("kill -9", happen)


def full_disk(place: Place) -> Verdict:
    """Fill the disk that the ledger is on, and make room again."""
    disk = place.folder / "disk"
    ballast = disk / "ballast"

    def happen(_: Service, load: Load) -> str:
        refused = load.told.refused
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
        load.until(lambda: load.told.refused > refused + 50)
        ballast.unlink()
        return "the ledger's disk (tmpfs, 48 MB) filled until payments were refused, then room made"

    with _tmpfs(disk):
        return place.suffer("disk full", happen, ledger=f"sqlite:///{disk / 'ledger.db'}")


@contextmanager
def _tmpfs(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LookupError(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def faked_clock(place: Place) -> tuple[Path, dict[str, str]]:
    """A file that says by how many seconds a service's clock is off, and what lets a service
    believe it.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    offset = place.folder / "offset"
    offset.write_text("0")
    # libfaketime would do without Python's help, but lets its sleep fail
    (place.folder / "sitecustomize.py").write_text(_CLOCK.format(offset=str(offset)))
    return offset, {"PYTHONPATH": str(place.folder)}


def clock(place: Place) -> Verdict:
    """Let the machine's clock jump forward and back."""
    offset, environment = faked_clock(place)

    def happen(service: Service, load: Load) -> str:
        for jump in (3_600, -3_600, 0):
            offset.write_text(str(jump))
            load.wait(300)
        offset.write_text("-7200")
        service.kill()
        service.start()
        return "1 h forward, 2 h back, 1 h forward; then killed and started 2 h in the past"

    # the payments' own times lie behind every clock
    return place.suffer("clock jumps", happen, age=4 * 3_600, environment=environment)


def damaged_bundle(place: Place) -> Verdict:
    """Damage the files that are served."""
    copy = place.folder / "bundle"
    shutil.copytree(place.bundle, copy)

    def happen(service: Service, load: Load) -> str:
        for file in copy.iterdir():
            file.write_bytes(os.urandom(200))
        load.wait(300)
        service.end()
        service.launch()
        if service.process.wait(60) != 2:
            raise RuntimeError("a damaged bundle was served after a restart")
        shutil.copytree(place.bundle, copy, dirs_exist_ok=True)
        service.start()
        return (
            "all files overwritten while served; refused at a restart (exit code 2); put back, "
            "started"
        )

    return place.suffer("damaged bundle", happen, served=copy)


def publish(place: Place) -> Verdict:
    """Publish models under load, one of them damaged."""
    models = Models(place.folder / "models")
    models.publish(place.bundle)

    def happen(service: Service, load: Load) -> str:
        model, refused = fitted_model(), load.told.refused
        for number in range(4):
            other = place.folder / f"bundle-{number}"
            save(make_bundle(model, calibration=Calibration(1.0, -0.5 - number / 10)), other)
            version = models.publish(other).version
            load.wait(200)
            while version.encode() not in load.told.last:
                load.wait(50)
        earlier = models.rollback()
        load.until(lambda: earlier.encode() in load.told.last)
        if load.told.refused > refused or load.told.interrupted:
            raise RuntimeError("requests were refused or broken off while models were published")
        return "4 models published and 1 taken back under load, no request refused or broken off"

    return place.suffer("publish", happen, published=True)
