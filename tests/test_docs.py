"""What the docs say of the code's own names: the walk's functions, and the files of the recipes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from shroff.cli import app

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "shroff"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALK = ARCHITECTURE.split("### The walk of one payment\n")[1].split("\n\nWhat decides")[0]
HOPS = re.findall(r"^\d+\. .+(?:\n   .+)*", WALK, re.MULTILINE)
FUNCTION = re.compile(r"`(\w+)\.(\w+)`")
PATH = re.compile(r"`((?:[\w.]+/)+(?:\w+\.\w+)?|\w+\.(?:py|md|toml))`|\b(tests/[\w/]+(?:\.py)?)")


def paths(text: str) -> list[str]:
    """The paths in a text."""
    return [quoted or tests for quoted, tests in PATH.findall(text)]


def named(path: str) -> Path:
    """A file or folder as the docs name it: below the package unless it begins elsewhere."""
    return next(found for found in (PACKAGE / path, ROOT / path) if found.exists())


def functions(path: Path) -> set[tuple[str, str]]:
    """The functions of a file or a folder's files, each with its class, or else its module."""
    found = set()
    for file in [path] if path.is_file() else path.glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            owner, body = (node.name, node.body) if isinstance(node, ast.ClassDef) else ("", [node])
            found |= {
                (owner or file.stem, one.name)
                for one in body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def test_the_walk_has_ten_hops_at_most() -> None:
    assert 5 < len(HOPS) <= 10
    assert all(FUNCTION.search(hop) for hop in HOPS)


@pytest.mark.parametrize(("owner", "function"), FUNCTION.findall(WALK))
def test_every_function_of_the_walk_is_in_a_file_of_the_walk(owner: str, function: str) -> None:
    known = set[tuple[str, str]]().union(*(functions(named(path)) for path in paths(WALK)))
    assert (owner, function) in known


@pytest.mark.parametrize("page", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_every_file_that_is_named_exists(page: str) -> None:
    places = [PACKAGE, ROOT, *(path.parent for path in PACKAGE.rglob("__init__.py"))]
    for path in paths(page):
        assert any((place / path).exists() for place in places), path


def test_readme_has_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = vars(typer.main.get_command(app))["commands"]
    assert [name for name in commands if f"`shroff {name}" not in readme] == []


def test_readme_shows_how_to_install() -> None:
    assert "pip install" in (ROOT / "README.md").read_text(encoding="utf-8").split("## ")[0]
