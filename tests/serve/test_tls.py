"""HTTPS: with a certificate that clients trust, and one sentence for one that cannot be used."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import polars as pl
import pytest
import trustme

from patience import PATIENCE, until
from serve.fixtures import iso
from shroff.client import AsyncClient, Client
from shroff.client.requests import trusted
from shroff.control import Keys
from shroff.errors import ConfigurationError, Unavailable, UnknownKey
from shroff.serve.certificate import Certificate, RenewedCertificate

PAYMENT = {
    "created_at": iso(time.time()),
    "amount": 80.0,
    "currency": "EUR",
    "card_id": "c1",
    "merchant_id": "m1",
    "host_id": "10.0.0.1",
    "mcc": "5411",
}


def test_the_service_speaks_https(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    issue(authority, tmp_path)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = [
        "--port",
        "0",
        "--tls-certificate",
        tmp_path / "chain.pem",
        "--tls-key",
        tmp_path / "key.pem",
        "--json",
    ]
    command = [sys.executable, "-m", "shroff", "serve", str(bundle_folder), *map(str, options)]
    environment = os.environ | {"SHROFF_HOME": str(tmp_path / "home")}
    service = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    try:
        told = "".join(iter(service.stdout.readline, "}\n"))
        url = json.loads(told + "}")["url"]
        assert url.startswith("https://127.0.0.1:")
        with httpx.Client(verify=context, timeout=PATIENCE) as client:
            assert client.get(f"{url}/health/live").json() == {"status": "live"}
            assert client.post(f"{url}/v1/decisions", json={}).status_code == 401
        assert_asks(url, authority, monkeypatch, tmp_path)
        assert_loads(url, authority, environment, tmp_path)
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http") + "/health/live")
        served = presented(url, context)
        issue(authority, tmp_path)
        until(lambda: presented(url, context) != served)
    finally:
        service.terminate()
        _, said = service.communicate(timeout=PATIENCE)
    assert "no API key is valid" in said


def issue(authority: trustme.CA, folder: Path, kind: trustme.KeyType = trustme.KeyType.RSA) -> None:
    """Put a certificate for 127.0.0.1 and its key in place of those in a folder."""
    issued = authority.issue_cert("127.0.0.1", key_type=kind)
    for name, pem in (
        ("chain.pem", issued.cert_chain_pems[0]),
        ("key.pem", issued.private_key_pem),
    ):
        (folder / "new").write_bytes(pem.bytes())
        (folder / "new").replace(folder / name)


def presented(url: str, context: ssl.SSLContext) -> bytes | None:
    """The certificate that a new connection gets."""
    target = httpx.URL(url)
    with (
        socket.create_connection((target.host, target.port or 0), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=target.host) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def assert_asks(
    url: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Both clients say why TLS failed, at once, and trust the authorities in SSL_CERT_FILE."""
    with Client(url, retries=10**6) as client:
        assert client.ready() is False
        with pytest.raises(Unavailable, match=r"trusted.*\(unable to get .* SSL_CERT_FILE") as told:
            client.models()

    async def ask() -> None:
        async with AsyncClient(url, retries=10**6) as client:
            await client.models()

    with pytest.raises(Unavailable, match=r"a certificate of https.* that is trusted"):
        asyncio.run(ask())
    assert "\n" not in str(told.value)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    with monkeypatch.context() as set_here:
        set_here.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
        trusted.cache_clear()
        with Client(url) as client, pytest.raises(UnknownKey):
            client.models()
    trusted.cache_clear()


def test_tls_asked_of_a_service_that_speaks_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        url = f"https://127.0.0.1:{plain.getsockname()[1]}"

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with ThreadPoolExecutor() as pool, Client(url, retries=10**6) as client:
            pool.submit(answer)
            with pytest.raises(Unavailable, match=r"expected TLS from https.*speaks HTTPS there"):
                client.models()


def assert_loads(
    url: str, authority: trustme.CA, environment: dict[str, str], folder: Path
) -> None:
    """A load test speaks HTTPS, and says what it lacks to do so."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    pl.DataFrame([PAYMENT | {"payment_id": f"p{n}"} for n in range(20)]).write_csv(
        folder / "log.csv"
    )

    def load(*words: str, key: str = "") -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "shroff",
            "loadtest",
            url,
            "--data",
            str(folder / "log.csv"),
            "--requests",
            "20",
        ]
        keyed = environment | ({"SHROFF_API_KEY": key} if key else {})
        return subprocess.run(
            [*command, *words], env=keyed, capture_output=True, text=True, check=False
        )

    trusted = "--tls-ca", str(folder / "ca.pem")
    untrusted = load()
    assert (untrusted.returncode, "--tls-ca" in untrusted.stderr) == (2, True)
    for key in ("", "sk_unknown"):
        keyless = load(*trusted, key=key)
        assert (keyless.returncode, "SHROFF_API_KEY" in keyless.stderr) == (2, True), keyless.stderr
    keys = Keys(f"sqlite:///{folder / 'home' / 'control.db'}")
    good, other = keys.create("shop", ["decide"]), keys.create("ops", ["read"])
    until(lambda: "decide" in load(*trusted, key=other).stderr)
    loaded = load(*trusted, key=good)
    assert loaded.returncode == 0, loaded.stderr
    began, done = (line.partition(":")[0] for line in loaded.stderr.splitlines()[-2:])
    assert (began, done) == ("send 20 payments …", "send 20 payments")


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    ours, theirs = trustme.CA().issue_cert("a.example"), trustme.CA().issue_cert("b.example")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        Certificate(chain)
    ours.cert_chain_pems[0].write_to_path(str(chain))
    theirs.private_key_pem.write_to_path(str(key))
    with pytest.raises(
        ConfigurationError, match=r"expected a certificate chain .* got .*chain\.pem and .*key\.pem"
    ):
        Certificate(chain, key)


def test_a_renewed_certificate_is_used_once_chain_and_key_belong_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    issue(authority, tmp_path)
    certificate = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    renewed = RenewedCertificate(certificate)
    server = certificate.context()
    renewed.attach(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def look() -> bytes | None:
        asyncio.run(renewed.follow())
        return shaken(trusting, server)

    first, key = look(), (tmp_path / "key.pem").read_bytes()
    # of another algorithm, which one context would serve beside the first
    issue(authority, tmp_path, trustme.KeyType.ECDSA)
    other_key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(key)
    assert look() == look() == first
    (tmp_path / "key.pem").unlink()
    assert look() == first
    (tmp_path / "key.pem").write_bytes(other_key)
    second = look()
    assert second not in (None, first)
    assert [record.event for record in caplog.records] == [  # type: ignore[attr-defined]
        "certificate_refused",
        "certificate_refused",
        "certificate_renewed",
    ]
    assert "The certificate before stays in use." in caplog.text


def shaken(client: ssl.SSLContext, server: ssl.SSLContext) -> bytes | None:
    """The certificate that a client gets in a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for side in (ours, theirs, ours, theirs):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return ours.getpeercert(binary_form=True)
