"""Addresses that lead nowhere."""

from __future__ import annotations

from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from shroff.console.access import page
from shroff.console.web import Response


@page("/{rest:path}", role="analyst")
def show_nowhere(rest: FromPath[str]) -> Response:
    """No page: for people who signed in, the others learn of no address."""
    raise NotFoundException


ROUTES = (show_nowhere,)
