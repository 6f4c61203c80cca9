"""The page of settings, from the fields of `Settings` and the texts under them."""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, fields

from docs.generate.docstrings import code, table

from shroff.settings import PREFIX, Settings


def pages() -> dict[str, str]:
    """One page, with a row for each `SHROFF_…` variable."""
    meanings = _meanings()
    rows = [
        [f"`{PREFIX}{one.name.upper()}`", _default(one.default), meanings[one.name]]
        for one in sorted(fields(Settings), key=lambda field: field.name)
    ]
    parts = [
        "# Settings",
        "Where things run is set by environment variables. Another `SHROFF_…` variable is "
        "refused at start; one that is set to nothing is not set.",
        table(["variable", "default", "meaning"], rows),
        code(
            "SHROFF_HOME=/var/lib/shroff SHROFF_STATE=redis://127.0.0.1:6379/0 shroff serve bundle",
            "sh",
        ),
    ]
    return {"settings.md": "\n\n".join(parts) + "\n"}


def _meanings() -> dict[str, str]:
    """The text under each field; raises ValueError for a field without one."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    found: dict[str, str] = {}
    name = ""
    for statement in getattr(definition, "body", []):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name] = " ".join(str(statement.value.value).split())
            name = ""
    missing = [one.name for one in fields(Settings) if one.name not in found]
    if missing:
        raise ValueError(f"expected a text under each setting, `{missing[0]}` has none")
    return found


def _default(value: object) -> str:
    # an empty one follows from others, as its text says
    return "" if value is MISSING or str(value) in ("", ".") else f"`{value}`"
