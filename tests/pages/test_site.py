"""The documentation as a site: it builds, loads nothing from elsewhere, and can be searched."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from docs.site import build, foreign

from browser import Browser

needs_zensical = pytest.mark.skipif(
    find_spec("zensical") is None, reason="no Zensical: pip install 'shroff[docs]'"
)
FOUND = """
const dialog = [...document.querySelectorAll("*")].find(one => one.shadowRoot)?.shadowRoot;
return [...(dialog?.querySelectorAll("a") ?? [])].map(link => link.href);
"""
"""Where the results of the search lead."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    build(folder)
    return folder


@needs_zensical
def test_the_site_builds_and_shows_files_of_the_repository(site: Path) -> None:
    assert "5 minutes" in (site / "get-started.html").read_text(encoding="utf-8")
    assert (site / "reference" / "commands" / "serve.html").is_file()
    # what a page links to outside of it is there too
    copied = site / "files" / "tests" / "contract" / "oracle.py.txt"
    assert "def " in copied.read_text(encoding="utf-8")


@needs_zensical
def test_pages_are_searched_and_load_nothing_from_elsewhere(site: Path, browser: Browser) -> None:
    with served(site) as url:
        browser.open(f"{url}/index.html")
        browser.requested()
        browser.click(".md-search__button")
        browser.wait(lambda: browser.run(FOUND.replace('"a"', '"input"')) is not None)
        for letter in "propensity":
            keys = [{"type": kind, "value": letter} for kind in ("keyDown", "keyUp")]
            actions = [{"type": "key", "id": "keys", "actions": keys}]
            browser.call("POST", "/actions", actions=actions)
        browser.wait(lambda: any("control-lane" in one for one in browser.run(FOUND)))
        assert [one for one in browser.requested() if not one.startswith(url)] == []
        assert browser.console() == []


def test_what_is_loaded_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://elsewhere.example">fine</a><link rel="canonical" href="https://here.example">'
        '<script src="//cdn.example/x.js"></script><img src="x.png"><link href="https://fonts.example">'
    )
    (tmp_path / "a.css").write_text('@import "https://css.example/a"; a { background: url(b.png) }')
    assert sorted(foreign(tmp_path)) == [
        "a.css: https://css.example/a",
        "a.html: //cdn.example/x.js",
        "a.html: https://fonts.example",
    ]
