"""Shroff: payment-fraud detection from a raw payment log to a live decision.

    from shroff import Entity, FeatureGroup, Policy, Project, Schema, calendar, sql

Names are loaded when first used, so that importing `shroff` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shroff.client import AsyncClient, Client
    from shroff.collect.rates import Rate, Rates
    from shroff.collect.schema import Schema
    from shroff.decide.policy import Policy, Rule
    from shroff.errors import ShroffError
    from shroff.evaluate.cost import Cost
    from shroff.features.define import Entity, FeatureGroup, calendar, sql
    from shroff.project import Project

_HOME = {
    "AsyncClient": "client",
    "Client": "client",
    "Cost": "evaluate.cost",
    "Entity": "features.define",
    "FeatureGroup": "features.define",
    "Policy": "decide.policy",
    "Project": "project",
    "Rate": "collect.rates",
    "Rates": "collect.rates",
    "Rule": "decide.policy",
    "Schema": "collect.schema",
    "ShroffError": "errors",
    "calendar": "features.define",
    "sql": "features.define",
}

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Cost",
    "Entity",
    "FeatureGroup",
    "Policy",
    "Project",
    "Rate",
    "Rates",
    "Rule",
    "Schema",
    "ShroffError",
    "__version__",
    "calendar",
    "sql",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
