"""Cases."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/cases", role="analyst")
def show_cases() -> Response:
    """The page of cases."""
    return view("cases.html")


ROUTES = (show_cases,)
