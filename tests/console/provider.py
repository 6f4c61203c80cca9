"""A small provider of OpenID Connect for tests: it listens, checks what it is asked, and signs."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "shroff", "s3cret/with:signs"


class TestProvider:
    """Lets everybody in as `person`; `sign` may be replaced by one that lies."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.issuer = url
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.person: dict[str, Any] = {"sub": "1", "preferred_username": "Grace"}
        self.asked: dict[str, dict[str, str]] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.signed

    def claims(self, nonce: str) -> dict[str, Any]:
        """What a token says of the person."""
        now = int(time.time())
        return {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce} | (
            self.person
        )

    def signed(self, claims: dict[str, Any]) -> str:
        """A token that holds."""
        return str(jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key))

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        ends = {"authorization": "authorize", "token": "token"}
        found = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in ends.items()}
        return found | {"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"}

    def authorize(self, query: str) -> str:
        """Where a visitor goes who let themselves in."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_hex(8)
        self.asked[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """A token for a code, once, for who knows the verifier and the secret."""
        asked = self.asked.pop(form.get("code", ""), None)
        own = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or authorization != f"Basic {own}"
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return {"error": "invalid_grant"}
        return {"id_token": self.sign(self.claims(asked["nonce"])), "token_type": "Bearer"}


@contextmanager
def listening_provider() -> Iterator[TestProvider]:
    """A provider on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(303)
                self.send_header("location", provider.authorize(parts.query))
                self.send_header("content-length", "0")
                self.end_headers()
            elif parts.path == "/keys":
                self._say({"keys": [provider.key.as_dict(private=False)]})
            elif parts.path == "/.well-known/openid-configuration":
                self._say(provider.metadata())
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            answer = provider.token(form, self.headers.get("authorization", ""))
            self._say(answer, 400 if "error" in answer else 200)

        def _say(self, document: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = TestProvider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
