"""Payments: found by what people know of them, and the receipt of one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar.params import FromQuery

from shroff.console.access import action, page
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenForm, GivenUser
from shroff.console.receipts import receipt_view, replayed
from shroff.console.searches import SearchForm, addressed, payment_query
from shroff.console.views import lead, view
from shroff.console.web import Request, Response
from shroff.control.users import User
from shroff.errors import ConfigurationError, NotFound
from shroff.index import FoundPayments, keys_of, search_payments


@page("/payments", role="analyst")
def show_payments(request: Request, backend: GivenBackend, user: GivenUser) -> Response:
    """The newest payments, or those that a search describes."""
    return _found(backend, user, SearchForm.read(request.query_params))


@action("/payments", role="analyst")
def find_payments(
    request: Request, backend: GivenBackend, user: GivenUser, form: GivenForm
) -> Response:
    """Lead to the payments of a search, whose address names no personal value."""
    asked = SearchForm.read(form.single())
    try:
        kept = addressed(asked, backend.index, backend.settings.hmac_key())
    except ConfigurationError:
        kept = None
    if kept is None:
        return _found(backend, user, asked)
    query = urlencode(kept.fields())
    return lead(request, f"/payments?{query}" if query else "/payments")


def _found(backend: ConsoleBackend, user: User, asked: SearchForm) -> Response:
    problem, found = "", FoundPayments((), None)
    try:
        query = payment_query(asked, backend.settings.hmac_key())
        found = search_payments(backend.index, query)
    except ConfigurationError as error:
        problem = str(error)
    older = None
    if found.after is not None:
        older = urlencode(asked.fields() | {"after": "{}.{}".format(*found.after)})
    ruled = [one.payment_id for one in found.payments if one.rules]
    bundle = backend.readable_production()
    context = {
        "asked": asked,
        "payments": found.payments,
        "blind": backend.desk.blind_payments(user.name),
        "hidden": backend.desk.hidden_payments(ruled, user.name),
        "next": older,
        "problem": problem,
        "behind": backend.following.behind(),
        "keys": () if bundle is None else keys_of(bundle),
        "searched": backend.searched,
        "personal": () if bundle is None else bundle.schema.personal,
        "published": backend.models.pointers.production is not None,
    }
    return view("payments.html", context, status=422 if problem else 200)


@page("/payments/receipt", role="analyst")
def show_receipt(backend: GivenBackend, user: GivenUser, id: FromQuery[str] = "") -> Response:  # noqa: A002  # the name of the field in the address
    """One payment: the receipt of its decision."""
    return view("receipt.html", _receipt(backend, id, user.name))


@action("/payments/receipt", role="analyst")
def replay_payment(backend: GivenBackend, user: GivenUser, id: FromQuery[str] = "") -> Response:  # noqa: A002  # the name of the field in the address
    """The same page with the decision made again; nothing is changed."""
    context = _receipt(backend, id, user.name)
    replay, why = replayed(backend, id)
    return view("receipt.html", context | {"replay": replay, "why": why})


def _receipt(backend: ConsoleBackend, name: str, viewer: str) -> dict[str, Any]:
    if not name:
        raise NotFound("expected the id of a payment in the address: search for one.")
    return {"one": receipt_view(backend, name, viewer), "replay": None, "why": ""}


ROUTES = (show_payments, find_payments, show_receipt, replay_payment)
