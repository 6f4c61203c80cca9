"""Every block of code in the documentation runs, or says why not; the summary counts those."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

import pytest

from pages.forks import prepared
from pages.markdown import PAGES, ROOT, SHELL, Block, begins_with, blocks
from pages.runner import Reader, shape
from pages.usage import commands, problem

GENERATED: Final = ROOT / "docs" / "reference"
"""Pages that `tests/test_reference.py` runs."""
BLOCKS: Final = {page: blocks(page) for page in PAGES if not page.is_relative_to(GENERATED)}
FIRST: Final = ROOT / "docs" / "get-started.md"
RUN: Final = ("file: ", "servers: ", "figures vary")
NOTES: Final = ("not run: ", "parsed: ", "run by ", *RUN)
SHOWN: Final = [*BLOCKS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LEFT_OUT: Final = [
    one for found in BLOCKS.values() for one in found if one.said("not run") or one.said("parsed")
]


def name(value: object) -> str:
    """What a test is called after its page or block."""
    return value.place if isinstance(value, Block) else str(getattr(value, "name", value))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a `shroff` that need not import anything."""
    with prepared(tmp_path_factory.mktemp("programs")) as folder:
        yield folder


def runs(block: Block) -> bool:
    """Whether a block is to be run here."""
    return not block.note or block.note.startswith(RUN)


@pytest.fixture(scope="module")
def started(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who has followed the first page, which others go on from."""
    folder = tmp_path_factory.mktemp("started")
    follow(FIRST, folder, programs, {})
    return folder


@pytest.fixture(params=[page for page, found in BLOCKS.items() if any(map(runs, found))], ids=name)
def page(request: pytest.FixtureRequest) -> Path:
    """A page with something to run."""
    return cast("Path", request.param)


@pytest.fixture
def folder(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where a page begins: an empty folder with the examples, or that of the first page."""
    if page == FIRST or begins_with(page) == FIRST.name:
        shutil.copytree(request.getfixturevalue("started"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.fixture
def variables(page: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The addresses of servers that a page asks for, by the words that stand for them in it."""
    servers = {one for block in BLOCKS[page] for one in block.said("servers").split()}
    return {one: request.getfixturevalue(f"{one}_server") for one in sorted(servers)}


def follow(page: Path, folder: Path, programs: Path, servers: Mapping[str, str]) -> None:
    """Do what a page says, to its end."""
    with Reader(folder, programs, servers) as reader:
        for block in BLOCKS[page]:
            if runs(block):
                reader.read(block)


def test_a_page_runs_from_its_first_block_to_its_last(
    page: Path, folder: Path, programs: Path, variables: dict[str, str]
) -> None:
    # the first one has run when others began in its folder
    if page != FIRST:
        follow(page, folder, programs, variables)


@pytest.mark.parametrize("block", LEFT_OUT, ids=name)
def test_what_is_not_run_has_a_reason_and_commands_that_exist(block: Block) -> None:
    if block.kind in SHELL:
        assert [found for found in map(problem, commands(block.text)) if found] == []
    if block.kind == "python" and ">>>" not in block.text:
        compile(block.text, block.place, "exec")
    pytest.skip(block.note)


@pytest.mark.parametrize("page", list(BLOCKS), ids=name)
def test_a_block_says_nothing_else_of_itself(page: Path) -> None:
    for block in BLOCKS[page]:
        assert not block.note or block.note.startswith(NOTES), f"{block.place}: {block.note}"
        if file := block.said("run by"):
            assert page.name in (ROOT / file).read_text(encoding="utf-8"), (
                f"{file}: not {page.name}"
            )


@pytest.mark.parametrize("page", SHOWN, ids=name)
def test_commands_in_indented_blocks_and_in_tables_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"^    (.+)$", text, re.MULTILINE)
    shown += re.findall(r"^\| `(shroff [^`]+)`", text, re.MULTILINE)
    shown += [block.text for block in blocks(page) if block.kind in SHELL]
    found = [problem(words) for line in shown for words in commands(line)]
    assert [one for one in found if one] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    script = "X=1 shroff serve --no-such \\\n  a | cat\nKEY=$(shroff keys make x)\nshroff train p\n"
    assert [problem(words) for words in commands(script)] == [
        "`shroff serve` has no option `--no-such`",
        "`shroff keys` has no command `make`",
        "",
    ]


def test_a_shape_tells_names_and_kinds() -> None:
    assert shape({"a": [1, 2.5], "b": None}) == shape({"a": [0.5], "b": None})
    assert shape({"a": True}) != shape({"a": 1})
