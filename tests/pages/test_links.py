"""Links of the documentation lead somewhere, in the repository and in the site that is built."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from pages.markdown import PAGES, ROOT, anchors, prose

WRITTEN: Final = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TARGET: Final = re.compile(r"\]\(([^)\s]+)\)")
NAVIGATION: Final = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))


def listed(part: Any) -> Iterator[str]:
    """The pages in a part of the navigation."""
    if isinstance(part, str):
        yield part
        return
    for one in part.values() if isinstance(part, dict) else part:
        yield from listed(one)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in TARGET.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target}: no such file"
        assert place.is_relative_to(ROOT), f"{target}: outside of the repository"
        if anchor:
            known = anchors(place)
            assert anchor in known, f"{target}: no such heading"
            assert known[anchor] == anchor, f"{target}: another anchor in the repository's own view"


def test_every_page_is_in_the_navigation_once() -> None:
    pages = [*listed(NAVIGATION["project"]["nav"])]
    assert len(pages) == len(set(pages))
    written = {str(page.relative_to(ROOT / "docs")) for page in PAGES}
    # the rest of the reference is listed when the site is built
    generated = {page for page in written if page.startswith("reference/")}
    assert set(pages) == (written - generated) | {"reference/README.md"}


def test_readme_shows_where_the_documentation_begins() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/get-started.md)" in readme
    assert "](docs/index.md)" in readme
