"""Faults of what is given to a service, and to commands beside it, by somebody who wants to harm:
files, places to write to, card numbers, the costliest policy.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from benchmarks.faults.load import Load, payment
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from benchmarks.fuzz.neighbour import Neighbour
from serve.fixtures import SCHEMA, VELOCITY, fitted_model, make_bundle
from serve.test_doors import CARDS, DOORS
from shroff import Policy, ReferenceTable, Rule, lookup
from shroff.collect.values import LONGEST_NAME
from shroff.control.models import Models
from shroff.errors import ShroffError
from shroff.package import save

_GIVEN_SECONDS: Final = 60.0
_GIVEN_MIB: Final = 1_024
"""MiB that a command may take; most of it are libraries."""
_WAIT_SECONDS: Final = 0.15
"""What a neighbour may wait: 50 ms, on a machine on which others work."""
_LINES: Final = 256
_PROJECT: Final = """
from shroff import Project, Schema
from shroff.collect import Iso20022, Iso8583
transfer = "CdtTrfTxInf/"
columns = {"id": transfer + "PmtId/EndToEndId", "at": "GrpHdr/CreDtTm",
    "amount": transfer + "IntrBkSttlmAmt", "currency": transfer + "IntrBkSttlmAmt/@Ccy"}
numbers = {"id": "37", "at": "7", "amount": "4", "currency": "49"}
messages = [Iso20022(columns), Iso8583(numbers)]
project = Project(
    schema=Schema(id="id", time="at", amount="amount", currency="currency", messages=messages))
"""
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "payments"
_HEAD: Final = (
    b"<Document><FIToFICstmrCdtTrf><GrpHdr><CreDtTm>2024-05-04T10:00:00Z</CreDtTm></GrpHdr>"
)
_BOMB: Final = b"".join(
    b'<!ENTITY e%d "%b">' % (at, b"&e%d;" % (at - 1) * 10 if at else b"lol") for at in range(9)
)


def tables(place: Place) -> Verdict:
    """Put hostile files in the place of a reference table of a running service."""
    place.folder.mkdir(parents=True)
    own = ReferenceTable.of("mcc", [{"mcc": "5411", "risk": 0.1}], key="mcc", numeric=["risk"])
    schema = msgspec.structs.replace(SCHEMA, tables=[own], lookups=[lookup("risk", on="mcc")])
    bundle = place.folder / "tabled"
    save(make_bundle(fitted_model(), schema=schema.with_keys(VELOCITY.key_columns)), bundle)
    given = [*_tables(place.folder)]

    def happen(service: Service, load: Load) -> str:
        for file in given:
            _refused(service, "tables", "replace", "mcc", file, "--bundle", bundle)
            load.wait(10)
        return f"{len(given)} files given to `tables replace`, each refused in a sentence"

    return replace(place, bundle=bundle).suffer("hostile tables", happen)


def _tables(folder: Path) -> Iterator[Path]:
    for name, text in (
        ("number.csv", "mcc,risk\n5411,1e999\n"),
        ("card.csv", "mcc,risk\norder 4111 1111 1111 1111,1\n"),
        ("quote.csv", 'mcc,risk\n"5411,1\n5412,2\n'),
        ("other.csv", "mcc,danger\n5411,1\n"),
        ("no.parquet", "PAR1" + "x" * 4_000 + "PAR1"),
    ):
        (folder / name).write_text(text)
        yield folder / name
    os.truncate(_made(folder / "sparse.csv", b"mcc,risk\n"), 1 << 40)
    yield folder / "sparse.csv"
    pl.select(
        pl.repeat("5411", 9_000_000).alias("mcc"), pl.repeat(1.0, 9_000_000).alias("risk")
    ).write_parquet(folder / "long.parquet")
    yield folder / "long.parquet"
    os.mkfifo(folder / "pipe.csv")
    yield folder / "pipe.csv"
    (folder / "zero.csv").symlink_to("/dev/zero")
    yield folder / "zero.csv"


def _made(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def messages(place: Place) -> Verdict:
    """Read hostile files of messages between banks beside a running service."""
    project = place.folder / "project.py"

    def happen(service: Service, load: Load) -> str:
        project.write_text(_PROJECT)
        for number, (form, content) in enumerate(_messages()):
            file = _made(place.folder / f"{number}.{form}", content)
            given = file if form == "xml" else f"{form}:{file}"
            target = place.folder / "read.parquet"
            _refused(service, "collect", project, "--data", given, "--out", target)
            if target.exists():
                raise RuntimeError(f"something of message file {number} was kept")
            load.wait(10)
        return f"{number + 1} files given to `collect`, each refused in a sentence"

    return place.suffer("hostile messages", happen)


def _messages() -> Iterator[tuple[str, bytes]]:
    yield "xml", b"<!DOCTYPE d [" + _BOMB + b"]><Document>&e8;</Document>"
    yield "xml", b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document>&e;</Document>'
    yield "xml", _HEAD + b"<a>" * 1_000_000
    yield "xml", _HEAD + b"x" * 50_000_000
    yield "xml", _HEAD + b"<a " + b"x" * 50_000_000
    yield "xml", _HEAD + b"".join(b"<a%d/>" % at for at in range(1_000_000))
    yield "xml", _HEAD + b"".join(b"<%b%d/>" % (b"a" * 50_000, at) for at in range(1_000))
    for count in (0, 3, 60_000):
        yield "iso8583", struct.pack(">H", 65_535) + b"9" * count
    yield "iso8583", struct.pack(">H", 40) + b"0100" + b"\xff" * 36
    yield "iso8583", (struct.pack(">H", 14) + b"0100" + b"\x40" + bytes(7) + b"99") * 100_000


def places(place: Place) -> Verdict:
    """Let a command write to devices, pipes, folders and links beside a running service."""
    place.folder.mkdir(parents=True)
    log, mine = place.folder / "log.csv", _made(place.folder / "mine", b"mine")
    log.write_text("id,at,amount,is_fraud\n" + "p1,2024-05-04T10:00:00Z,1,0\n" * 3)
    os.mkfifo(place.folder / "pipe")
    (place.folder / "link").symlink_to(mine)
    (place.folder / "hanging").symlink_to(place.folder / "elsewhere")
    targets = ["/dev/full", "/dev/null", "/proc/self/mem", place.folder, "/no/such/folder/x"]
    targets += [place.folder / name for name in ("pipe", "link", "hanging", "mine/x")]

    def happen(service: Service, load: Load) -> str:
        for target in targets:
            _refused(service, "init", "--data", log, "--out", target)
            load.wait(5)
        if mine.read_bytes() != b"mine" or (place.folder / "elsewhere").exists():
            raise RuntimeError("a command wrote through a link")
        return f"`init --out` at {len(targets)} places where no file may go, each refused"

    return place.suffer("hostile places", happen)


def cards(place: Place) -> Verdict:
    """Send a card number through every door, in each way that one may be written."""
    doors = [door for door in DOORS if door != "open inference"]

    def happen(service: Service, load: Load) -> str:
        wrong = []
        for door in doors:
            path, shaped = DOORS[door]
            for number, (where, changed) in enumerate(CARDS.items()):
                sent = payment(number, time.time() - 60, f"card-{door}-") | changed
                (text,) = map(str, changed.values())
                body = {"result": {"result": text}, "label": {"fraud": True, "source": text}}
                path = path.replace("known", "n0")
                answer = _post(service, path, json.dumps(body.get(door, shaped(sent))).encode())
                if b"card number" not in answer or b"1111" in answer:
                    wrong.append(f"{door}, {where}: {answer[:200].decode()}")
        kept = b"".join(file.read_bytes() for file in service.home.glob("*") if file.is_file())
        if wrong or any(number in kept for number in (b"4111111111111111", b"4111 1111 1111")):
            raise RuntimeError("; ".join(wrong) or "a card number is in a file of the service")
        return f"{len(CARDS)} ways to write one through {len(doors)} doors, each refused"

    return place.suffer("card numbers", happen)


def _post(service: Service, path: str, body: bytes) -> bytes:
    kind = "application/x-ndjson" if path.endswith(":batch") else "application/json"
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=_GIVEN_SECONDS)) as connection:
        connection.request("POST", path, body, {"content-type": kind})
        try:
            return connection.getresponse().read()
        except IncompleteRead as error:
            raise RuntimeError(f"an answer was cut off behind {error.partial[-300:]!r}") from None


def policies(place: Place) -> Verdict:
    """Publish the costliest policy that is accepted, and send the costliest texts."""
    models = Models(place.folder / "models")
    models.publish(place.bundle)

    def happen(service: Service, load: Load) -> str:
        try:
            models.publish_policy(_policy(65))
        except ShroffError:
            pass
        else:
            raise RuntimeError("a policy beyond the budget of regular expressions is published")
        version = models.publish_policy(_policy(64)).version.encode()
        load.until(lambda: version in load.told.last)
        lines = [json.dumps(one).encode() for one in map(_costly, range(_LINES))]
        with Neighbour(service.port, "", service.process.pid) as neighbour:
            time.sleep(0.5)
            began = time.monotonic()
            answers = _post(service, "/v1/decisions:batch", b"\n".join(lines)).splitlines()
            waited = max(one.delay for one in neighbour.since(began))
        if len(answers) != _LINES or not all(b'"degraded":false' in one for one in answers):
            raise RuntimeError("not all of the costliest payments were decided")
        if waited > _WAIT_SECONDS:
            raise RuntimeError(f"the neighbour waited {1_000 * waited:,.0f} ms")
        return (
            f"{_LINES} of the costliest payments in a batch; a neighbour waited "
            f"{1_000 * waited:,.0f} ms at most"
        )

    return place.suffer("costly policy", happen, published=True)


def _policy(patterns: int) -> Policy:
    """Patterns that a text drives through ever other sets of states."""
    mixed = "(a|b|c|d|[^x])*[a-e][c-j][abgh][^ab]"
    rules = [
        Rule(
            f"r{at}", f"REGEXP_LIKE(merchant_id, '{mixed}[c-j][^{chr(200 + at)}].[a-e]x0{at % 10}')"
        )
        for at in range(patterns)
    ]
    return Policy(review_at=0.5, decline_at=0.9, rules=rules)


def _costly(number: int) -> dict[str, object]:
    text = "".join(chr(97 + (number * 7 + at * at) % 10) for at in range(LONGEST_NAME))
    return payment(number, time.time() - 60, "costly") | {"merchant_id": text}


def trainings(place: Place) -> Verdict:
    """Kill a training beside a running service twice, each time after one more fit."""
    home = place.folder / "training"
    log = home / "log.parquet"
    train = ("train", _EXAMPLE, "--data", log, "--bundle")

    def happen(_: Service, load: Load) -> str:
        home.mkdir()
        _run(home, "simulate", log, "--days", 30, "--payments", 12_000)
        whole = _content(home, _run(home, *train, home / "whole", "--json"))
        resume: tuple[object, ...] = ()
        for fits in (1, 2):
            _kill(home, (*train, home / "killed", *resume), load, fits)
            run = json.loads(_run(home, "runs", "list", "--json").stdout)["runs"][-1]["run"]
            resume = ("--resume", run)
        again = _content(home, _run(home, *train, home / "killed", *resume, "--json"))
        if again != whole:
            raise RuntimeError("the run that was killed made another bundle")
        return "killed twice, resumed twice: the same bundle as a run that nobody killed"

    return place.suffer("training killed", happen)


def _kill(home: Path, words: tuple[object, ...], load: Load, fits: int) -> None:
    """Kill a training once so many of its fits are kept."""
    process = subprocess.Popen(_command(*words), env=_environment(home), stderr=subprocess.DEVNULL)
    kept = home / "runs"
    # named by its digest, a fit is whole
    load.until(lambda: sum(len(one.name) == 64 for one in kept.glob("*/fits/*")) >= fits)
    process.kill()
    process.wait()


def _content(home: Path, trained: subprocess.CompletedProcess[str]) -> str:
    """The digest of what a training packaged."""
    run = json.loads(trained.stdout)["run"]
    record = json.loads(_run(home, "runs", "show", run, "--json").stdout)
    content: str = record["bundle"]["content"]
    return content


def _refused(service: Service, *words: object) -> None:
    """Run a command that must be refused in one sentence, soon, and without much memory."""
    done = _run(service.home, *words, code=2)
    said = done.stderr.strip()
    if "Traceback" in said or len(said.splitlines()) > 4 or "1111" in said:
        raise RuntimeError(f"`{' '.join(map(str, words))}` says: {said[:500]}")


def _run(home: Path, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        _command(*words), env=_environment(home), capture_output=True, text=True,
        timeout=_GIVEN_SECONDS * 3, check=False, preexec_fn=_bounded,
    )  # fmt: skip
    if done.returncode != code:
        raise RuntimeError(
            f"`{' '.join(map(str, words))}` ends with {done.returncode}: {done.stderr[-500:]}"
        )
    return done


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "shroff", *map(str, words)]


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {"SHROFF_HOME": str(home)}


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_GIVEN_MIB << 20,) * 2)
