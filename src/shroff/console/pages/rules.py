"""Rules."""

from __future__ import annotations

from shroff.console.access import page
from shroff.console.views import view
from shroff.console.web import Response


@page("/rules", role="modeller")
def show_rules() -> Response:
    """The page of rules."""
    return view("rules.html")


ROUTES = (show_rules,)
