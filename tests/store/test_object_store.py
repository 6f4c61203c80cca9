"""The store in object storage: an S3 server that answers a conflict with 412, as S3 does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from patience import until
from servers import free_port
from shroff.errors import NotFound, StoreUnavailable
from shroff.store import FeatureStore, TrainingSet
from store.world import LIMITS, PAYMENTS, day, limits, payments
from web import TRUST


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    if find_spec("moto") is None or find_spec("flask") is None:
        pytest.skip("no S3 server: pip install 'moto[s3]' flask flask-cors")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("s3.py")), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with server:
        try:
            until(
                lambda: answers(address) or server.poll() is not None,
                said=lambda: "moto does not answer",
            )
            yield address
        finally:
            server.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, verify=TRUST).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def options(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    return {"aws_endpoint_url": endpoint, "aws_allow_http": "true"}


@pytest.fixture
def store(endpoint: str, options: dict[str, str], request: pytest.FixtureRequest) -> FeatureStore:
    bucket = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    httpx.put(f"{endpoint}/{bucket}", verify=TRUST).raise_for_status()
    return FeatureStore(f"s3://{bucket}/store", options=options)


def test_groups_and_datasets_live_there(store: FeatureStore) -> None:
    table = store.group(LIMITS)
    first = table.write(limits([("c0", 0, 0, 100.0)]), batch="one")
    assert table.write(limits([("c0", 0, 0, 100.0)]), batch="one") == first
    table.write(limits([("c0", 2, 2, 200.0)]), batch="two")
    store.group(PAYMENTS).write(payments(4, cards=1), batch="all")
    data = store.create(TrainingSet(name="cards", of="payments", joined=["limits"]))

    assert data.read()["limit"].to_list() == [100.0, 100.0, 200.0, 200.0]
    assert len(table.read(times=(day(1), None), as_of=first.number)) == 0
    assert store.verify("cards").rebuilt
    assert [one.name for one in store.groups()] == ["limits", "payments"]


def test_of_two_writers_one_waits_for_the_other(store: FeatureStore) -> None:
    store.group(LIMITS)

    def write(number: int) -> int:
        table = store.table("limits")
        # two threads write each batch
        return table.write(limits([("c", number // 2, 0, 1.0)]), batch=f"{number // 2}").number

    with ThreadPoolExecutor(3) as pool:
        numbers = list(pool.map(write, range(12)))
    table = store.table("limits")
    assert numbers[0::2] == numbers[1::2]
    assert (len(table.versions()), len(table.read())) == (6, 6)


def test_what_is_deleted_is_gone(store: FeatureStore) -> None:
    pytest.importorskip("pyarrow")
    table = store.group(LIMITS)
    table.write(limits([("c0", 0, 0, 100.0)]), batch="one")
    store.delete("limits", 1)
    assert not table.place.exists()
    with pytest.raises(NotFound, match="found no `limits`"):
        store.table("limits")


def test_a_storage_that_does_not_answer_is_a_sentence(options: dict[str, str]) -> None:
    away = {**options, "aws_endpoint_url": f"http://127.0.0.1:{free_port()}", "max_retries": "0"}
    with pytest.raises(StoreUnavailable, match="expected a storage that answers"):
        FeatureStore("s3://nowhere/store", options=away).groups()
