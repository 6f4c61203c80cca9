"""HTTPS: with a certificate that clients trust, and one sentence for one that cannot be used."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme

from patience import PATIENCE
from shroff.errors import ConfigurationError
from shroff.serve.server import Certificate


def test_the_service_speaks_https(bundle_folder: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    options = ["--port", "0", "--tls-certificate", tmp_path / "chain.pem", "--tls-key", tmp_path / "key.pem", "--json"]
    command = [sys.executable, "-m", "shroff", "serve", str(bundle_folder), *map(str, options)]
    environment = os.environ | {"SHROFF_HOME": str(tmp_path / "home")}
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        told = "".join(iter(service.stdout.readline, "}\n"))
        url = json.loads(told + "}")["url"]
        assert url.startswith("https://127.0.0.1:")
        with httpx.Client(verify=trusted, timeout=PATIENCE) as client:
            assert client.get(f"{url}/health/live").json() == {"status": "live"}
            assert client.post(f"{url}/v1/decisions", json={}).status_code == 401
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http") + "/health/live")
    finally:
        service.terminate()
        _, said = service.communicate(timeout=PATIENCE)
    assert "no API key is valid" in said


def test_a_certificate_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    ours, theirs = trustme.CA().issue_cert("a.example"), trustme.CA().issue_cert("b.example")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    with pytest.raises(ConfigurationError, match="FileNotFoundError"):
        Certificate(chain)
    ours.cert_chain_pems[0].write_to_path(str(chain))
    theirs.private_key_pem.write_to_path(str(key))
    with pytest.raises(ConfigurationError, match=r"expected a certificate chain .* got .*chain\.pem and .*key\.pem"):
        Certificate(chain, key)
