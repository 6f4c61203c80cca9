"""Features."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/features", role="modeller")
def show_features() -> Response:
    """The page of features."""
    return view("features.html")


ROUTES = (show_features,)
