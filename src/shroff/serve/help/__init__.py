"""The help page: what an integrator needs, from the service's own OpenAPI document, in one file
that works offline.
"""

from shroff.serve.help.operations import help_operations
from shroff.serve.help.page import Page

__all__ = ["Page", "help_operations"]
