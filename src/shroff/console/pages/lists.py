"""Lists."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/lists", role="admin")
def show_lists() -> Response:
    """The page of lists."""
    return view("lists.html")


ROUTES = (show_lists,)
