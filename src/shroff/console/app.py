"""The console as one ASGI application: its pages, and what holds for all of them."""

from __future__ import annotations

from typing import Final

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from litestar.types import Message, Scope

from shroff.console.access import SessionReader, require_form_token, require_role
from shroff.console.assets import assets, show_asset
from shroff.console.backend import ConsoleBackend
from shroff.console.forms import MAX_BODY_BYTES, read_form
from shroff.console.pages import (
    account,
    case,
    cases,
    features,
    lists,
    models,
    nowhere,
    overview,
    payments,
    proposals,
    provider,
    rule_editor,
    rules,
    users,
)
from shroff.console.problems import HANDLERS
from shroff.console.views import environment
from shroff.console.web import Request
from shroff.control.proposal import Person
from shroff.control.users import User

PAGES: Final = (
    account,
    provider,
    overview,
    cases,
    case,
    payments,
    models,
    features,
    rules,
    rule_editor,
    proposals,
    lists,
    users,
    nowhere,
)
"""The modules of pages; each has its handlers in `ROUTES`."""

HEADERS: Final = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with every answer."""


def console_app(backend: ConsoleBackend) -> Litestar:
    """The console over an installation."""
    app = Litestar(
        [show_asset, *(route for page in PAGES for route in page.ROUTES)],
        guards=[require_role, require_form_token],
        middleware=[DefineMiddleware(SessionReader)],
        dependencies={
            "backend": Provide(lambda: backend, sync_to_thread=False),
            "user": Provide(_user, sync_to_thread=False),
            "person": Provide(_person, sync_to_thread=False),
            "form": Provide(read_form),
        },
        exception_handlers=HANDLERS,
        before_send=[_add_headers],
        on_startup=[backend.start],
        on_shutdown=[backend.stop],
        template_config=TemplateConfig(
            instance=JinjaTemplateEngine.from_environment(environment())
        ),
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state.backend = backend
    # a setting that is wrong is said at the start
    _ = backend.oidc
    assets()
    return app


def _user(request: Request) -> User:
    """Who is signed in, for handlers with a role."""
    user: User = request.user
    return user


def _person(request: Request) -> Person:
    """The same as who proposes a change, or agrees to one."""
    return Person(request.user.name, request.user.role)


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("cache-control", "no-store")
