"""Load test: payments sent as fast as the service answers, or at a steady rate, and how long each
answer took.

Closed loop: each of `parallel` senders waits for its answer before it sends again. Open loop
(`rate`): payments are due at fixed times whatever the service does, and an answer's time runs from
when its payment was due, so that a stall counts for all that had to wait behind it (Gil Tene,
"coordinated omission").
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from secrets import choice
from ssl import SSLContext, SSLError, create_default_context
from string import ascii_lowercase
from typing import Any, Final

import httpx
import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.client.requests import service_at
from shroff.collect import Schema, read, read_joined
from shroff.collect.columns import texts_of
from shroff.collect.csv_walk import Dialect
from shroff.collect.numbers import PLAIN, NumberFormat, numbers_of
from shroff.collect.time_column import parse_times
from shroff.errors import BadFile, ConfigurationError
from shroff.location import Location, address, bearer
from shroff.simulate import simulate

_PATH: Final = "/v1/decisions"
_RUN_LETTERS: Final = 8
_KEY_ADVICE: Final = {
    401: "the service asks for an API key that it knows: set SHROFF_API_KEY to one with the scope "
    "`decide`, as "
    "`shroff keys create` prints it.",
    403: "the API key in SHROFF_API_KEY is not for payments: make one with `shroff keys create "
    "NAME --scope decide`.",
}
_SPAN_US: Final = 23 * 3_600_000_000  # a day less the time that the load test may take
_TIMEOUT_SECONDS: Final = 30.0  # seconds until an answer counts as lost


@dataclass(frozen=True)
class LoadReport:
    """What a load test found.

    `milliseconds` [answered]: how long each answer with status 200 took; `failures` counts the
    others by kind: an HTTP status, or `connection` and `timeout`. `seconds`: from the first payment
    to the last answer.
    """

    milliseconds: Floats
    failures: dict[str, int]
    seconds: float
    first: dict[str, str]
    """What the service said of the first failure of each kind."""

    @property
    def failed(self) -> int:
        """Payments without a decision."""
        return sum(self.failures.values())

    def summary(self) -> dict[str, float | int | dict[str, int] | dict[str, str] | None]:
        """The figures by name: milliseconds (None without answers), requests a second, failures."""
        names = ("min_ms", "average_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
        ms = self.milliseconds
        times = (ms.min(), ms.mean(), *np.percentile(ms, [50, 95, 99]), ms.max()) if len(ms) else ()
        total = len(ms) + self.failed
        return {
            "requests": total,
            "failed": self.failed,
            "failures": self.failures,
            "first_failures": self.first,
            "seconds": self.seconds,
            "per_second": total / self.seconds,
            **(dict(zip(names, map(float, times), strict=True)) if times else dict.fromkeys(names)),
        }

    def histogram(self, bins: int = 20) -> list[tuple[float, float, int]]:
        """Answers by time: from and to in milliseconds, on a logarithmic scale, and how many."""
        if not len(self.milliseconds):
            return []
        edges = np.geomspace(self.milliseconds.min(), self.milliseconds.max() * 1.0001, bins + 1)
        counts, _ = np.histogram(self.milliseconds, edges)
        return [
            (float(a), float(b), int(n))
            for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
        ]


def new_run() -> str:
    """What is put before the payment ids of one run.

    Letters only: digits and an id of digits behind them could be a card number together.
    """
    return "".join(choice(ascii_lowercase) for _ in range(_RUN_LETTERS)) + "-"


def payments_from(
    url: str,
    path: str | os.PathLike[str] | None,
    *,
    requests: int,
    run: str,
    dialect: Dialect | None = None,
    schema: Schema | None = None,
    join: tuple[Location, str] | None = None,
    now: datetime | None = None,
    authority: Path | None = None,
) -> list[bytes]:
    """Payments for a service from a raw log, in its order, with the fields that the service asks
    for.

    Args:
        path: the log; None simulates one of less than a day that ends now.
        run: put before each payment id, so that a second run is not answered from the ledger.
        dialect: of a log in CSV, where two fit it.
        schema: of the payments, which says how messages, numbers and times are read.
        join: a second table of statistics, and the column that both have.
        now: moves the payments into the day before this moment, in their order: a service refuses
            what is much older than the newest payment it knows.
        authority: certificates (PEM) of the authority that signed the service's own, for `https://`.

    Raises:
        BadFile: the log lacks a required field or a value in all of it, or has too few payments.
        ConfigurationError: the URL is none, no Shroff service answers at it, or its certificate is
            not trusted.
    """
    service_at(url)
    payment = _wanted(url, _trust(authority))
    if path is None:
        # the simulator makes about as many as it is asked for
        table, now = simulate(max(1_000, int(requests * 1.1)), days=1, seed=1), datetime.now(UTC)
    elif join is None:
        table = read(path, dialect=dialect, schema=schema)
    else:
        # payments without statistics are sent as they are: what serves must bear them
        table = read_joined(path, join[0], on=join[1], how="left", dialect=dialect)
    source = "simulated payments" if path is None else Location.of(path)
    missing = [name for name in payment.get("required", ()) if name not in table.columns]
    if missing:
        raise BadFile(
            f"{source}: expected the service's required fields, found no column `{missing[0]}`; "
            "name a log that has them with `--data`."
        )
    if len(table) < requests:
        raise BadFile(f"{source}: expected at least {requests:,} payments, found {len(table):,}.")
    fields = [name for name in payment["properties"] if name in table.columns]
    identifier = next(iter(payment["properties"]))
    table = table[:requests]
    if now is not None:
        times = [one for one in fields if payment["properties"][one].get("x-scale") == "time"]
        table = table.with_columns(_moved(table.select(times), now, schema))
    style = PLAIN if schema is None else schema.number_format
    columns = [_as_sent(table[name], payment["properties"][name], style) for name in fields]
    for sent in columns:
        if sent.name in payment.get("required", ()) and sent.null_count() == len(sent) > 0:
            if table[sent.name].null_count() == len(sent):
                raise BadFile(
                    f"{source}: expected values in the required column `{sent.name}`, found none "
                    f"in {len(sent):,} payments; name a log that has them with `--data`."
                )
            raise BadFile(
                f"{source}: expected numbers written like `{style}` in the required column "
                f"`{sent.name}`, found none: name the project that says how they are written with "
                "`--project`."
            )
    chosen = pl.DataFrame(columns).with_columns(
        pl.format("{}{}", pl.lit(run), identifier).alias(identifier)
    )
    return [
        json.dumps({name: value for name, value in row.items() if value is not None}).encode()
        for row in chosen.iter_rows(named=True)
    ]


def _moved(times: pl.DataFrame, now: datetime, schema: Schema | None) -> list[pl.Series]:
    """These columns of times less than a day before a moment, at which the last is."""
    zone, epoch = ("UTC", None) if schema is None else (schema.timezone or "UTC", schema.epoch)
    read = [
        one if isinstance(one.dtype, pl.Datetime) else parse_times(texts_of(one), zone, epoch)
        for one in times
    ]
    counted = [one.dt.epoch("us") for one in read]
    known = pl.concat(counted).drop_nulls()
    if known.is_empty():
        return []
    first, last = int(known.min()), int(known.max())  # type: ignore[arg-type]  # whole numbers
    scale = min(1.0, _SPAN_US / max(last - first, 1))
    end = round(now.timestamp() * 1_000_000)
    return [
        (end - ((last - one) * scale).cast(pl.Int64)).cast(pl.Datetime("us", "UTC")).alias(name)
        for name, one in zip(times.columns, counted, strict=True)
    ]


def _trust(authority: Path | None) -> SSLContext:
    """What certificates are checked against: an authority's, or those that the system trusts.

    Raises:
        ConfigurationError: the file holds no certificates.
    """
    try:
        return create_default_context(cafile=authority)
    except (OSError, SSLError) as error:
        raise ConfigurationError(
            f"expected certificates in PEM in {authority}, got something else "
            f"({type(error).__name__})."
        ) from None


def _wanted(url: str, trust: SSLContext) -> dict[str, Any]:
    try:
        document = (
            httpx.get(f"{url}/openapi.json", timeout=5, verify=trust).raise_for_status().json()
        )
        payment: dict[str, Any] = document["components"]["schemas"]["Payment"]
    except (httpx.HTTPError, KeyError, json.JSONDecodeError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigurationError(
                f"expected a certificate of {address(url)} that is trusted, got another one: name "
                "the certificates of the authority that signed it with `--tls-ca`."
            ) from None
        raise ConfigurationError(
            f"expected a Shroff service at {address(url)}, found none."
        ) from None
    return payment


def _as_sent(column: pl.Series, field: dict[str, Any], style: NumberFormat) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        local = "%Y-%m-%dT%H:%M:%S%.6f"
        if column.dtype.time_zone is None:
            return column.dt.strftime(local)
        return column.dt.convert_time_zone("UTC").dt.strftime(f"{local}Z")
    kinds = {field.get("type"), *(choice.get("type") for choice in field.get("anyOf", ()))}
    if column.dtype == pl.String and "number" in kinds and "string" not in kinds:
        column = numbers_of(column, style)
    if column.dtype.is_decimal():
        # JSON's numbers have the digits of a double, and amounts no more than these
        column = column.cast(pl.Float64)
    # JSON has no NaN: a gap is left out
    return column.fill_nan(None) if column.dtype.is_float() else column


def run_load(
    url: str,
    bodies: Sequence[bytes],
    *,
    key: str | None = None,
    parallel: int = 1,
    rate: float | None = None,
    authority: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> LoadReport:
    """Send payments to a service and time its answers.

    Args:
        bodies: one JSON payment each.
        key: API key, where the service wants one.
        parallel: connections; with `rate`, as many as are open at once at most.
        rate: payments a second, above zero, due at fixed times; None sends when an answer came.
        authority: as for `payments_from`.
        progress: called with how many have been answered, now and then.

    Raises:
        ConfigurationError: the URL is no `http://host:port` or `https://host:port`, the key is not
            taken, or the rate is none.
    """
    if rate is not None and not 0 < rate < math.inf:
        raise ConfigurationError(f"expected a rate above zero, such as 200, got {rate}.")
    parts = service_at(url)
    trust = _trust(authority) if parts.scheme == "https" else None
    port = parts.port or (80 if trust is None else 443)
    connect = partial(_Connection, parts.host, port, key, trust)
    return asyncio.run(_Load(connect, bodies, rate, progress).run(parallel))


class _Load:
    """One load test under way."""

    def __init__(
        self,
        connect: Callable[[], _Connection],
        bodies: Sequence[bytes],
        rate: float | None,
        progress: Callable[[int], None],
    ) -> None:
        self._connect = connect
        self._rate = rate
        self._progress = progress
        self._next: Iterator[tuple[int, bytes]] = iter(zip(count(), bodies, strict=False))
        self._milliseconds: list[float] = []
        self._failures: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._started = 0.0

    async def run(self, parallel: int) -> LoadReport:
        self._started = time.perf_counter()
        await asyncio.gather(*(self._sender() for _ in range(parallel)))
        seconds = time.perf_counter() - self._started
        return LoadReport(np.array(self._milliseconds), dict(self._failures), seconds, self._first)

    async def _sender(self) -> None:
        connection = self._connect()
        for number, body in self._next:
            due = time.perf_counter() if self._rate is None else self._started + number / self._rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
                due = (
                    time.perf_counter()
                )  # a timer is up to a millisecond late, which no payment waited for
            try:
                status, answer = await asyncio.wait_for(connection.post(body), _TIMEOUT_SECONDS)
            except TimeoutError:
                self._failures["timeout"] += 1
                connection.close()
            except (OSError, EOFError, ValueError):
                self._failures["connection"] += 1
                connection.close()
            else:
                if status in _KEY_ADVICE and not self._milliseconds:
                    raise ConfigurationError(_KEY_ADVICE[status])
                if status == 200:
                    self._milliseconds.append((time.perf_counter() - due) * 1000)
                else:
                    self._failures[str(status)] += 1
                    self._first.setdefault(str(status), answer.decode(errors="replace")[:300])
            if number % 100 == 0:
                self._progress(number)
        connection.close()


class _Connection:
    """One kept-alive HTTP/1.1 connection: as little of the protocol as costs the client least."""

    def __init__(self, host: str, port: int, key: str | None, trust: SSLContext | None) -> None:
        self._address = host, port
        self._trust = trust
        head = [f"POST {_PATH} HTTP/1.1", f"host: {host}:{port}", "content-type: application/json"]
        if key is not None:
            head.append(f"authorization: {bearer(key)}")
        self._head = "".join(f"{line}\r\n" for line in head).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send one payment; the status and the body of its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, ssl=self._trust)
        reader, writer = self._streams
        writer.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        answer = await reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))
        if b"connection: close" in lower:
            self.close()
        return int(head[9:12]), answer

    def close(self) -> None:
        """Close it; the next payment opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
