"""The reference is what the code says now, and its examples run as they are copied."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from docs.generate import pages
from docs.generate.docstrings import page, read

from shroff import Cost

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WITH_EXAMPLES = [
    str(path.relative_to(FOLDER))
    for path in sorted(FOLDER.rglob("*.md"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages()


def test_the_committed_pages_are_those_that_are_generated(generated: dict[str, str]) -> None:
    committed = {
        str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8")
        for path in FOLDER.rglob("*.md")
    }
    assert committed.keys() == generated.keys()
    for name, text in generated.items():
        assert committed[name] == text, (
            f"{name} is not what the code says now: run `make reference`"
        )


# examples of detectors and rooms are their docstrings, which doctest runs as they stand
@pytest.mark.parametrize(
    "name", [name for name in WITH_EXAMPLES if not name.startswith(("detectors.md", "python/"))]
)
def test_examples_run_as_they_are_copied(name: str) -> None:
    examples = (FOLDER / name).read_text(encoding="utf-8").replace("```", "\n")
    test = doctest.DocTestParser().get_doctest(examples, {}, name, name, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).failed == 0


def test_commands_are_described_as_their_help_does(generated: dict[str, str]) -> None:
    """By the names of arguments there, with defaults of nought, and with lengths of time."""
    assert "| `--rings` | number | `0.0` |" in generated["commands/simulate.md"]
    assert "shroff promote BUNDLE --to TO" in generated["commands/promote.md"]
    assert "| `--every` | duration |" in generated["commands/monitor.md"]


def test_every_page_is_in_the_contents(generated: dict[str, str]) -> None:
    for name in generated.keys() - {"README.md"}:
        assert f"]({name})" in generated["README.md"]


def test_a_parameter_without_a_line_is_refused() -> None:
    def undocumented(first: int, second: int) -> None:
        """Do nothing.

        Args:
            first: is described.
        """

    with pytest.raises(ValueError, match="expected a line on `second`"):
        page(undocumented)


def test_a_docstring_is_read_in_parts() -> None:
    parts = read(Cost)
    entry = parts.entries("Args")["miss_rate"]
    assert entry == "the share of reviewed frauds that the reviewer lets through."
    assert parts.entries("Raises").keys() == {"ConfigurationError"}
    assert parts.examples.startswith(">>> ")
    assert "Args" not in parts.prose
