"""Shroff: payment-fraud detection from a raw payment log to a live decision.

    from shroff import Entity, FeatureGroup, Policy, Project, Schema, calendar, sql

Names are loaded when first used, so that importing `shroff` stays light.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shroff.lazy import loading

if TYPE_CHECKING:
    from shroff.client import AsyncClient, Client
    from shroff.collect.lookup import lookup
    from shroff.collect.rates import Rate, Rates
    from shroff.collect.schema import Schema
    from shroff.collect.tables import ReferenceTable
    from shroff.decide.lane import ControlLane
    from shroff.decide.policy import Policy, Rule
    from shroff.errors import ShroffError
    from shroff.evaluate.challenge import Challenge
    from shroff.evaluate.cost import Cost
    from shroff.evaluate.review import Review
    from shroff.experiment.runs import load_run
    from shroff.features.define import Entity
    from shroff.features.group import FeatureGroup
    from shroff.features.row import calendar, sql
    from shroff.project import Project, load_project
    from shroff.report.declared import ModelCard

_HOME = {
    "AsyncClient": "client",
    "Challenge": "evaluate.challenge",
    "Client": "client",
    "ControlLane": "decide.lane",
    "Cost": "evaluate.cost",
    "Entity": "features.define",
    "FeatureGroup": "features.group",
    "ModelCard": "report.declared",
    "Policy": "decide.policy",
    "Project": "project",
    "Rate": "collect.rates",
    "Rates": "collect.rates",
    "ReferenceTable": "collect.tables",
    "Review": "evaluate.review",
    "Rule": "decide.policy",
    "Schema": "collect.schema",
    "ShroffError": "errors",
    "calendar": "features.row",
    "load_project": "project",
    "load_run": "experiment.runs",
    "lookup": "collect.lookup",
    "sql": "features.row",
}

# ONNX Runtime reports names and digests of models to its maker, unless this is set before it loads
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Challenge",
    "Client",
    "ControlLane",
    "Cost",
    "Entity",
    "FeatureGroup",
    "ModelCard",
    "Policy",
    "Project",
    "Rate",
    "Rates",
    "ReferenceTable",
    "Review",
    "Rule",
    "Schema",
    "ShroffError",
    "__version__",
    "calendar",
    "load_project",
    "load_run",
    "lookup",
    "sql",
]


__getattr__ = loading(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
