"""A real browser for tests: Chromium through its driver, by the W3C WebDriver protocol over
HTTP.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from patience import PATIENCE, until
from servers import free_port
from web import TRUST

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_PASSING = {
    "element click intercepted",
    "element not interactable",
    "no such element",
    "stale element reference",
}
"""Errors of a page that is still changing: the element is not there yet, or has just been replaced.
"""


class Browser:
    """One window; elements are named by CSS selectors, where the first that fits is meant."""

    def __init__(self, http: httpx.Client, session: str) -> None:
        self._http = http
        self._session = f"/session/{session}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One WebDriver command; its value."""
        answer = self._answer(method, path, **body)
        assert not _error(answer), answer
        return answer

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.call("POST", "/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body in JavaScript returns in the page."""
        return self.call("POST", "/execute/sync", script=script, args=list(arguments))

    def text(self, selector: str) -> str:
        """The text of an element as it is rendered."""
        return str(self._with(selector, "GET", "text"))

    def click(self, selector: str) -> None:
        """Scroll to an element and click on it."""
        self._with(selector, "POST", "click")

    def type(self, selector: str, text: str) -> None:
        """Replace what is in a field, by the keyboard."""
        self._with(selector, "POST", "clear")
        self._with(selector, "POST", "value", text=text)

    def press(self, key: str, *, held: str = "") -> None:
        """Press a key of the keyboard, whatever has the focus; with another that is `held`."""
        strokes = [("keyDown", one) for one in (held, key) if one]
        strokes += [("keyUp", one) for one in (key, held) if one]
        actions = [{"type": kind, "value": one} for kind, one in strokes]
        self.call("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def hold(self, key: str) -> None:
        """What the browser gets from a letter that is held: the same key again, without an end."""
        self._devtools("Input.dispatchKeyEvent", type="keyDown", key=key, text=key, autoRepeat=True)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until something is so."""
        until(condition, said=lambda: "nothing happened")

    def console(self) -> list[str]:
        """What the console was told since last asked: errors, refused content …"""
        return [entry["message"] for entry in self.call("POST", "/se/log", type="browser")]

    def requested(self) -> list[str]:
        """The addresses that were asked for since last asked."""
        events = [
            json.loads(entry["message"])["message"]
            for entry in self.call("POST", "/se/log", type="performance")
        ]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def emulate(self, width: int, height: int, *, scheme: str = "light", media: str = "") -> None:
        """Another size of the window, light or dark, and a medium such as `print`."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", features=features, media=media)

    def barriers(self, axe: str) -> list[str]:
        """What keeps people from using the open page, by axe-core's rules: those of serious and of
        critical impact, each with the places it was found at.

        Args:
            axe: the text of axe-core.
        """
        # without the places where all is well, axe takes half the time
        script = f"{axe}; return axe.run({{resultTypes: ['violations']}})"
        found = self.run(script)["violations"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.call("GET", "/screenshot"))

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def _with(self, selector: str, method: str, command: str, **body: Any) -> Any:
        """One command about an element, as soon as the page has it and stands still."""
        answer: Any = None

        def done() -> bool:
            nonlocal answer
            answer = self._answer("POST", "/element", using="css selector", value=selector)
            if not _error(answer):
                path = f"/element/{answer[_ELEMENT]}/{command}"
                answer = self._answer(method, path, **body)
            return _error(answer) not in _PASSING

        until(done, said=lambda: f"{command} of {selector}: {_error(answer)}")
        assert not _error(answer), answer
        return answer

    def _answer(self, method: str, path: str, **body: Any) -> Any:
        content = json.dumps(body) if method == "POST" else None
        return self._http.request(method, self._session + path, content=content).json()["value"]


def _error(answer: Any) -> str:
    """Which error a driver answered with, `""` where it did what it was asked for."""
    return str(answer.get("error", "")) if isinstance(answer, dict) else ""


def axe_core() -> str:
    """The text of axe-core.

    Raises:
        LookupError: it is not installed.
    """
    script = Path(sys.prefix, "axe", "node_modules", "axe-core", "axe.min.js")
    if not script.is_file():
        raise LookupError("axe-core is not installed: make .venv/axe, which needs npm")
    return script.read_text(encoding="utf-8")


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile.

    Raises:
        LookupError: there is none to start, and why.
    """
    driver, program = (
        shutil.which("chromedriver"),
        shutil.which("chromium") or shutil.which("google-chrome"),
    )
    if driver is None or program is None:
        raise LookupError(
            "chromium and chromedriver are not installed: apt-get install chromium-driver"
        )
    port = free_port()
    with (folder / "chromedriver.log").open("w") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, verify=TRUST
        ) as http:
            _wait_until_ready(http)
            wanted = {"alwaysMatch": _capabilities(program, folder)}
            answer = http.post("/session", json={"capabilities": wanted}).json()["value"]
            if "sessionId" not in answer:
                raise LookupError(f"chromium does not start: {answer.get('message', '')[:200]}")
            session = answer["sessionId"]
            try:
                yield Browser(http, session)
            finally:
                http.delete(f"/session/{session}")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _capabilities(program: str, folder: Path) -> dict[str, Any]:
    # the sandbox does not work for root, and shared memory is small in containers
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    # what scrolls smoothly is not there yet when it is clicked on
    still = "--force-prefers-reduced-motion"
    options = [
        "--headless=new",
        still,
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1440,900",
        f"--user-data-dir={folder / 'profile'}",
    ]
    return {
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": program, "args": [*options, *root]},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }


def _wait_until_ready(http: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if http.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise LookupError("chromedriver does not answer")
        time.sleep(0.02)
