"""People are forgotten while a service decides payments, also theirs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from redis import Redis

from commands import answer
from patience import PATIENCE, until
from serve.audit import body
from serve.service import Service
from serve.several import children, ledger_url, service, state_url
from shroff.client import Client
from shroff.control import Keys, reading_keyring
from shroff.errors import AccessDenied, BadPayment, NotFound, UnknownKey
from shroff.ledger import Ledger
from shroff.monitor import ledger_parity
from shroff.package import load

Pay = Callable[..., dict[str, Any]]
__all__ = ["ledger_url", "state_url"]
ADA = "card-of-ada"


@contextmanager
def paying(url: str, key: str | None, pay: Pay) -> Iterator[dict[str, list[str]]]:
    """Ada and others pay all the while; the ids of what was answered, by card."""
    paid: dict[str, list[str]] = {ADA: [], "c1": [], "c2": []}
    ended = Event()

    def go_on(card: str) -> None:
        with Client(url, key=key, timeout=PATIENCE) as client:
            for number in itertools.count():
                # no id says whose a payment is
                one = pay(payment_id=f"{card[-1]}{number}", card_id=card, host_id=f"host-of-{card}")
                client.decide(one)
                # of one that is forgotten at this moment, nothing can be added
                with suppress(NotFound):
                    client.result(one["payment_id"], "failed")
                paid[card].append(one["payment_id"])
                if ended.is_set():
                    return

    with ThreadPoolExecutor(3) as pool:
        going = [pool.submit(go_on, card) for card in paid]
        try:
            yield paid
        finally:
            ended.set()
    for one in going:
        one.result()


def more(paid: dict[str, list[str]], number: int) -> None:
    """Wait until everybody has paid so often again."""
    before = {card: len(ids) for card, ids in paid.items()}
    until(lambda: all(len(ids) >= before[card] + number for card, ids in paid.items()))


def test_a_running_service_forgets_somebody_who_goes_on_paying(
    sealed_folder: Path, tmp_path: Path, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = f"sqlite:///{tmp_path / 'control.db'}"
    keys = Keys(control)
    shop, officer = keys.create("shop", ["decide", "label"]), keys.create("dpo", ["forget"])
    with (
        Service(sealed_folder, tmp_path, keys=True) as running,
        Client(running.url, key=officer, timeout=PATIENCE) as asked,
        paying(running.url, shop, pay) as paid,
    ):
        more(paid, 10)
        with Client(running.url, key=shop) as other, pytest.raises(AccessDenied):
            other.forget([ADA])
        with pytest.raises(UnknownKey, match="in SHROFF_API_KEY, got none: `shroff keys create"):
            answer("forget", ADA, "--dry-run", "--url", running.url, home=tmp_path)
        monkeypatch.setenv("SHROFF_API_KEY", officer)
        counted = answer("forget", ADA, "--dry-run", "--url", running.url, home=tmp_path)
        assert (counted["forgotten"], counted["records"]["payment"] >= 10) == (False, True)
        done = asked.forget([ADA])
        assert (done.forgotten, done.columns) == (True, ["card_id"])
        more(paid, 10)
        # the log before the database is written over is one of the files
        assert (tmp_path / "ledger.db-wal").exists()
        for file in tmp_path.iterdir():
            assert ADA.encode() not in file.read_bytes(), file.name
        # nobody has such a card: it is the name of nothing of ours either
        assert asked.forget(["\0traces", "nobody", 'a" \u202e\n'], trace=False).records == {}
        for nobody in (" ", "\t"):
            with pytest.raises(BadPayment, match="blank"):
                asked.forget([nobody])
        with Client(running.url, key=shop) as other, pytest.raises(NotFound, match="forgotten on"):
            other.result("a0", "failed")
    ledger = Ledger(running.ledger, keyring=reading_keyring(control))
    assert [entry.kind for entry in ledger.raw()].count("forgotten") == 1
    ledger.verify()
    entries = list(ledger.entries())
    gone = [one.kind for one in entries if one.forgotten is not None]
    assert {kind: gone.count(kind) for kind in set(gone)} == done.records
    # the first payment that is still there was decided without those before it, and so on
    theirs = [one for one in entries if one.payment_id.startswith("a") and one.forgotten is None]
    seen = [body(one)["features"]["card_count_1d"] for one in theirs if one.kind == "payment"]
    assert seen == list(range(len(seen)))
    assert len(seen) >= 10
    # nobody's features differ from what the ledger says, in no moment
    found = ledger_parity(load(sealed_folder), iter(entries))
    assert found.holds, {name: count for name, count in found.different.items() if count}
    assert found.lacking == 0


def test_workers_that_share_a_state_forget_together(
    sealed_folder: Path, tmp_path: Path, state_url: str, ledger_url: str, pay: Pay
) -> None:
    server = Redis.from_url(state_url)

    def kept() -> bytes:
        """All that Redis has."""
        return b"".join(name + (server.dump(name) or b"") for name in server.scan_iter())

    with (
        service(sealed_folder, tmp_path, state_url, ledger_url, 2) as (url, parent),
        Client(url, timeout=PATIENCE) as client,
    ):
        for number in range(6):
            client.decide(pay(payment_id=f"a{number}", card_id=ADA, host_id="host-of-ada"))
            client.decide(pay(payment_id=f"b{number}", card_id="c1", host_id="host-of-all"))
        assert ADA.encode() in kept()
        assert client.forget([ADA]).records == {"payment": 6}
        until(lambda: ADA.encode() not in kept())
        until(client.ready)
        assert len(children(parent.pid)) == 2
        for number in range(6):
            # over a connection each, so that both workers get some
            with Client(url, timeout=PATIENCE) as other:
                other.decide(pay(payment_id=f"c{number}", card_id="c1", host_id="host-of-all"))
                other.decide(pay(payment_id=f"d{number}", card_id=ADA, host_id="host-new"))
    ledger = Ledger(ledger_url, keyring=reading_keyring(ledger_url))
    ledger.verify()
    entries = list(ledger.entries())
    found = ledger_parity(load(sealed_folder), iter(entries))
    assert (found.holds, found.payments, found.lacking) == (True, 18, 0), found
    (first,) = (one for one in entries if one.payment_id == "d0")
    assert msgspec.json.decode(first.body)["features"]["card_count_1d"] == 0
