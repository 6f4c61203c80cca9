"""Users: who may sign in, with which role."""

from __future__ import annotations

from typing import Any, cast

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.problems import status_of
from shroff.console.threads import PASSWORDS
from shroff.console.views import lead, view
from shroff.console.web import Request, Response
from shroff.control.access_history import AccessChange, AccessHistory
from shroff.control.users import USER_ROLES, UserRole
from shroff.errors import BrokenChain, ConfigurationError, ShroffError

_SHOWN_CHANGES = 100


@page("/users", role="admin")
def show_users(backend: GivenBackend) -> Response:
    """Everybody, and the form of a new one."""
    return view("users.html", _context(backend))


@action("/users", role="admin", threads=PASSWORDS)
def add_user(request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm) -> Response:
    """Add somebody."""
    name = form.text("name")
    try:
        role = cast("UserRole", form.text("role"))
        backend.users.add(name, role, password=form.raw("password"), by=user.name)
    except ShroffError as error:
        typed = {"name": name, "role": form.text("role")}
        return view("users.html", _context(backend, str(error), typed), status=status_of(error))
    return lead(request, "/users", said=f"{name} may sign in.")


@action("/users/change", role="admin")
def change_user(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Give somebody another role, disable or enable them; nobody does so to themselves."""
    name, step = form.text("name"), form.text("step")
    try:
        if backend.users.named(name).id == user.id:
            raise ConfigurationError(
                "expected somebody else: another administrator changes your role, or disables you."
            )
        if step == "role":
            backend.users.set_role(name, cast("UserRole", form.text("role")), by=user.name)
        elif step == "disable":
            backend.users.disable(name, by=user.name)
        elif step == "enable":
            backend.users.enable(name, by=user.name)
        else:
            raise ConfigurationError("expected a step of role, disable or enable.")
    except ShroffError as error:
        return view("users.html", _context(backend, str(error)), status=status_of(error))
    backend.streams.wake()
    return lead(request, "/users", said=f"{name} is changed.")


def _context(
    backend: ConsoleBackend, problem: str = "", typed: dict[str, str] | None = None
) -> dict[str, Any]:
    changes, altered = _history(backend)
    return {
        "changes": changes,
        "altered": altered,
        "users": backend.users.all(),
        "roles": USER_ROLES,
        "problem": problem,
        "typed": typed or {"name": "", "role": "analyst"},
    }


def _history(backend: ConsoleBackend) -> tuple[list[AccessChange], str]:
    """The last changes of users and keys, the newest first, or why they are not to be believed."""
    try:
        return AccessHistory(backend.settings.control).all()[: -_SHOWN_CHANGES - 1 : -1], ""
    except BrokenChain as error:
        return [], str(error)


ROUTES = (show_users, add_user, change_user)
