"""The reference for authors of projects, generated from docstrings, settings, grammar, declared
metrics and commands.

    python -m docs.generate        writes docs/reference; `make reference` does the same

`pages()` gives every page by its path; a test compares them with what is committed. A parameter
without a line in its docstring is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docs.generate import commands, detectors, features, language, metrics, python, settings
from docs.generate.docstrings import page, table

from shroff import (
    Challenge,
    ControlLane,
    Cost,
    Entity,
    FeatureGroup,
    ModelCard,
    Policy,
    Project,
    ReferenceTable,
    Review,
    Rule,
    Schema,
    calendar,
    lookup,
    sql,
)
from shroff.collect import Iso8583, Iso20022

_DEFINITIONS: dict[str, Callable[..., Any]] = {
    "project": Project,
    "schema": Schema,
    "reference_table": ReferenceTable,
    "lookup": lookup,
    "iso20022": Iso20022,
    "iso8583": Iso8583,
    "entity": Entity,
    "feature_group": FeatureGroup,
    "sql": sql,
    "calendar": calendar,
    "model_card": ModelCard,
    "policy": Policy,
    "rule": Rule,
    "cost": Cost,
    "challenge": Challenge,
    "control_lane": ControlLane,
    "review": Review,
}


def pages() -> dict[str, str]:
    """Every page of the reference, as Markdown, by its path below `docs/reference`."""
    definitions = {f"{name}.md": page(thing) for name, thing in _DEFINITIONS.items()}
    aggregates = features.pages()
    definitions["entity.md"] += "\n## Aggregates\n\n" + _links(aggregates) + "\n"
    described = language.pages() | settings.pages() | metrics.pages() | commands.pages()
    found = definitions | aggregates | detectors.pages() | described
    found |= python.pages(_places())
    return found | {"README.md": _contents(found)}


def _places() -> dict[str, str]:
    """Where names with a page of their own are documented."""
    definitions = {thing.__name__: f"{name}.md" for name, thing in _DEFINITIONS.items()}
    kinds = {kind.__name__: f"detectors.md#{kind.__name__.lower()}" for kind in detectors.KINDS}
    return definitions | kinds


def _contents(found: dict[str, str]) -> str:
    def links(folder: str) -> str:
        return _links(
            {name: text for name, text in found.items() if name.rpartition("/")[0] == folder}
        )

    parts = [
        "# Reference",
        "What a project is written with, one page each. `make reference` generates these pages "
        "from the code.",
        "## Definitions, detectors, language, settings, metrics",
        links(""),
        "## Aggregates: the methods of `Entity`",
        links("aggregates"),
        "## Commands",
        links("commands"),
        "## Python: what rooms export",
        links("python"),
    ]
    return "\n\n".join(parts) + "\n"


def _links(found: dict[str, str]) -> str:
    return table(
        ["page", "what"],
        [[f"[{_title(text)}]({name})", _summary(text)] for name, text in found.items()],
    )


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")


def _summary(text: str) -> str:
    """The first sentence after the title and the signature."""
    paragraphs = [part for part in text.split("\n\n")[1:] if not part.startswith(("```", "|"))]
    return " ".join(paragraphs[0].split()).split(". ")[0].removesuffix(".")
