"""The help page, made from the service's OpenAPI document: one file that works offline."""

from shroff.serve.help.operations import help_operations
from shroff.serve.help.page import Page

__all__ = ["Page", "help_operations"]
