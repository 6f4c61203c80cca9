"""A small bundle made by hand, payments for it, and a service that really listens."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from serve.service import KEY, Service
from serve.site import Site, hostile_schema
from shroff import Entity, FeatureGroup, Policy, Rule, Schema, calendar, sql
from shroff.control import Keys
from shroff.detect import Calibration, LogisticRegression, Preparation
from shroff.detect.preparation import Nominal, Numeric
from shroff.detect.spread import Spread
from shroff.ledger import Ledger
from shroff.package import Bundle, load, save, try_model
from shroff.scoring.scorer import Scorer

SCHEMA = Schema(
    id="payment_id",
    time="created_at",
    amount="amount",
    currency="currency",
    label="is_fraud",
    labelled_at="labelled_at",
    result="result",
    result_at="result_at",
    nominal=["mcc", "request_country", "account_country"],
    numeric=["items"],
    personal=["email"],
    keys=["card_id", "host_id"],
    required=["card_id"],
)
NUMBERS = itertools.count()
"""Of payments that name no id: tests share a service, which keeps every id it has seen."""
card, merchant = Entity("card", "card_id"), Entity("merchant", "merchant_id")
VELOCITY = FeatureGroup(
    "velocity",
    version=1,
    description="How busy a payment's card and merchant have been",
    features=[
        card.count(["1h", "1d"]),
        card.count("1d", where="result = 'failed'", name="card_failed_1d"),
        card.total("amount", "1h"),
        card.distinct("host_id", "1d"),
        card.seconds_since_last("1d"),
        merchant.risk("30d"),
        sql("same_country", "request_country = account_country"),
        calendar("part_of_day"),
    ],
)

BLIND_VELOCITY = FeatureGroup(
    "velocity",
    version=1,
    description="The same, with a feature in the place of the only one that reads labels",
    features=[
        *(one for one in VELOCITY.features if getattr(one, "name", "") != "merchant_risk_30d"),
        card.count("1h", where="amount > 100000", name="merchant_risk_30d"),
    ],
)


def spread(*values: float, rows: tuple[int, ...]) -> Spread | None:
    """How a number is spread that has each of these values in so many training rows."""
    return Spread.of(np.repeat(np.array(values, dtype=np.float64), rows))


PREPARATION = Preparation(
    numeric=(
        Numeric("amount", 80.2, 60.0, Spread.of(np.geomspace(5.0, 300.0, 1_001))),
        Numeric("card_count_1h", 0.8, 1.2, spread(0, 1, 2, 3, rows=(600, 330, 60, 10))),
        Numeric("card_failed_1d", 0.05, 0.3, spread(0, 1, rows=(970, 30))),
        Numeric("card_total_amount_1h", 60.0, 90.0, Spread.of(np.linspace(0.0, 240.0, 1_001))),
        Numeric("card_distinct_host_id_1d", 1.1, 0.7, spread(0, 1, 2, rows=(100, 800, 100))),
        Numeric(
            "card_seconds_since_last_1d",
            20_000.0,
            15_000.0,
            spread(60, 20_000, math.nan, rows=(300, 400, 300)),
        ),
        Numeric("merchant_risk_30d", 0.01, 0.05, spread(0, 0.1, rows=(960, 40))),
        Numeric("same_country", 0.9, 0.3, spread(0, 1, rows=(40, 960))),
    ),
    nominal=(
        Nominal("mcc", ("5411", "6011", "undefined"), (0.94, 0.04, 0.02, 0.0)),
        Nominal("part_of_day", ("Morning", "Evening"), (0.6, 0.4, 0.0)),
    ),
)
POLICY = Policy(
    review_at=0.3,
    decline_at=0.9,
    degraded="review",
    rules=[Rule("blocked_host", "host_id IN blocked", action="decline")],
    lists={"blocked": ["10.6.6.6"]},
)


def fitted_model() -> bytes:
    """Large amounts, many payments and failed ones are suspicious, cash machines more than
    groceries.
    """
    random = np.random.default_rng(1)
    inputs = random.normal(size=(2_000, 10)).astype(np.float32)
    inputs[:, 5][random.random(2_000) < 0.3] = np.nan
    inputs[:, 8], inputs[:, 9] = random.integers(0, 4, 2_000), random.integers(0, 3, 2_000)
    logit = (
        1.5 * inputs[:, 0]
        + inputs[:, 1]
        + 2 * inputs[:, 2]
        + (inputs[:, 8] == 2)
        - 2
        + random.normal(size=2_000)
    )
    detector = LogisticRegression().fit(inputs, logit > 0, nominal=PREPARATION.nominal_codes)
    return bytes(detector.to_onnx().SerializeToString())


def make_bundle(model: bytes, **changes: Any) -> Bundle:
    parts = {
        "name": "logistic_regression",
        "schema": SCHEMA.with_keys(VELOCITY.key_columns),
        "groups": (VELOCITY,),
        "preparation": PREPARATION,
        "calibration": Calibration(1.0, -0.5),
        "conditions": (),
        "policy": msgspec.to_builtins(POLICY),
        "metrics": {"detectors": {}},
        "fingerprint": "0" * 64,
        "model": model,
    }
    return Bundle(**(parts | changes))


@pytest.fixture(scope="session")
def model() -> bytes:
    made = fitted_model()
    # so that no service that a test starts need try it
    try_model(made, PREPARATION)
    return made


@pytest.fixture(scope="session")
def bundle_folder(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save(make_bundle(model), folder)
    return folder


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> Bundle:
    return load(bundle_folder)


@pytest.fixture(scope="session")
def sealed_folder(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose payments have a subject, with features of merchants and hosts that read what
    cards of other people did.
    """
    host = Entity("host", "host_id")
    across = [
        merchant.distinct("card_id", "30d"),
        merchant.count("30d", where="result = 'failed'"),
        merchant.total("amount", "30d"),
        host.distinct("card_id", "1d"),
    ]
    group = msgspec.structs.replace(VELOCITY, features=(*VELOCITY.features, *across))
    schema = msgspec.structs.replace(SCHEMA.with_keys(group.key_columns), subject="card_id")
    folder = tmp_path_factory.mktemp("sealed") / "bundle"
    save(make_bundle(model, schema=schema, groups=(group,)), folder)
    return folder


@pytest.fixture(scope="session")
def service(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that tests share."""
    with Service(bundle_folder, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session", params=["plain", "hostile"])
def site(
    request: pytest.FixtureRequest, model: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    schema = (SCHEMA if request.param == "plain" else hostile_schema()).with_keys(
        VELOCITY.key_columns
    )
    home = tmp_path_factory.mktemp(request.param)
    save(make_bundle(model, schema=schema), home / "bundle")
    token = Keys(f"sqlite:///{home / 'control.db'}").create("shop", ["decide", "label"])
    with Service(home / "bundle", home, keys=True) as service:
        yield Site(service, token)
        assert service.log.read_text() == ""


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def scorer(bundle: Bundle, ledger_url: str) -> Iterator[Scorer]:
    """A scorer that has started over an empty ledger."""
    made = Scorer(bundle, Ledger(ledger_url), key=KEY)
    made.start()
    yield made
    made.close()


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


@pytest.fixture
def pay() -> Callable[..., dict[str, Any]]:
    """Makes payments, each with an id that no test of this process has had, unless told."""

    def make(**fields: Any) -> dict[str, Any]:
        usual = {
            "payment_id": f"p{next(NUMBERS)}",
            "created_at": iso(time.time()),
            "amount": 80.0,
            "currency": "EUR",
            "card_id": "c1",
            "merchant_id": "m1",
            "host_id": "10.0.0.1",
            "mcc": "5411",
            "request_country": "DK",
            "account_country": "DK",
            "items": 1,
            "email": "ada@example.org",
        }
        return usual | fields

    return make
