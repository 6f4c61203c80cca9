"""Overview."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/", role="analyst")
def show_overview() -> Response:
    """The page of overview."""
    return view("overview.html")


ROUTES = (show_overview,)
