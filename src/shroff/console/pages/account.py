"""Signing in and out, the own password, light or dark."""

from __future__ import annotations

from typing import Annotated, Final

from litestar.params import QueryParameter

from shroff.console.access import (
    action,
    cookie,
    page,
    session_cookie,
    session_token,
    visit_cookie,
)
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.threads import PASSWORDS
from shroff.console.views import THEMES, lead, local_path, view
from shroff.console.web import Request, Response
from shroff.errors import ShroffError

_REFUSED: Final = (
    "This name and password do not belong together. Try again, or ask an administrator."
)

_TOO_MANY: Final = "Too many attempts. Wait {} seconds, then try again."


def sign_in_view(
    backend: ConsoleBackend,
    *,
    after: str = "/",
    problem: str = "",
    name: str = "",
    status: int = 200,
) -> Response:
    """The page to sign in on."""
    context = {
        "after": after,
        "problem": problem,
        "name": name,
        "provider": backend.oidc is not None,
        "nobody": not problem and backend.oidc is None and not backend.users.any(),
    }
    return view("sign_in.html", context, status=status)


@page("/sign-in", role=None)
def show_sign_in(
    request: Request,
    backend: GivenBackend,
    after: Annotated[str, QueryParameter(name="next")] = "/",
) -> Response:
    """The form to sign in."""
    made = visit_cookie(request)
    shown = sign_in_view(backend, after=local_path(after))
    if made is not None:
        shown.set_cookie(made)
    return shown


@action("/sign-in", role=None, threads=PASSWORDS)
def sign_in(request: Request, backend: GivenBackend, form: GivenForm) -> Response:
    """Begin a session: always a new one, so that nobody can have chosen its token."""
    name, after = form.text("name")[:200], local_path(form.raw("next"))
    address = _address(request)

    def again(problem: str, status: int) -> Response:
        return sign_in_view(backend, after=after, problem=problem, name=name, status=status)

    if wait := backend.attempts.take(name, address):
        return _later(again(_TOO_MANY.format(wait), 429), wait)
    user = backend.users.signing_in(name, form.raw("password"))
    if user is None:
        return again(_REFUSED, 403)
    backend.attempts.succeeded(name, address)
    token = backend.sessions.begin(user, instead_of=session_token(request) or None)
    backend.streams.wake()
    answer = lead(request, after)
    answer.set_cookie(session_cookie(request, token))
    return answer


@action("/sign-out", role="analyst")
def sign_out(request: Request, backend: GivenBackend) -> Response:
    """End the session."""
    backend.sessions.end(session_token(request))
    backend.streams.wake()
    answer = lead(request, "/sign-in")
    answer.set_cookie(session_cookie(request, ""))
    return answer


@page("/account", role="analyst")
def show_account() -> Response:
    """Who is signed in, and the form of another password."""
    return view("account.html", {"problem": ""})


@action("/account/password", role="analyst", threads=PASSWORDS)
def change_password(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Another password: the old one is asked for, and all sessions end but a new one."""
    address = _address(request)
    if wait := backend.attempts.take(user.name, address):
        shown = view("account.html", {"problem": _TOO_MANY.format(wait)}, status=429)
        return _later(shown, wait)
    if backend.users.signing_in(user.name, form.raw("password")) is None:
        problem = "This is not your password as it is now."
        return view("account.html", {"problem": problem}, status=422)
    backend.attempts.succeeded(user.name, address)
    if form.raw("new") != form.raw("again"):
        problem = "The new password was typed in two ways. Type it twice alike."
        return view("account.html", {"problem": problem}, status=422)
    try:
        changed = backend.users.set_password(user.name, form.raw("new"), by=user.name)
    except ShroffError as error:
        return view("account.html", {"problem": str(error)}, status=422)
    backend.streams.wake()
    answer = lead(request, "/account", said="Your password is changed; other sessions have ended.")
    answer.set_cookie(session_cookie(request, backend.sessions.begin(changed)))
    return answer


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _later(shown: Response, seconds: int) -> Response:
    shown.headers["retry-after"] = str(seconds)
    return shown


@action("/theme", role=None)
def choose_theme(request: Request, form: GivenForm) -> Response:
    """Light, dark, or as the system has it, kept for a year."""
    answer = lead(request, local_path(form.raw("next")))
    if form.raw("theme") in THEMES:
        chosen = cookie(request, "shroff_theme", form.raw("theme"))
        chosen.max_age = 31_536_000
        answer.set_cookie(chosen)
    return answer


ROUTES = (show_sign_in, sign_in, sign_out, show_account, change_password, choose_theme)
