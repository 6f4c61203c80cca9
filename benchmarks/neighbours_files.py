"""The largest files that are put in place while a service runs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import httpx

from benchmarks.neighbours_cases import payment
from serve.service import Service
from shroff import ReferenceTable
from shroff.collect.dated_file import MAX_ROWS

__all__ = ["MAX_ROWS", "TABLE", "File", "files"]
_LOOK_SECONDS: Final = 0.2
_BEGAN: Final = datetime(1971, 1, 1, tzinfo=UTC)
TABLE: Final = ReferenceTable.of("bins", [{"bin": "c0", "risk": 0.5}], key="bin", numeric=["risk"])
"""The bundle's own table, in whose place the file is put."""


@dataclass(frozen=True)
class File:
    """A file of rows, put in place by one of our commands; its status is that of its last
    answer.
    """

    name: str
    command: tuple[str, ...]
    rows: Callable[[int], Iterator[str]]
    shown: str = "/health/ready"
    """What is asked for then."""
    status: int = 200

    def put(self, service: Service, token: str) -> int:
        """Put the file in place, and wait until the service has taken it up."""
        before, path = _marks(service, token), service.home / "put.csv"
        # another file each time: the same would be there already
        path.write_text("\n".join(self.rows(int(time.time()) % 1_000)) + "\n")
        command = [sys.executable, "-m", "shroff", *self.command, str(path)]
        bundle = ["--bundle", str(service.home / "bundle")]
        environment = os.environ | {"SHROFF_HOME": str(service.home)}
        subprocess.run([*command, *bundle], env=environment, check=True, capture_output=True)
        while _marks(service, token) == before:
            time.sleep(_LOOK_SECONDS)
        headers = {"authorization": f"Bearer {token}"}
        with httpx.stream("GET", service.url + self.shown, headers=headers, timeout=None) as answer:
            for _ in answer.iter_raw():
                pass
        return answer.status_code


def _marks(service: Service, token: str) -> tuple[str, list[str]]:
    """The marks of the rates and tables by which a payment is read now."""
    sent = payment(0)
    headers = {"authorization": f"Bearer {token}"}
    service.request("POST", "/v1/decisions", json=sent, headers=headers).raise_for_status()
    query = "SELECT body FROM shroff_ledger WHERE payment_id = ?"
    with closing(sqlite3.connect(service.home / "ledger.db")) as ledger:
        (body,) = ledger.execute(query, [sent["payment_id"]]).fetchone()
    read = json.loads(body)["payment"]
    return read["rates"], read["tables"]


def _table(rows: int, number: int) -> Iterator[str]:
    yield "bin,risk"
    yield from (f"c{at},{at % 1_000 + number}" for at in range(rows))


def _rates(rows: int, number: int) -> Iterator[str]:
    yield "currency,rate,since"
    for at in range(rows):
        yield f"JPY,0.0{number},{(_BEGAN + timedelta(minutes=40 * at)).isoformat()}"


def files(rows: int) -> tuple[File, ...]:
    """A reference table and exchange rates of so many rows."""
    return (
        File(
            f"table: {rows:,} rows",
            ("tables", "replace", "bins"),
            partial(_table, rows),
        ),
        File(
            f"rates: {rows:,}, and shown",
            ("rates", "replace"),
            partial(_rates, rows),
            "/v1/rates",
        ),
    )
