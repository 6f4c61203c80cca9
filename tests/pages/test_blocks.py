"""Every block of code in the documentation runs, or says why not; the summary counts those."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from forks import program
from pages.markdown import PAGES, ROOT, SHELL, Block, begins_with, blocks
from pages.runner import Reader, shape
from pages.usage import commands, problem

GENERATED: Final = ROOT / "docs" / "reference"
"""Pages that `tests/test_reference.py` runs."""
BLOCKS: Final = {page: blocks(page) for page in PAGES if not page.is_relative_to(GENERATED)}
BEGINNINGS: Final = {page: begins_with(page) for page in BLOCKS}
BEGUN_WITH: Final = {first for _, first in BEGINNINGS.values()}
RUN: Final = ("file: ", "servers: ", "figures vary", "ends with ")
NOTES: Final = ("not run: ", "parsed: ", "run by ", *RUN)
SHOWN: Final = [*BLOCKS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LEFT_OUT: Final = [
    one for found in BLOCKS.values() for one in found if one.said("not run") or one.said("parsed")
]


def name(value: object) -> str:
    """What a test is called after its page or block."""
    return value.place if isinstance(value, Block) else str(getattr(value, "name", value))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `shroff` that need not import anything."""
    return program(tmp_path_factory.mktemp("programs") / "commands", "pages.imports")


def runs(block: Block) -> bool:
    """Whether a block is to be run here."""
    return not block.note or block.note.startswith(RUN)


class Followed:
    """Pages that a reader has followed: each once, in a folder of its own or beside another."""

    def __init__(self, programs: Path, folder: Path, request: pytest.FixtureRequest) -> None:
        self._programs = programs
        self._folder = folder
        self._request = request
        self._readers: dict[Path, Reader | None] = {}
        self._open = ExitStack()

    def close(self) -> None:
        """End the services beside which others ran."""
        self._open.close()

    def __call__(self, page: Path) -> Reader:
        """Whoever has followed the page."""
        if page not in self._readers:
            self._readers[page] = None
            self._readers[page] = self._follow(page)
        reader = self._readers[page]
        assert reader is not None, f"{page.name}: it went wrong"
        return reader

    def _follow(self, page: Path) -> Reader:
        how, first = BEGINNINGS[page]
        if how == "beside" and first:
            reader = self(first)
            self._read(page, reader)
            return reader
        folder = self._folder / page.stem
        if first:
            self(first)
            shutil.copytree(self._left(first), folder, symlinks=True)
        else:
            folder.mkdir()
            (folder / "examples").symlink_to(ROOT / "examples")
        with ExitStack() as stack:
            reader = stack.enter_context(Reader(folder, self._programs, self._servers(page)))
            self._read(page, reader)
            if page in BEGUN_WITH:
                # as it is now: what runs beside it will change the folder
                shutil.copytree(folder, self._left(page), symlinks=True)
            if ("beside", page) in BEGINNINGS.values():
                self._open.push(stack.pop_all())
        return reader

    def _read(self, page: Path, reader: Reader) -> None:
        for block in BLOCKS[page]:
            if runs(block):
                reader.read(block)
            else:
                reader.skip()

    def _left(self, page: Path) -> Path:
        return self._folder / f"{page.stem}-left"

    def _servers(self, page: Path) -> dict[str, str]:
        """The addresses of servers that a page asks for, by the words that stand for them in it."""
        servers = {one for block in BLOCKS[page] for one in block.said("servers").split()}
        return {one: self._request.getfixturevalue(f"{one}_server") for one in sorted(servers)}


@pytest.fixture(scope="module")
def followed(
    programs: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Followed]:
    """Follows pages."""
    with closing(Followed(programs, tmp_path_factory.mktemp("pages"), request)) as pages:
        yield pages


@pytest.mark.parametrize(
    "page", [page for page, found in BLOCKS.items() if any(map(runs, found))], ids=name
)
def test_a_page_runs_from_its_first_block_to_its_last(page: Path, followed: Followed) -> None:
    followed(page)


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
