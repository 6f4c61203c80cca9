"""Signing in through a provider: there, and back with a session."""

from __future__ import annotations

import hmac
from typing import Annotated, Final

import msgspec
from litestar.params import QueryParameter

from shroff.console.access import cookie, page, read_cookie, session_cookie, session_token
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend
from shroff.console.oidc import OpenIdSignIn, Visitor
from shroff.console.pages.account import sign_in_view
from shroff.console.threads import PROVIDER
from shroff.console.views import lead, local_path
from shroff.console.web import Connection, Request, Response
from shroff.control.users import User, UserRole
from shroff.errors import AccessDenied, NotFound, ShroffError

_JOURNEY: Final = "shroff_oidc"
_MINUTES: Final = 10

Text = Annotated[str, QueryParameter()]


class SignInJourney(msgspec.Struct, frozen=True):
    """What the browser keeps while its visitor is at the provider."""

    state: str
    nonce: str
    verifier: str
    after: str


_PROVIDER = "OpenID Connect"
"""The author of what the provider says, in the history of users."""


@page("/sign-in/provider", role=None, threads=PROVIDER)
def depart(
    request: Request,
    backend: GivenBackend,
    after: Annotated[str, QueryParameter(name="next")] = "/",
) -> Response:
    """Send the visitor to the provider."""
    try:
        departure = _required(backend).depart(_back(request))
    except ShroffError as error:
        return sign_in_view(backend, problem=str(error), status=503)
    kept = SignInJourney(departure.state, departure.nonce, departure.verifier, local_path(after))
    answer = Response(b"", status_code=303, headers={"location": departure.address})
    made = cookie(request, _JOURNEY, msgspec.json.encode(kept).hex())
    made.max_age = 60 * _MINUTES
    answer.set_cookie(made)
    return answer


@page("/sign-in/back", role=None, threads=PROVIDER)
def arrive(
    request: Request,
    backend: GivenBackend,
    came: Annotated[str, QueryParameter(name="state")] = "",
    code: Text = "",
    error: Text = "",
) -> Response:
    """Begin the session of a visitor who comes back, and only of the one who was sent."""
    try:
        kept = msgspec.json.decode(
            bytes.fromhex(read_cookie(request, _JOURNEY)), type=SignInJourney
        )
    except (ValueError, msgspec.MsgspecError):
        kept = SignInJourney("", "", "", "/")
    if not kept.state or not hmac.compare_digest(kept.state.encode(), came.encode()):
        return sign_in_view(
            backend, problem="This sign-in was not begun here, or too long ago.", status=403
        )
    if error or not code:
        return sign_in_view(backend, problem="The provider did not let you in.", status=403)
    try:
        signing = _required(backend)
        visitor = signing.arrive(code, _back(request), nonce=kept.nonce, verifier=kept.verifier)
        user = _user_of(backend, signing, visitor)
    except AccessDenied as denied:
        return sign_in_view(backend, problem=str(denied), status=403)
    except ShroffError as failed:
        return sign_in_view(backend, problem=str(failed), status=503)
    answer = lead(request, kept.after)
    token = backend.sessions.begin(user, instead_of=session_token(request) or None)
    backend.streams.wake()
    answer.set_cookie(session_cookie(request, token))
    answer.set_cookie(cookie(request, _JOURNEY, ""))
    return answer


def _user_of(backend: ConsoleBackend, signing: OpenIdSignIn, visitor: Visitor) -> User:
    """The user of a visitor: known by their identity, invited by name, or added with a role."""
    known = backend.users.identified(visitor.identity)
    if known is None:
        known = backend.users.invited(visitor.name, visitor.identity)
    if known is None:
        role = visitor.role or signing.provider.default
        if role is None:
            raise AccessDenied(
                "you have no role here: ask an administrator, who gives you one at the provider or "
                "adds you with `shroff users add NAME --role ROLE --without-password`."
            )
        try:
            known = backend.users.add(
                visitor.name, role, identity=visitor.identity, claimed=True, by=_PROVIDER
            )
        except ShroffError as error:
            raise AccessDenied(f"you cannot be added: {error}") from None
    elif visitor.role is not None or known.claimed is not None:
        known = _with_role(backend, known, visitor.role or signing.provider.default)
    if known.disabled is not None:
        raise AccessDenied("you may sign in here no longer: ask an administrator.")
    return known


def _with_role(backend: ConsoleBackend, known: User, role: UserRole | None) -> User:
    """A user with the role of the provider; whom it named one and names none now has none here."""
    if role is None:
        backend.users.end_sessions(known.name, by=_PROVIDER)
        backend.streams.wake()
        raise AccessDenied(
            "the provider names no role for you any more, so you have no access here: ask an "
            f"administrator for one there, or here with `shroff users role {known.name} ROLE`."
        )
    backend.users.set_role(known.name, role, claimed=True, by=_PROVIDER)
    return backend.users.named(known.name)


def _required(backend: ConsoleBackend) -> OpenIdSignIn:
    if backend.oidc is None:
        raise NotFound("no provider is set (SHROFF_CONSOLE_OIDC): sign in with a password.")
    return backend.oidc


def _back(connection: Connection) -> str:
    host = connection.headers.get("host", "")
    root = connection.scope.get("root_path", "")
    return f"{connection.scope['scheme']}://{host}{root}/sign-in/back"


ROUTES = (depart, arrive)
