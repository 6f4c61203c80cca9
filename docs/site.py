"""The documentation as a site: `python -m docs.site`, or `make docs`, writes the folder `site`.

Pages are those of `docs`, as they are. What they show of the repository beside them (an example, a
file of the code) is copied, so that the site is whole without the repository and without a network:
`foreign` finds what a built page would load from elsewhere.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from os.path import relpath
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs"
NAVIGATION: Final = ROOT / "zensical.toml"
LINK: Final = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
"""Where a Markdown link goes, without its anchor."""

_STYLED: Final = re.compile(r"(?:url\(|@import)\s*[\"']?([^\"')\s;]+)")
_REFERENCE: Final = '"reference/README.md",'
_KINDS: Final = {
    "": "Definitions",
    "aggregates": "Aggregates",
    "commands": "Commands",
    "python": "Python",
}


def build(folder: Path) -> None:
    """Write the site into a folder, which is replaced.

    Raises:
        RuntimeError: a page could not be built, or would load something from elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="shroff-site-") as name:
        stage = Path(name)
        _gather(stage)
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
        done = subprocess.run(command, cwd=stage, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Zensical: {(done.stdout + done.stderr).strip()}")
        found = [*foreign(stage / "site")]
        if found:
            raise RuntimeError(f"expected pages that load nothing from elsewhere: {found[:5]}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(stage / "site", folder)


def foreign(site: Path) -> Iterator[str]:
    """What built pages and their styles would load from another host, each with its page."""
    for page in site.rglob("*.html"):
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        yield from (f"{page.name}: {address}" for address in loads.found if _elsewhere(address))
    for style in site.rglob("*.css"):
        for address in _STYLED.findall(style.read_text(encoding="utf-8")):
            if _elsewhere(address):
                yield f"{style.name}: {address}"


def _gather(stage: Path) -> None:
    """The pages with links that stay inside, what they show of the repository, and the settings."""
    for page in sorted(PAGES.rglob("*.md")):
        target = stage / "docs" / page.relative_to(PAGES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_staying(page, stage), encoding="utf-8")
    for picture in sorted(PAGES.rglob("*.png")):
        target = stage / "docs" / picture.relative_to(PAGES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    settings = NAVIGATION.read_text(encoding="utf-8")
    (stage / NAVIGATION.name).write_text(settings.replace(_REFERENCE, _reference()), "utf-8")


def _staying(page: Path, stage: Path) -> str:
    """A page's text, with links that stay inside."""

    def link(found: re.Match[str]) -> str:
        return _inside(found[1], page, stage)

    return LINK.sub(link, page.read_text(encoding="utf-8"))


def _inside(link: str, page: Path, stage: Path) -> str:
    """A link to a file of the repository as one to its copy; other links as they are."""
    place = (page.parent / link).resolve()
    if ":" in link or place.is_relative_to(PAGES) or not place.exists():
        return link
    copied = stage / "docs" / "files" / f"{place.relative_to(ROOT)}.txt"
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_text(_shown(place), encoding="utf-8")
    return relpath(copied, (stage / "docs" / page.relative_to(PAGES)).parent)


def _shown(place: Path) -> str:
    """A file's text, or the files of a folder one after another."""
    if place.is_file():
        return place.read_text(encoding="utf-8")
    files = [one for one in sorted(place.rglob("*")) if one.is_file() and _text(one)]
    return "\n".join(f"==> {one.relative_to(ROOT)} <==\n{one.read_text('utf-8')}" for one in files)


def _text(file: Path) -> bool:
    return "__pycache__" not in file.parts and file.suffix in {
        "",
        ".conf",
        ".example",
        ".json",
        ".md",
        ".py",
        ".service",
        ".timer",
        ".yaml",
        ".yml",
    }


def _reference() -> str:
    """The generated pages, for the navigation: one section for each folder."""
    sections = [f"{_REFERENCE}\n"]
    for folder, kind in _KINDS.items():
        pages = sorted((PAGES / "reference" / folder).glob("*.md"))
        lines = [f'"{page.relative_to(PAGES)}"' for page in pages if page.name != "README.md"]
        sections.append(f'    {{ "{kind}" = [{", ".join(lines)}] }},\n')
    return "".join(sections)


def _elsewhere(address: str) -> bool:
    return bool(re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address))


class _Loads(HTMLParser):
    """What a page makes a browser load: all but links that a reader follows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "link" and (named.get("rel") or "") in {"canonical", "next", "prev"}:
            return
        if tag not in {"a", "base"}:
            self.found += [named[name] or "" for name in ("src", "href", "data") if name in named]


if __name__ == "__main__":
    build(ROOT / "site")
    print(f"{ROOT / 'site' / 'index.html'}")
