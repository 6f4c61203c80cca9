"""Signing in through a provider of OpenID Connect that really answers."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

pytest.importorskip("joserfc", reason="OpenID Connect needs joserfc: pip install 'shroff[console]'")

from joserfc import jwt
from joserfc.jwk import RSAKey

from console.provider import CLIENT, SECRET, TestProvider, listening_provider
from console.site import Visit, problem_in, running
from shroff.console.oidc import Departure, OpenIdSignIn, Provider, Visitor
from shroff.control.users import Users
from shroff.errors import AccessDenied, ConfigurationError, Unavailable
from shroff.settings import Settings

BACK = "http://console.example/sign-in/back"


@pytest.fixture(scope="module")
def provider() -> Iterator[TestProvider]:
    with listening_provider() as found:
        yield found


@pytest.fixture(autouse=True)
def honest(provider: TestProvider) -> None:
    provider.sign, provider.issuer = provider.signed, provider.url
    provider.person = {"sub": "1", "preferred_username": "Grace", "roles": ["staff", "modeller"]}


def setting(provider: TestProvider) -> str:
    where = provider.url.removeprefix("http://")
    return f"http://{CLIENT}:{quote(SECRET, safe='')}@{where}?role=roles"


def code_of(departure: Departure) -> str:
    led = httpx.get(departure.address)
    return parse_qs(urlsplit(led.headers["location"]).query)["code"][0]


def arrived(signing: OpenIdSignIn, departure: Departure, **changes: str) -> Visitor:
    known = {"nonce": departure.nonce, "verifier": departure.verifier}
    return signing.arrive(code_of(departure), BACK, **(known | changes))


def test_people_come_in_through_the_provider(provider: TestProvider, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    users = Users(settings.control)
    users.add("Grace", "analyst")
    with running(settings, SHROFF_CONSOLE_OIDC=setting(provider)) as console:
        visit = console.visit()
        assert "/sign-in/provider?next=%2Fmodels" in visit.page("/sign-in?next=/models")
        back = sent(visit, "/models")
        strange = console.visit().http.get(back)
        assert (strange.status_code, problem_in(strange.text)) == (
            403,
            "This sign-in was not begun here, or too long ago.",
        )
        entered = visit.http.get(back)
        assert (entered.status_code, entered.headers["location"]) == (303, "/models")
        # invited by name with a role, which the provider changes
        grace = users.named("grace")
        assert (grace.role, grace.identity) == ("modeller", f"{provider.url} 1")
        visit.page("/models")
        assert visit.http.get(back).status_code == 403
        assert SECRET not in console.log.read_text()
        # who is somebody else there does not become her by her name, and has no role alone
        provider.person = {"sub": "2", "preferred_username": "Grace", "roles": "analyst"}
        refused = console.visit()
        answer = refused.http.get(sent(refused, "/"))
        assert (answer.status_code, "a name that nobody has" in answer.text) == (403, True)
        provider.person = {"sub": "3", "preferred_username": "Mallory"}
        answer = refused.http.get(sent(refused, "//evil.example"))
        assert problem_in(answer.text).startswith("You have no role here")
        provider.person = {"sub": "4", "preferred_username": "Alan", "roles": "admin"}
        assert refused.http.get(sent(refused, "//evil.example")).headers["location"] == "/"
        users.disable("Alan")
        answer = refused.http.get(sent(refused, "/"))
        assert problem_in(answer.text).startswith("You may sign in here no longer")


def test_a_role_that_the_provider_takes_back_is_lost(
    provider: TestProvider, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    users = Users(settings.control)
    users.add("Ada", "modeller")
    users.add("Carol", "analyst")
    with running(settings, SHROFF_CONSOLE_OIDC=setting(provider)) as console:
        ada = console.visit()
        provider.person = {"sub": "1", "preferred_username": "Ada", "roles": ["admin"]}
        ada.http.get(sent(ada, "/"))
        ada.page("/users")
        provider.person = {"sub": "1", "preferred_username": "Ada", "roles": ["staff"]}
        # elsewhere: the session that she has ends too
        refused = console.visit()
        answer = refused.http.get(sent(refused, "/"))
        assert (answer.status_code, problem_in(answer.text)) == (
            403,
            "The provider names no role for you any more, so you have no access here: ask an "
            "administrator for one there, or here with `shroff users role Ada ROLE`.",
        )
        assert ada.http.get("/account").status_code == 303
        # an administrator here may have the last word
        users.set_role("Ada", "analyst")
        assert refused.http.get(sent(refused, "/")).status_code == 303
        assert refused.http.get("/users").status_code == 403
        # whose role was always one of here keeps it
        provider.person = {"sub": "2", "preferred_username": "Carol"}
        carol = console.visit()
        assert carol.http.get(sent(carol, "/")).status_code == 303
        assert users.named("Carol").role == "analyst"
    lent = f"{setting(provider)}&default=analyst"
    with running(settings, SHROFF_CONSOLE_OIDC=lent) as console:
        for roles, role in ((["admin"], "admin"), ([], "analyst")):
            provider.person = {"sub": "3", "preferred_username": "Erin", "roles": roles}
            erin = console.visit()
            assert erin.http.get(sent(erin, "/")).status_code == 303
            assert users.named("Erin").role == role


def sent(visit: Visit, after: str) -> str:
    """Where the provider sends a visit back to."""
    led = visit.http.get("/sign-in/provider", params={"next": after})
    assert led.status_code == 303, led.text
    return httpx.get(led.headers["location"]).headers["location"]


def liar(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[TestProvider], None]:
    def apply(provider: TestProvider) -> None:
        provider.sign = lambda claims: provider.signed(change(claims))

    return apply


def encoded(*parts: bytes) -> str:
    """Parts of a token."""
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)


def unsigned(provider: TestProvider) -> None:
    head = b'{"alg": "none"}'
    provider.sign = lambda claims: encoded(head, json.dumps(claims).encode(), b"")


def with_another_key(provider: TestProvider) -> None:
    other = RSAKey.generate_key(2048, {"kid": str(provider.key.kid)})
    provider.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": other.kid}, claims, other)


def with_the_public_key_as_secret(provider: TestProvider) -> None:
    """RS256 taken for HS256."""
    public = provider.key.as_pem(private=False)

    def sign(claims: dict[str, Any]) -> str:
        text = encoded(b'{"alg": "HS256"}', json.dumps(claims).encode())
        return f"{text}.{encoded(hmac.digest(public, text.encode(), 'sha256'))}"

    provider.sign = sign


@pytest.mark.parametrize(
    "lie",
    [
        unsigned,
        with_another_key,
        with_the_public_key_as_secret,
        liar(lambda claims: claims | {"nonce": "another"}),
        liar(lambda claims: claims | {"aud": "another"}),
        liar(lambda claims: claims | {"aud": [CLIENT, "another"], "azp": "another"}),
        liar(lambda claims: claims | {"iss": "https://another.example"}),
        liar(lambda claims: claims | {"exp": claims["iat"] - 60}),
        liar(lambda claims: {name: claims[name] for name in claims if name != "exp"}),
        liar(lambda claims: {name: claims[name] for name in claims if name != "nonce"}),
    ],
)
def test_a_token_that_does_not_hold_lets_nobody_in(
    provider: TestProvider, lie: Callable[[TestProvider], None]
) -> None:
    signing = OpenIdSignIn(Provider.read(setting(provider)))
    lie(provider)
    with pytest.raises(AccessDenied, match="does not hold"):
        arrived(signing, signing.depart(BACK))


def test_an_issuer_that_ends_with_a_slash_is_that_one(provider: TestProvider) -> None:
    provider.issuer = f"{provider.url}/"
    for text in (setting(provider), setting(provider).replace("?", "/?")):
        signing = OpenIdSignIn(Provider.read(text))
        assert arrived(signing, signing.depart(BACK)).identity == f"{provider.url} 1"
    liar(lambda claims: claims | {"iss": provider.url})(provider)
    with pytest.raises(AccessDenied, match="does not hold"):
        arrived(signing, signing.depart(BACK))


def test_a_code_is_good_once_and_for_who_began(provider: TestProvider) -> None:
    signing = OpenIdSignIn(Provider.read(setting(provider)))
    departure = signing.depart(BACK)
    assert arrived(signing, departure).role == "modeller"
    with pytest.raises(AccessDenied, match="did not accept"):
        signing.arrive("used", BACK, nonce=departure.nonce, verifier=departure.verifier)
    with pytest.raises(AccessDenied, match="did not accept"):
        arrived(signing, signing.depart(BACK), verifier="another")


def test_new_keys_of_the_provider_are_read(provider: TestProvider) -> None:
    signing = OpenIdSignIn(Provider.read(setting(provider)))
    arrived(signing, signing.depart(BACK))
    provider.key = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
    assert arrived(signing, signing.depart(BACK)).name == "Grace"


def test_a_provider_that_is_away_is_said_so() -> None:
    signing = OpenIdSignIn(Provider.read("http://a:b@127.0.0.1:1"))
    with pytest.raises(Unavailable, match="did not answer as one \\(ConnectError\\)"):
        signing.depart(BACK)


@pytest.mark.parametrize(
    "text",
    [
        "http://a:b@id.example",
        "https://id.example",
        "https://a:b@id.example?default=root",
        "https://a:b@[::1",
        "x",
    ],
)
def test_another_form_of_the_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SHROFF_CONSOLE_OIDC as https://CLIENT:SECRET@"):
        Provider.read(text)
