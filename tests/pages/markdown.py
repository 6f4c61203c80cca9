"""Pages as the tests read them: blocks of code with what a comment before them says, and headings.

A comment on the line before a block says what becomes of it, where it does not simply run:

    <!-- not run: REASON -->            counted with its reason in the summary
    <!-- parsed: REASON -->             its commands are parsed, none is run; counted as well
    <!-- run by tests/FILE.py -->       that file reads the page
    <!-- file: NAME -->                 it is the content of this file
    <!-- servers: redis postgres -->    it runs where these can be started
    <!-- figures vary -->               an output whose numbers may be others
    <!-- ends with 1 -->                the exit code of its last command, which is said to fail

One before the first heading, such as `<!-- page: parsed: REASON -->`, is of every block for a shell
without one of its own. `<!-- page: after PAGE -->` says that the page goes on in the folder of
another, and `<!-- page: beside PAGE -->` that the service of that page runs on meanwhile, as a
reader has it in another terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SHELL: Final = ("sh", "bash")
PAGES: Final = sorted((ROOT / "docs").rglob("*.md"))

_FENCED: Final = re.compile(
    r"(?:^ *<!-- (?P<note>[^\n]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>[\w-]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_PAGE: Final = re.compile(r"\A<!-- page: ([^\n]+?) -->\n")
_BEGINNING: Final = re.compile(r"(after|beside) (\S+)")
_HEADING: Final = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_LINK: Final = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its first fence, its language, and the comment before it."""

    page: Path
    line: int
    kind: str
    text: str
    note: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def said(self, word: str) -> str:
        """What the comment says after a word, or nothing."""
        start, _, rest = self.note.partition(word)
        return rest.lstrip(": ") if not start and rest else ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    default = _PAGE.match(text)
    found = []
    for one in _FENCED.finditer(text):
        lines = one["text"].splitlines(keepends=True)
        body = "".join(line.removeprefix(one["indent"]) for line in lines)
        shared = default[1] if default and one["kind"] in SHELL else ""
        shared = "" if _BEGINNING.match(shared) else shared
        note = one["note"] or shared
        line = text.count("\n", 0, one.start("kind")) + 1
        found.append(Block(page, line, one["kind"], body, note))
    return found


def begins_with(page: Path) -> tuple[str, Path | None]:
    """`after` or `beside`, and the page that a reader has followed before; or nothing."""
    said = _PAGE.match(page.read_text(encoding="utf-8"))
    found = _BEGINNING.match(said[1]) if said else None
    return (found[1], (page.parent / found[2]).resolve()) if found else ("", None)


def prose(page: Path) -> str:
    """The text of a page without its blocks and code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", text, flags=re.M))


def anchors(page: Path) -> dict[str, str]:
    """Where a page can be entered: the anchor that the site gives each heading, and the one that a
    repository's own view gives it.
    """
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    found: dict[str, str] = {}
    for heading in _HEADING.findall(text):
        words = re.sub(r"[`*]", "", _LINK.sub(r"\1", heading)).strip().lower()
        plain = re.sub(r"[^\w\s-]", "", words).strip()
        found[re.sub(r"[-\s]+", "-", plain)] = re.sub(r"\s", "-", plain)
    return found
