"""The help page: what an integrator needs, from the service's own OpenAPI document, in one file that works offline."""

from shroff.serve.help.page import Page
from shroff.serve.help.routes import help_routes

__all__ = ["Page", "help_routes"]
