"""Payments."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/payments", role="analyst")
def show_payments() -> Response:
    """The page of payments."""
    return view("payments.html")


ROUTES = (show_payments,)
