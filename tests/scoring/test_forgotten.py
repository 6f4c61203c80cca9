"""A person is forgotten: nobody can read their payments, the chain holds, and decisions on others
are replayed to the bit.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve.service import KEY
from servers import postgres_schema
from shroff.act import Desk
from shroff.clock import system_time
from shroff.collect import PaymentReader
from shroff.collect.personal import tokenizer
from shroff.control import LiveKeyring, SubjectKeys, reading_keyring
from shroff.control.subject_keys import ended
from shroff.errors import ConfigurationError, NotFound, PaymentConflict
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import Keyring, Ledger, Noted
from shroff.ledger.erasure import expire, records_of
from shroff.ledger.keyring import parts_of, seal_of
from shroff.monitor import ledger_parity, replay_decision
from shroff.package import Bundle, load
from shroff.scoring.forgetting import Eraser
from shroff.scoring.scorer import Scorer
from shroff.scoring.start import Start
from shroff.state.rebuild import replay

Pay = Callable[..., dict[str, Any]]
ADA = "card-of-ada"
MAIL = "ada@example.org"
TOKEN = tokenizer(KEY)(MAIL)
NUMBERS = range(24)


@pytest.fixture(scope="module")
def bundle(sealed_folder: Path) -> Bundle:
    return load(sealed_folder)


class World:
    """A service's ledger and control database, in one place."""

    def __init__(self, bundle: Bundle, ledger: str, control: str) -> None:
        self.bundle = bundle
        self.url = ledger
        self.control = control
        self.keys = SubjectKeys(control)

    def ledger(self) -> Ledger:
        return Ledger(self.url, keyring=reading_keyring(self.control))

    def scorer(self) -> Scorer:
        keyring = Keyring(KEY)
        live = LiveKeyring(self.keys, keyring, self.bundle.schema)
        scorer = Scorer(self.bundle, Ledger(self.url, keyring=keyring), key=KEY, keys=live)
        scorer.start()
        return scorer

    async def record(self, pay: Pay) -> None:
        scorer = self.scorer()
        for number in NUMBERS:
            ada = number % 3 == 0
            await scorer.decide(msgspec.json.encode(sent(pay, number)))
            identifier = f"p{number}"
            await scorer.learn("result", identifier, "failed" if number % 2 else "authorised")
            if ada:
                await scorer.learn("label", identifier, True, note="Ada told us herself")
        scorer.close()

    def forget(self, subject: str = ADA, *, traces: bool = True) -> dict[str, int]:
        """As the command does, without waiting for services that there are not."""
        keyring = Keyring(KEY, self.keys.periods())
        with Ledger(self.url, keyring=keyring) as ledger:
            eraser = Eraser(
                ledger,
                self.keys,
                Desk(self.control),
                secret=KEY,
                follow=lambda: keyring.take(self.keys.periods()),
                patience=0.0,
            )
            erasure = eraser.begin([subject], by="dpo", traces=traces)
            eraser.finish(erasure, by="dpo")
            return eraser.done(erasure).records

    def replayed(self, number: int) -> Any:
        return replay_decision(f"p{number}", self.ledger(), lambda version: self.bundle)

    def replayed_ids(self, *payments: str) -> list[bool]:
        return [
            replay_decision(one, self.ledger(), lambda version: self.bundle).holds
            for one in payments
        ]

    def started(self) -> tuple[Start, str]:
        """What a start of the service says, and its notice."""
        scorer = self.scorer()
        scorer.close()
        assert scorer.started is not None
        return scorer.started, scorer.notice or ""

    def next_features(self, pay: Pay) -> list[dict[str, Any]]:
        """What payments of others would see after a restart."""
        engine = OnlineEngine(self.bundle.groups, self.bundle.schema)
        replay(engine, self.ledger().entries())
        reader = PaymentReader(self.bundle.schema, key=KEY, currency=self.bundle.currency)
        arrived = system_time()
        asked = [
            pay(payment_id=f"{card} {host}", card_id=card, host_id=host, email="eve@example.org")
            for card in ("c0", "c-new")
            for host in ("host-of-all", "host-new")
        ]
        return [
            engine.observe(reader.parse(msgspec.json.encode(one), arrived=arrived)) for one in asked
        ]


def sent(pay: Pay, number: int) -> dict[str, Any]:
    """Every third payment is Ada's; hosts and mail addresses are hers alone, or shared."""
    ada = number % 3 == 0
    return pay(
        payment_id=f"p{number}",
        card_id=ADA if ada else f"c{number % 2}",
        host_id="host-of-ada" if number % 6 == 0 else "host-of-all",
        email=MAIL if ada else "bob@example.org",
        amount=100.0 + 7 * number,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, bundle: Bundle, pay: Pay
) -> Iterator[World]:
    if request.param == "sqlite":
        made = World(bundle, *(f"sqlite:///{tmp_path}/{name}.db" for name in ("ledger", "control")))
        asyncio.run(made.record(pay))
        yield made
        return
    with postgres_schema(request.getfixturevalue("postgres_server")) as url:
        made = World(bundle, url, url)
        asyncio.run(made.record(pay))
        yield made


OTHERS = [number for number in NUMBERS if number % 3]
SOME = OTHERS[::5]
"""Of these every line of the replay is compared; parity compares the features of all."""


def test_others_are_replayed_to_the_bit_and_the_chain_holds(world: World, pay: Pay) -> None:
    head = world.ledger().verify()
    before = {number: world.replayed(number) for number in (0, *SOME)}
    assert all(found.holds for found in before.values())
    expected = _without_seconds(world.next_features(pay))
    assert world.forget() == {"payment": 8, "result": 8, "label": 8}
    assert world.ledger().verify(since=Noted.read(str(head))).seq == head.seq + 24 + 1
    for number in SOME:
        assert world.replayed(number) == before[number]
    found = ledger_parity(world.bundle, world.ledger().entries())
    assert (found.holds, found.payments, found.lacking) == (True, len(OTHERS), 0)
    assert _without_seconds(world.next_features(pay)) == expected
    with pytest.raises(NotFound, match="forgotten on 20"):
        world.replayed(0)
    # nobody is there any more: nothing is written, no key destroyed
    last = world.ledger().head()
    assert world.forget() == {}
    assert world.ledger().head() == last


def _without_seconds(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Features but for how long ago something was, which changes between two looks."""
    return [{name: value for name, value in one.items() if "seconds" not in name} for one in seen]


def test_without_a_trace_replays_say_what_they_lack(world: World) -> None:
    world.forget(traces=False)
    assert [entry.kind for entry in world.ledger().raw()].count("trace") == 0
    found = world.replayed(OTHERS[-1])
    assert (found.holds, found.lacking) == (False, 8)
    assert ledger_parity(world.bundle, world.ledger().entries()).lacking == 8
    engine = OnlineEngine(world.bundle.groups, world.bundle.schema)
    assert replay(engine, world.ledger().entries()).forgotten == 8
    start, notice = world.started()
    assert start.forgotten == 8
    assert "nothing was kept of 8 forgotten payments" in notice


def test_a_forgotten_payment_is_refused_and_its_card_begins_anew(world: World, pay: Pay) -> None:
    world.forget()

    async def ask() -> dict[str, Any]:
        scorer = world.scorer()
        try:
            with pytest.raises(PaymentConflict, match=r"forgotten on .* Give a new payment a new"):
                await scorer.decide(msgspec.json.encode(sent(pay, 0)))
            for asked in (
                scorer.decision("p0"),
                scorer.learn("result", "p0", "failed"),
                scorer.learn("label", "p0", True),
            ):
                with pytest.raises(NotFound, match="forgotten on 20"):
                    await asked
            again = sent(pay, 0) | {"payment_id": "p-again"}
            await scorer.decide(msgspec.json.encode(again))
            await scorer.learn("label", "p-again", False)
            found: dict[str, Any] = msgspec.json.decode(await scorer.decision("p-again"))
            return found
        finally:
            scorer.close()

    assert asyncio.run(ask())["fraud"] is False
    entry = world.ledger().find("p-again")
    assert entry is not None
    assert msgspec.json.decode(entry.body)["features"]["card_count_1d"] == 0
    # a second forgetting takes what came since
    assert world.forget() == {"payment": 1, "label": 1}
    kept = [entry for entry in world.ledger().entries() if entry.forgotten is not None]
    assert len(kept) == 26
    world.ledger().verify()


SECRETS = (ADA, MAIL, TOKEN, "Ada told us herself", "host-of-ada", "bob@example.org")


def test_no_file_has_anything_of_them(tmp_path: Path, bundle: Bundle, pay: Pay) -> None:
    place = f"sqlite:///{tmp_path}"
    world = World(bundle, f"{place}/ledger.db", f"{place}/control.db")
    asyncio.run(world.record(pay))
    before = world.keys.periods()
    records = records_of(Ledger(world.url, keyring=Keyring(KEY, before)), [ADA]).sealed
    seals = {seal_of(record) for record in records}
    (leaf,) = (before[0].keys.key(parts_of(seal)[1]) for seal in seals)
    (root,) = before[0].keys.nodes.values()
    assert leaf is not None
    assert root in (tmp_path / "control.db").read_bytes()
    _require_gone(tmp_path, [text.encode() for text in SECRETS])
    world.forget()
    # of what traces keep, nothing is hers
    traces = b"".join(entry.body for entry in world.ledger().entries() if entry.forgotten)
    assert b"host-of-all" in traces
    assert [text for text in SECRETS if text.encode() in traces] == []
    _require_gone(tmp_path, [text.encode() for text in SECRETS] + [leaf, root])
    (gone,) = (period.keys for period in world.keys.periods() if period.forgotten)
    assert gone.key(parts_of(next(iter(seals)))[1]) is None


def _require_gone(folder: Path, needles: list[bytes]) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"ledger.db", "control.db"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path.name


KILLED = """
import os, signal, sys
from itertools import islice
from shroff.act import Desk
from shroff.control import SubjectKeys
from shroff.ledger import Keyring, Ledger, erasure
from shroff.scoring.forgetting import Eraser
url, control, step, card = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
keys = SubjectKeys(control)
keyring = Keyring(b"k" * 32, keys.periods())
if step == "traces":
    write = erasure._write
    def some(ledger, entries):
        write(ledger, islice(entries, 5))
        die()
    erasure._write = some
elif step == "begin":
    keys.begin = die
elif step == "keys":
    keys.destroy = die
else:
    keys.scrub = die
with Ledger(url, keyring=keyring) as ledger:
    eraser = Eraser(ledger, keys, Desk(control), secret=b"k" * 32,
                    follow=lambda: keyring.take(keys.periods()))
    begun = eraser.begin([card], by="dpo")
    eraser.finish(begun, by="dpo")
    eraser.done(begun)
"""


@pytest.mark.parametrize("step", ["traces", "begin", "keys", "scrub"])
def test_a_killed_forgetting_is_run_again_and_ends(
    tmp_path: Path, bundle: Bundle, pay: Pay, step: str
) -> None:
    place = f"sqlite:///{tmp_path}"
    world = World(bundle, f"{place}/ledger.db", f"{place}/control.db")
    asyncio.run(world.record(pay))
    before = {number: world.replayed(number) for number in SOME[1:]}
    command = [sys.executable, "-c", KILLED, world.url, world.control, step, ADA]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    # killed before the keys were destroyed, everything can still be read
    assert world.replayed(0).holds if step != "scrub" else True
    world.forget()
    kinds = [entry.kind for entry in world.ledger().raw()]
    assert (kinds.count("trace"), kinds.count("forgotten")) == (24, 1)
    assert {number: world.replayed(number) for number in before} == before
    assert ledger_parity(world.bundle, world.ledger().entries()).holds
    with pytest.raises(NotFound, match="forgotten"):
        world.replayed(0)
    world.ledger().verify()


def test_old_periods_expire_with_all_their_records(world: World, pay: Pay) -> None:
    world.forget()
    number = len(world.keys.periods())
    asyncio.run(_decide(world, pay(payment_id="new", card_id="c0")))
    now = system_time()
    numbers = ended(world.keys.periods(), now)
    assert numbers == list(range(1, number))
    assert ended(world.keys.periods(), now - 3_600_000_000) == []
    with Ledger(world.url, keyring=Keyring(KEY, world.keys.periods())) as ledger:
        # records of both periods but for the last, traces too
        expected = {"payment": 24, "result": 24, "label": 8, "trace": 24}
        assert expire(ledger, numbers, by="dpo", at="2026-11-29", arrived=now) == expected
    world.keys.expire(numbers)
    shown = {entry.payment_id: entry for entry in world.ledger().entries()}
    assert [name for name, entry in shown.items() if entry.kind == "payment" and entry.body] == [
        "new"
    ]
    assert shown["p1"].forgotten is not None
    assert all(not period.keys.nodes for period in world.keys.periods()[:-1])
    world.ledger().verify()
    assert ended(world.keys.periods(), now) == []


async def _decide(world: World, payment: dict[str, Any]) -> None:
    scorer = world.scorer()
    await scorer.decide(msgspec.json.encode(payment))
    scorer.close()


def test_payments_from_before_there_was_a_subject_are_not_forgotten_in_silence(
    tmp_path: Path, bundle: Bundle, pay: Pay
) -> None:
    place = f"sqlite:///{tmp_path}"
    plain = msgspec.structs.replace(bundle.schema, subject=None)
    world = World(replace(bundle, schema=plain), f"{place}/ledger.db", f"{place}/control.db")
    asyncio.run(_decide(world, pay(payment_id="old", card_id=ADA)))
    world.bundle = bundle
    asyncio.run(_decide(world, pay(payment_id="new", card_id=ADA)))
    assert world.replayed_ids("old", "new") == [True, True]
    with pytest.raises(ConfigurationError, match="1 payments of the subject were written before"):
        world.forget()
    assert world.replayed_ids("old", "new") == [True, True]
    # a ledger without the keys can be verified, and says what it needs to be read
    Ledger(world.url).verify()
    with pytest.raises(ConfigurationError, match="record 4 of the ledger is sealed"):
        list(Ledger(world.url).entries())
