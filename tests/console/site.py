"""A running console, and visits to it: signed-in clients and the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from litestar.testing import TestClient

from browser import Browser
from forks import start
from patience import PATIENCE
from program import command, environment
from shroff.console import ConsoleBackend, console_app
from shroff.control.sessions import Sessions
from shroff.control.users import Users
from shroff.settings import Settings
from web import TRUST


class Visit:
    """Somebody's client of a console, which is given by its URL or connected already; without the
    `token` of a session nobody is signed in.
    """

    def __init__(self, console: str | httpx.Client, token: str = "") -> None:
        self.http = (
            httpx.Client(base_url=console, timeout=PATIENCE, verify=TRUST)
            if isinstance(console, str)
            else console
        )
        if token:
            self.http.cookies.set("shroff_session", token)

    def page(self, path: str, status: int = 200) -> str:
        """The HTML of a page."""
        answer = self.http.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.text

    def token(self, path: str = "/") -> str:
        """The token that the forms of a page carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page(path))
        assert found is not None
        return found[1]

    def send(
        self, path: str, fields: dict[str, Any] | None = None, /, **more: Any
    ) -> httpx.Response:
        """Send a form of this session; the redirect is not followed."""
        token = self.token("/account" if "shroff_session" in self.http.cookies else "/sign-in")
        form = {"csrf": token} | (fields or {}) | more
        return self.http.post(path, data=form, follow_redirects=False)


class ConsoleSite:
    """A console that runs, and the installation that it shows."""

    def __init__(self, url: str, settings: Settings, log: Path, process: int) -> None:
        self.url = url
        self.process = process
        self.settings = settings
        self.log = log
        self.visits: list[Visit] = []

    def visit(self, name: str = "") -> Visit:
        """A new client of a person, by name: `analyst`, `modeller` or `admin`; of nobody."""
        self.visits.append(Visit(self.url, self.session(name) if name else ""))
        return self.visits[-1]

    def session(self, name: str) -> str:
        """The token of a new session of a person."""
        user = Users(self.settings.control).named(name)
        return Sessions(self.settings.control).begin(user)

    def sign_in(self, browser: Browser, name: str) -> None:
        """Sign a browser in as a person."""
        browser.open(f"{self.url}/sign-in")
        cookie = {"name": "shroff_session", "value": self.session(name), "path": "/"}
        browser.call("POST", "/cookie", cookie=cookie)


@contextmanager
def visiting(backend: ConsoleBackend, name: str) -> Iterator[Visit]:
    """A person's client of a console of its own, in this process."""
    with TestClient(console_app(backend)) as client:
        yield Visit(client, backend.sessions.begin(backend.users.named(name)))


@contextmanager
def running(settings: Settings, *options: str, **variables: str) -> Iterator[ConsoleSite]:
    """A console as a process, over an installation."""
    with started_process(settings, "console", *options, **variables) as site:
        yield site


@contextmanager
def started_process(settings: Settings, *words: str, **variables: str) -> Iterator[ConsoleSite]:
    """A command that serves the console, on a free port."""
    log = settings.home / "console.log"
    with log.open("w") as errors:
        process = start(
            command(*words, "--port", "0", "--json"),
            "console.imports",
            stderr=errors,
            env=environment(settings.home, settings.home) | variables,
        )
    assert process.stdout is not None
    try:
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            assert line, log.read_text()
            said += line
        site = ConsoleSite(json.loads(said)["url"], settings, log, process.pid)
        yield site
        for visit in site.visits:
            visit.http.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def problem_in(html: str) -> str:
    """The sentence about what went wrong on a page, with backticks around what is code."""
    found = re.search(r'<p class="problem" role="alert">(.*?)</p>', html, re.DOTALL)
    assert found is not None, html
    return unescape(re.sub("</?code>", "`", found[1]))
