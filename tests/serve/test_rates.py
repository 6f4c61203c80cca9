"""Exchange rates replaced while the service runs: by whom and why, noticed within seconds, told
again by a replay.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from commands import answer
from patience import until
from serve.audit import body, payments, read_ledger
from serve.fixtures import SCHEMA, VELOCITY, make_bundle
from serve.service import Service
from shroff import Rates
from shroff.cli import app
from shroff.client import Client
from shroff.control import Keys, LiveRates, StoredRates
from shroff.errors import ConfigurationError
from shroff.package import save

Pay = Callable[..., dict[str, Any]]
OWN = Rates.constant("EUR", {"JPY": "0.00625"})
OTHER = Rates.constant("EUR", {"JPY": "0.01"})
DANISH = Rates.constant("DKK", {"EUR": "7.46"})
RATED = msgspec.structs.replace(SCHEMA, rates=OWN).with_keys(VELOCITY.key_columns)


@pytest.fixture
def bundle(model: bytes, tmp_path: Path) -> Path:
    save(make_bundle(model, schema=RATED, currency="EUR"), tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def shroff(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs `shroff rates …` over the control database of a service at home in `tmp_path`."""
    return partial(answer, "rates", home=tmp_path)


def written(folder: Path, jpy: str) -> str:
    (folder / "rates.csv").write_text(f"currency,rate,since\nJPY,{jpy},2020-01-01\n")
    return str(folder / "rates.csv")


def check_kept(store: StoredRates) -> None:
    """The last replacement holds, for bundles that count in its currency; all are kept."""
    live = LiveRates(store)
    before = len(store.records())
    made = [
        store.replace(OTHER, by="ada", note="the bank's rates of May"),
        store.replace(None, by="ada"),
        store.replace(DANISH, by="bo"),
    ]
    assert store.records()[before:] == [one.record for one in made]

    def mark(base: str) -> str | None:
        converter = live.now(base)
        return None if converter is None else converter.mark

    live.refresh()
    assert (mark("EUR"), mark("DKK")) == (None, DANISH.mark)
    store.replace(OTHER, by="ada")
    live.refresh()
    live.refresh()
    assert mark("EUR") == OTHER.mark
    store.replace(None, by="ada")
    live.refresh()
    assert mark("EUR") is None


def test_who_has_no_name_is_known_by_number(
    shroff: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # as in a container whose user is in no passwd file
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert shroff("reset")["by"] == f"uid {os.getuid()}"


def test_the_last_replacement_holds(tmp_path: Path) -> None:
    store = StoredRates(f"sqlite:///{tmp_path / 'control.db'}")
    assert store.last() is None
    check_kept(store)
    with pytest.raises(ConfigurationError, match="500 characters"):
        store.replace(OTHER, by="ada", note="x" * 501)


def test_postgresql_keeps_them_too(postgres_server: str) -> None:
    check_kept(StoredRates(postgres_server))


def test_rates_are_replaced_while_the_service_runs(
    bundle: Path, tmp_path: Path, pay: Pay, shroff: Callable[..., dict[str, Any]]
) -> None:
    assert shroff("show", "--bundle", str(bundle)) == {
        "base": "EUR",
        "mark": OWN.mark,
        "replaced": False,
        "rates": [
            {"currency": "JPY", "rate": "0.00625", "since": "1970-01-01T00:00:00Z", "until": None}
        ],
    }
    sent = iter(range(100_000))

    def amount(service: Service, client: Client) -> int:
        """What a payment of 10,000 yen is worth to the service now, in cents."""
        client.decide(
            pay(payment_id=f"yen-{next(sent)}", amount=10_000, currency="JPY", card_id="c9")
        )
        cents: int = body(payments(read_ledger(service.ledger))[-1])["payment"]["minor"]
        return cents

    with Service(bundle, tmp_path) as service, Client(service.url) as client:
        assert amount(service, client) == 6_250
        made = shroff(
            "replace", written(tmp_path, "0.01"), "--note", "May", "--bundle", str(bundle)
        )
        assert (made["id"], made["note"], made["rates"]) == (1, "May", 1)
        until(lambda: amount(service, client) == 10_000)
        shown = shroff("show", "--bundle", str(bundle))
        assert (shown["mark"], shown["replaced"]) == (made["mark"], True)
        shroff("reset")
        until(lambda: amount(service, client) == 6_250)
    assert [one["mark"] for one in shroff("history")["replacements"]] == [made["mark"], None]
    marks = [body(one)["payment"]["rates"] for one in payments(read_ledger(service.ledger))]
    assert (marks[0], marks[-1]) == (OWN.mark, OWN.mark)
    assert made["mark"] in marks
    # a service that starts anew begins with what was put in place
    shroff("replace", written(tmp_path, "0.02"), "--bundle", str(bundle))
    with Service(bundle, tmp_path) as service, Client(service.url) as client:
        assert amount(service, client) == 20_000


def test_rates_are_replaced_over_http(bundle: Path, tmp_path: Path, pay: Pay) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    admin, shop = keys.create("ada", ["admin"]), keys.create("shop", ["decide", "read"])
    with Service(bundle, tmp_path, keys=True) as service, Client(service.url, key=shop) as client:

        def ask(method: str, key: str, **body: Any) -> Any:
            headers = {"authorization": f"Bearer {key}"}
            return service.request(
                method, "/v1/rates", headers=headers, **({"json": body} if body else {})
            )

        assert ask("GET", shop).json() == {
            "base": "EUR",
            "mark": OWN.mark,
            "rates": [
                {
                    "currency": "JPY",
                    "rate": "0.00625",
                    "since": "1970-01-01T00:00:00Z",
                    "until": None,
                }
            ],
        }
        rates = [{"currency": "jpy", "rate": "0.01", "since": "2020-01-01"}]
        assert ask("POST", shop, rates=rates).status_code == 403
        assert ask("POST", admin, rates=rates, note="4111 1111 1111 1111").status_code == 400
        assert (
            ask("POST", admin, rates=rates, note="May").json()["mark"]
            == ask("GET", shop).json()["mark"]
            != OWN.mark
        )
        client.decide(pay(amount=10_000, currency="JPY"))
        assert body(payments(read_ledger(service.ledger))[-1])["payment"]["minor"] == 10_000
        (made,) = StoredRates(f"sqlite:///{tmp_path / 'control.db'}").records()
        assert (made.made_by, made.note) == ("ada", "May")
        assert ask("OPTIONS", admin).headers["allow"] == "GET, HEAD, OPTIONS, POST"
        for wrong, words in (
            ([{"currency": "JPY", "rate": "-1"}], "above 0"),
            ([{"currency": "JPY", "rate": 0.01}], "Expected `str`"),
            ([{"currency": "EUR", "rate": "1"}], "base, EUR"),
        ):
            refused = ask("POST", admin, rates=wrong)
            assert refused.status_code == 400
            assert words in refused.json()["detail"]


def test_without_rates_there_are_none_to_replace(service: Service) -> None:
    refused = service.request("GET", "/v1/rates")
    assert (refused.status_code, refused.json()["type"]) == (404, "/problems/not-found")


def test_a_model_that_converts_nothing_has_no_rates(model: bytes, tmp_path: Path) -> None:
    save(make_bundle(model), tmp_path / "bundle")
    with pytest.raises(ConfigurationError, match="converts nothing"):
        CliRunner().invoke(
            app,
            ["rates", "replace", written(tmp_path, "1"), "--bundle", str(tmp_path / "bundle")],
            env={"SHROFF_HOME": str(tmp_path)},
            catch_exceptions=False,
        )
