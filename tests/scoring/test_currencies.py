"""Payments in several currencies at the service: converted once, recorded so, or refused; never a
wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from serve.asking import decide, refusal, run
from serve.audit import body, read_ledger, state
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from serve.service import KEY, Service
from shroff import Rates
from shroff.collect.conversion import Converter
from shroff.control import StoredRates
from shroff.errors import BadPayment, BundleError, MixedCurrencies, NotFound, UnreadableRecord
from shroff.ledger import Ledger
from shroff.monitor import ledger_parity, replay_decision
from shroff.monitor.recorded import recorded_payments, recorded_plan
from shroff.package import Bundle, save
from shroff.scoring.history import history_of
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]
Start = Callable[[Bundle], Scorer]
RATES = Rates.constant("EUR", {"JPY": "0.00625", "KWD": "3.0303"})
OTHERS = Rates.constant("EUR", {"JPY": "0.01", "KWD": "3"})
RATED = msgspec.structs.replace(SCHEMA, rates=RATES).with_keys(VELOCITY.key_columns)


def made_of(model: bytes, folder: Path, **changes: Any) -> Bundle:
    return save(make_bundle(model, **({"currency": "EUR"} | changes)), folder / "bundle")


@pytest.fixture
def rated(model: bytes, tmp_path: Path) -> Bundle:
    """A bundle that counts in euros, with rates of two other currencies."""
    return made_of(model, tmp_path, schema=RATED)


@pytest.fixture
def plain(model: bytes, tmp_path: Path) -> Bundle:
    """A bundle that was trained on euros, without rates."""
    return made_of(model, tmp_path)


def test_the_same_payment_in_yen_is_decided_as_in_euros(
    rated: Bundle, start: Start, pay: Pay
) -> None:
    scorer = start(rated)

    async def work() -> None:
        euros = await decide(scorer, pay(card_id="c1", amount=80.0))
        yen = await decide(scorer, pay(card_id="c2", amount=12_800, currency="392"))
        assert (euros["probability"], euros["action"]) == (yen["probability"], yen["action"])

    run(work())


def test_the_ledger_has_what_was_paid_and_what_it_is_worth(
    rated: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    run(decide(start(rated), pay(amount=12_801, currency="JPY")))
    payment = body(read_ledger(ledger_url)[0])["payment"]
    assert (payment["minor"], payment["units"], payment["rates"]) == (8_001, 800_100, RATES.mark)
    values = payment["values"]
    assert (values["amount"], values["original_amount"], values["currency"]) == (
        80.01,
        12_801.0,
        "JPY",
    )


def test_without_rates_a_record_is_as_it_was(
    plain: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    run(decide(start(plain), pay()))
    payment = body(read_ledger(ledger_url)[0])["payment"]
    assert "rates" not in payment
    assert "original_amount" not in payment["values"]


def convert_by(scorer: Scorer, rates: Rates) -> None:
    scorer._sequencer.use(replace(scorer.active, reader=scorer.reader.converting(Converter(rates))))


def test_what_was_decided_is_batch_replays_and_survives_other_rates(
    rated: Bundle, start: Start, pay: Pay, ledger_url: str, tmp_path: Path
) -> None:
    scorer = start(rated)
    sent = [
        pay(
            payment_id=f"p{n}",
            card_id=f"c{n % 3}",
            amount=[80.0, 12_801, 33.333][n % 3],
            currency=["EUR", "JPY", "KWD"][n % 3],
        )
        for n in range(24)
    ]

    async def work() -> None:
        for number, one in enumerate(sent):
            if number == 12:
                convert_by(scorer, OTHERS)
            await decide(scorer, one)
        # known by what was sent, whatever the rates are now, and where there are none any more
        first = await scorer.decision("p1")
        assert await scorer.decide(msgspec.json.encode(sent[1])) == first
        convert_by(scorer, Rates("EUR", []))
        assert await scorer.decide(msgspec.json.encode(sent[1])) == first

    run(work())
    marks = {body(entry)["payment"]["rates"] for entry in read_ledger(ledger_url)}
    assert len(marks) == 2
    known = state(scorer)
    again = start(rated)
    assert state(again) == known
    assert ledger_parity(rated, read_ledger(ledger_url)).holds
    again.close()
    (store := StoredRates(f"sqlite:///{tmp_path / 'control.db'}")).replace(OTHERS, by="ada")
    for payment_id in ("p0", "p1", "p2", "p13", "p23"):
        replayed = replay_decision(
            payment_id, Ledger(ledger_url), lambda version: rated, rates=store.marked
        )
        assert replayed.holds, replayed.lines
    with pytest.raises(NotFound, match="exchange rates"):
        replay_decision("p23", Ledger(ledger_url), lambda version: rated)


def test_a_payment_without_a_rate_is_refused_and_counts_for_nothing(
    rated: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    scorer = start(rated)

    async def work() -> None:
        error = await refusal(decide(scorer, pay(currency="USD")))
        assert isinstance(error, BadPayment)
        assert "exchange rate" in str(error)
        await decide(scorer, pay(payment_id="next"))

    run(work())
    (entry,) = read_ledger(ledger_url)
    assert body(entry)["features"]["card_count_1h"] == 0.0


def test_without_rates_another_currency_is_refused(
    plain: Bundle, start: Start, pay: Pay, ledger_url: str
) -> None:
    scorer = start(plain)

    async def work() -> None:
        error = await refusal(decide(scorer, pay(currency="JPY")))
        assert isinstance(error, BadPayment)
        assert "in EUR" in str(error)
        await decide(scorer, pay(currency="978"))

    run(work())
    assert len(read_ledger(ledger_url)) == 1


def test_a_bundle_in_another_currency_takes_no_place(
    model: bytes, plain: Bundle, start: Start, pay: Pay, tmp_path: Path
) -> None:
    other = made_of(model, tmp_path / "other", currency="USD")
    rated = made_of(model, tmp_path / "rated", schema=RATED)
    scorer = start(plain)

    async def work() -> None:
        await decide(scorer, pay())
        for attempt in (scorer.adopt(other), scorer.compare(other)):
            error = await refusal(attempt)
            assert isinstance(error, BundleError)
            assert "USD" in str(error)
        # the same currency, now with rates: what was counted stays
        await scorer.adopt(rated)
        answer = await decide(scorer, pay(payment_id="yen", currency="JPY", amount=12_800))
        assert answer["degraded"] is False

    run(work())
    with pytest.raises(BundleError, match="counted in EUR"):
        start(other)


def test_a_ledger_from_before_the_currency_had_a_column_is_in_the_default_one(
    model: bytes, plain: Bundle, start: Start, pay: Pay, tmp_path: Path, ledger_url: str
) -> None:
    schema = msgspec.structs.replace(plain.schema, currency=None)
    before = start(made_of(model, tmp_path / "before", schema=schema))
    payment = pay()
    del payment["currency"]
    run(decide(before, payment))
    assert run(decide(start(plain), pay()))["action"]
    # its amounts were in the default currency, whatever the schema says now
    rated = made_of(model, tmp_path / "rated", schema=RATED)
    kept = recorded_payments(recorded_plan(rated), read_ledger(ledger_url))
    assert kept[str(RATED.original)].to_list() == [8_000, 8_000]
    kroner = msgspec.structs.replace(plain.schema, default_currency="DKK")
    with pytest.raises(BundleError, match="payments were counted in DKK"):
        start(made_of(model, tmp_path / "kroner", schema=kroner))


def test_every_payment_of_a_ledger_is_in_the_currency_of_the_bundle(
    model: bytes, plain: Bundle, start: Start, pay: Pay, tmp_path: Path
) -> None:
    mixed = start(made_of(model, tmp_path / "mixed", currency=None))
    run(decide(mixed, pay(currency="EUR")))
    assert run(decide(start(plain), pay()))["action"]
    run(
        decide(
            start(made_of(model, tmp_path / "again", currency=None)),
            pay(currency="JPY", amount=12_800),
        )
    )
    with pytest.raises(
        BundleError, match=r"reads amounts in EUR, but the payment of record \d+ was counted in JPY"
    ):
        start(plain)


def test_a_payment_in_no_currency_is_refused_in_a_sentence(
    rated: Bundle, pay: Pay, start: Start, ledger_url: str
) -> None:
    run(decide(start(rated), pay()))
    (entry,) = read_ledger(ledger_url)
    forged = msgspec.structs.replace(entry, body=entry.body.replace(b'"EUR"', b'"EVR"'))
    with pytest.raises(UnreadableRecord, match="holds a payment in no currency of ISO 4217"):
        recorded_payments(recorded_plan(rated), [forged])


def test_history_is_in_the_currency_of_the_bundle(
    plain: Bundle, rated: Bundle, pay: Pay, tmp_path: Path
) -> None:
    late = {"is_fraud": [None], "labelled_at": [None], "result": [None], "result_at": [None]}
    raw = pl.DataFrame(
        {**{name: [value] for name, value in pay(currency="JPY", amount=12_800).items()}, **late}
    )
    raw.write_parquet(tmp_path / "history.parquet")
    with pytest.raises(MixedCurrencies, match="payments in EUR only"):
        history_of(plain, tmp_path / "history.parquet", KEY, 0.0)
    assert history_of(rated, tmp_path / "history.parquet", KEY, 0.0)["amount"].item() == 8_000


def test_every_door_refuses_with_a_sentence(rated: Bundle, tmp_path: Path, pay: Pay) -> None:
    yen, dollars = pay(currency="JPY", amount=12_800), pay(currency="USD")
    with Service(tmp_path / "bundle", tmp_path / "home") as service:
        refused = service.request("POST", "/v1/decisions", json=dollars)
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-payment")
        assert "exchange rate" in refused.json()["detail"]
        lines = b"\n".join(map(msgspec.json.encode, (yen, dollars)))
        headers = {"content-type": "application/x-ndjson"}
        batch = service.request(
            "POST", "/v1/decisions:batch", content=lines, headers=headers
        ).text.splitlines()
        first, second = map(msgspec.json.decode, batch)
        assert (first["payment_id"], second["line"], second["status"]) == (
            yen["payment_id"],
            2,
            400,
        )
        for rows, status in (([yen], 200), ([yen, dollars], 400)):
            asked = service.request("POST", "/invocations", json={"dataframe_records": rows})
            assert asked.status_code == status, asked.text
        assert "row 2" in asked.text
        assert "exchange rate" in asked.text
    assert [entry.payment_id for entry in read_ledger(service.ledger)] == [yen["payment_id"]]
