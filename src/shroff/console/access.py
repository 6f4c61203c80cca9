"""Who may do what: the session of a request, the role that a route needs, the token of a form."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from hashlib import sha256
from inspect import iscoroutinefunction
from typing import Any, Final, TypeVar

import litestar
from litestar import get, post
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from shroff.console.forms import read_form
from shroff.console.threads import PAGE_THREADS, in_thread
from shroff.console.web import Connection
from shroff.control.users import USER_ROLES, User, UserRole

ROLE: Final = "role"
"""The key of a handler's `opt` that holds the role it needs; None: nobody has to be signed in."""
_SESSION: Final = "shroff_session"
_VISIT: Final = "shroff_visit"
# of what `sha256` makes a form's token, so that it tells nothing about the session's
_PURPOSE: Final = b"form token of "

Handler = TypeVar("Handler", bound=Callable[..., Any])


class SignInNeeded(NotAuthorizedException):
    """Nobody is signed in, and the route needs somebody."""


class BadToken(PermissionDeniedException):
    """A form without the token of its session: another site's, or of a session that has ended."""


def page(
    path: str, *, role: UserRole | None, threads: ThreadPoolExecutor = PAGE_THREADS
) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare the handler of a page, the least role that may see it, and where it runs."""
    return lambda handler: get(path, opt={ROLE: role}, include_in_schema=False)(
        _threaded(handler, threads)
    )


def action(
    path: str, *, role: UserRole | None, threads: ThreadPoolExecutor = PAGE_THREADS
) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare the handler of a form, the least role that may send it, and where it runs."""
    return lambda handler: post(path, opt={ROLE: role}, include_in_schema=False, status_code=200)(
        _threaded(handler, threads)
    )


def _threaded(handler: Handler, threads: ThreadPoolExecutor) -> Callable[..., Any]:
    """A handler that waits for databases in a thread; one that is asynchronous stays.

    Litestar's own option wraps a handler twice where an address has a page and a form.
    """
    if iscoroutinefunction(handler):
        return handler

    @wraps(handler)
    async def run(*given: Any, **named: Any) -> Any:
        return await in_thread(threads, handler, *given, **named)

    return run


def require_role(connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard of every route: signed in, with the role that it declares.

    Raises:
        SignInNeeded: nobody is signed in.
        PermissionDeniedException: somebody whose role is less.
    """
    # what declares none, such as the library's own answer to OPTIONS, is an administrator's
    role = handler.opt.get(ROLE, USER_ROLES[-1])
    if role is None:
        return
    # nobody is asked who sends OPTIONS
    user: User | None = connection.scope.get("user")
    if user is None:
        raise SignInNeeded
    if not user.may(role):
        raise PermissionDeniedException(
            f"this needs the role {role}; yours is {user.role}. "
            f"Ask an administrator: `shroff users role {user.name} {role}`."
        )


async def require_form_token(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard against forms of other sites.

    Raises:
        BadToken: a request that changes something without the token of its session.
    """
    if not isinstance(connection, litestar.Request) or connection.method in ("GET", "HEAD"):
        return
    given = connection.headers.get("x-csrf-token") or (await read_form(connection)).raw("csrf")
    expected = form_token(connection)
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise BadToken(
            "this form is not of your session, which may have ended: open the page again and "
            "send it from there."
        )


class SessionReader(AbstractAuthenticationMiddleware):
    """Finds who sends a request by the cookie of its session."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The person of the session; None where nobody is signed in."""
        token = session_token(connection)
        user: User | None = None
        if token:
            sessions = connection.app.state.backend.sessions
            user = await in_thread(PAGE_THREADS, sessions.user, token)
        return AuthenticationResult(user=user, auth=token if user else None)


def session_token(connection: Connection) -> str:
    """The token of the session's cookie, or nothing."""
    return connection.cookies.get(_name(connection, _SESSION), "")


def form_token(connection: Connection) -> str:
    """The token that forms of this session carry; before sign-in, of this visit."""
    secret = connection.scope.get("auth") or connection.cookies.get(_name(connection, _VISIT), "")
    if not secret:
        return ""
    digest = sha256(_PURPOSE + secret.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def session_cookie(connection: Connection, token: str) -> Cookie:
    """The cookie that holds a session's token, or, without one, that ends it."""
    return cookie(connection, _SESSION, token)


def visit_cookie(connection: Connection) -> Cookie | None:
    """A new visit's cookie, where there is none yet; takes effect for this request too."""
    name = _name(connection, _VISIT)
    if connection.cookies.get(name):
        return None
    made = cookie(connection, _VISIT, secrets.token_urlsafe(32))
    connection.cookies[name] = str(made.value)
    return made


def cookie(connection: Connection, name: str, value: str) -> Cookie:
    """A cookie that no script reads and no other site sends; without a value it is removed."""
    return Cookie(
        key=_name(connection, name),
        value=value,
        path="/",
        httponly=True,
        secure=_secure(connection),
        samesite="lax",
        max_age=None if value else 0,
    )


def read_cookie(connection: Connection, name: str) -> str:
    """The value of a cookie that `cookie` made, or nothing."""
    return connection.cookies.get(_name(connection, name), "")


def _name(connection: Connection, name: str) -> str:
    # `__Host-`: set by this host over TLS for all of it, and by no neighbour
    return f"__Host-{name}" if _secure(connection) else name


def _secure(connection: Connection) -> bool:
    return connection.scope["scheme"] == "https"
