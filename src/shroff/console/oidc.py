"""Signing in through a provider of OpenID Connect: authorization code with PKCE and a nonce.

After OpenID Connect Core 1.0 and RFC 7636. The provider is asked over TLS; only the ID token that
it signed says who somebody is, and only for the visit that was sent to it.
"""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

import httpx

from shroff.control.users import USER_ROLES, UserRole
from shroff.errors import AccessDenied, ConfigurationError, MissingExtra, Unavailable

_ALGORITHMS: Final = ("RS256", "ES256", "PS256", "EdDSA")
_KEPT_SECONDS: Final = 3_600.0
_LEEWAY_SECONDS: Final = 30
_OPTIONS: Final = ("role", "default", "name", "scope")


@dataclass(frozen=True, slots=True)
class Provider:
    """The setting `https://CLIENT:SECRET@issuer?role=CLAIM&default=ROLE&name=CLAIM&scope=…`.

    `role` is the claim that names the role, alone or in a list; `default` the role of those for
    whom it names none (none: they are refused); `name` the claim that people are called by.

    Raises:
        ConfigurationError: by `read`, for another form.

    >>> Provider.read("https://shroff:secret@id.example/bank?default=analyst").issuer
    'https://id.example/bank'
    """

    issuer: str
    client: str
    secret: str = field(repr=False)
    role: str = "role"
    default: UserRole | None = None
    name: str = "preferred_username"
    scope: str = "openid profile email"

    @classmethod
    def read(cls, text: str) -> Provider:
        """The provider of a setting."""
        try:
            parts = urlsplit(text)
        except ValueError:  # brackets that hold no address
            parts = urlsplit("")
        near = parts.hostname in ("127.0.0.1", "localhost", "::1")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if (
            parts.scheme not in (("https", "http") if near else ("https",))
            or not parts.username
            or not parts.password
            or not set(options) <= set(_OPTIONS)
            or options.get("default", "analyst") not in USER_ROLES
        ):
            raise ConfigurationError(
                "expected SHROFF_CONSOLE_OIDC as https://CLIENT:SECRET@ISSUER, then "
                f"?role=CLAIM&default=ROLE&name=CLAIM&scope=… where wanted, ROLE one of "
                f"{', '.join(USER_ROLES)}."
            )
        where = parts.netloc.rpartition("@")[2]
        return cls(
            issuer=urlunsplit((parts.scheme, where, parts.path.rstrip("/"), "", "")),
            client=unquote(parts.username),
            secret=unquote(parts.password),
            **options,  # type: ignore[arg-type]  # checked above
        )


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who the provider says somebody is: `role` is None where it names none of ours."""

    identity: str
    name: str
    role: UserRole | None


@dataclass(frozen=True, slots=True)
class Departure:
    """A visit that is sent to the provider: where to, and what must come back with it."""

    address: str
    state: str
    nonce: str
    verifier: str


class OpenIdSignIn:
    """Signs people in through one provider, whose metadata and keys are read when needed.

    Raises:
        Unavailable: by every verb, if the provider does not answer as one does.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lock = Lock()
        self._read: dict[str, tuple[float, dict[str, Any]]] = {}

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(timeout=5.0, follow_redirects=False)

    def depart(self, back: str) -> Departure:
        """Begin a sign-in that comes back to the address `back`."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.provider.client,
            "redirect_uri": back,
            "scope": self.provider.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        where = str(self._metadata()["authorization_endpoint"])
        address = f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}"
        return Departure(address, state, nonce, verifier)

    def arrive(self, code: str, back: str, *, nonce: str, verifier: str) -> Visitor:
        """Who comes back with a code.

        Raises:
            AccessDenied: the code, or the token that the provider gives for it, does not hold.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "code_verifier": verifier,
        }
        own = (self.provider.client, self.provider.secret)
        answer = self._ask("POST", str(self._metadata()["token_endpoint"]), data=form, auth=own)
        if "id_token" not in answer:
            raise AccessDenied("the provider did not accept this sign-in: begin again.")
        return self._visitor(self._claims(str(answer["id_token"]), nonce))

    def _visitor(self, claims: Mapping[str, Any]) -> Visitor:
        named = claims.get(self.provider.role, [])
        values = named if isinstance(named, Sequence) and not isinstance(named, str) else [named]
        role = next((one for one in reversed(USER_ROLES) if one in values), None)
        name = claims.get(self.provider.name) or claims.get("email") or claims["sub"]
        # users are known by the issuer without a `/` at its end, as the setting has it
        identity = f"{self.provider.issuer} {claims['sub']}"
        return Visitor(identity=identity, name=str(name), role=role)

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            from joserfc import jwt
            from joserfc.errors import JoseError
            from joserfc.jwk import KeySet
        except ModuleNotFoundError:
            raise MissingExtra(
                "signing in through OpenID Connect needs joserfc: run `pip install "
                "'shroff[console]'`."
            ) from None
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            # as the provider writes it, with `/` at its end or without
            iss={"essential": True, "value": self._metadata()["issuer"]},
            aud={"essential": True, "value": self.provider.client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        for fresh in (False, True):
            try:
                keys = KeySet.import_key_set(self._keys(fresh=fresh))  # type: ignore[arg-type]  # what a provider sends
                found: dict[str, Any] = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
                registry.validate(found)
            except (JoseError, ValueError, KeyError, TypeError):
                continue  # it may have new keys
            azp = found.get("azp", self.provider.client)
            if isinstance(found["aud"], str) or azp == self.provider.client:
                return found
        raise AccessDenied("the provider's answer does not hold: begin to sign in again.")

    def _metadata(self) -> dict[str, Any]:
        where = f"{self.provider.issuer}/.well-known/openid-configuration"
        found = self._kept(where)
        if str(found.get("issuer", "")).rstrip("/") != self.provider.issuer:
            raise Unavailable(f"expected the provider {self.provider.issuer} there, got another.")
        if missing := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - set(found):
            raise Unavailable(f"the provider does not say its {', '.join(sorted(missing))}.")
        return found

    def _keys(self, *, fresh: bool) -> dict[str, Any]:
        return self._kept(str(self._metadata()["jwks_uri"]), fresh=fresh)

    def _kept(self, address: str, *, fresh: bool = False) -> dict[str, Any]:
        with self._lock:
            read = self._read.get(address)
            if fresh or read is None or read[0] < time.monotonic() - _KEPT_SECONDS:
                read = self._read[address] = (time.monotonic(), self._ask("GET", address))
            return read[1]

    def _ask(self, method: str, address: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, address, **options)
            if answer.status_code >= 500:
                raise Unavailable(f"the provider answered {answer.status_code}: try again.")
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Unavailable(
                f"the provider did not answer as one ({type(error).__name__}): try again, or sign "
                "in with a password."
            ) from None
        if not isinstance(found, dict):
            raise Unavailable("the provider did not answer with an object of JSON: try again.")
        return found
