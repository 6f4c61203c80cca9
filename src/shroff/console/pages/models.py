"""Models."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/models", role="modeller")
def show_models() -> Response:
    """The page of models."""
    return view("models.html")


ROUTES = (show_models,)
