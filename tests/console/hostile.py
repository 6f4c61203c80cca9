"""Texts that attack a page which shows them, for every page's tests to store and open."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

HOSTILE: Final = (
    "<script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned = 1">',
    "' autofocus onfocus='window.owned = 1",
    "</td></table><svg onload=window.owned=1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.owned=1",
    "&lt;b&gt; & &amp;",
    '" hx-get="/users" hx-trigger="load',
)
"""Each sets `window.owned` in a browser, or changes the page, if it becomes markup."""


def assert_inert(html: str) -> None:
    """Fail if a page has markup that its templates have not: script, handlers, odd addresses."""
    _Watch().feed(html)


class _Watch(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        where = self.get_starttag_text()
        data = given.get("type") == "application/json"
        assert tag != "script" or data or "/assets/" in (given.get("src") or ""), where
        assert not any(name.startswith("on") for name in given), where
        assert tag not in ("iframe", "object", "embed", "base"), where
        assert given.get("hx-get") != "/users", where
        for name in ("href", "src", "action", "formaction"):
            address = (given.get(name) or "").strip().lower()
            assert not address.startswith(("javascript:", "data:", "//")), where

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() == "<script>":
            raise AssertionError(data)
