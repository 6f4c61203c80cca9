"""The glossary says each word once, in one sentence, with files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+) \|$", TEXT, flags=re.MULTILINE)


def test_words_are_in_order_and_said_once() -> None:
    words = [word for word, _, _ in ROWS]
    assert len(words) > 40
    assert words == sorted(set(words), key=str.casefold)


def test_every_word_has_one_sentence() -> None:
    for word, sentence, _ in ROWS:
        assert re.fullmatch(r"[A-Z][^.]*(?:\.\w[^.]*)*\.", sentence), word


def test_every_file_is_there() -> None:
    for word, _, files in ROWS:
        links = re.findall(r"\]\((.+?)\)", files)
        assert links, word
        for link in links:
            assert (ROOT / "docs" / link).exists(), f"{word}: {link}"


def test_readme_and_architecture_link_it() -> None:
    assert "docs/glossary.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(glossary.md)" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
